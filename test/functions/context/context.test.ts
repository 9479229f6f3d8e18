// What a running function holds: log, state, emit, fn, secrets, signal; whose account its calls go on; what shipped functions
// find of it at their targets. Real cells, two nodes; the parts behind the calls are stand-ins.

import t from 'tap'
import { CodedError } from '../../../fabric/base.ts'
import type { CallScope } from '../../../functions/deployed.ts'
import { decodeValue, encodeValue } from '../../../functions/value/mod.ts'
import { openFunctionNodes } from '../../support/function-nodes.ts'
import type { InvokeSettings } from '../../support/function-nodes.ts'
import { makeJob, outcomes } from '../../support/sandbox.ts'

const world = await openFunctionNodes(2)
t.teardown(() => world.close())
const calls: { readonly node: string; readonly verb: string; readonly scope: CallScope; readonly args: readonly unknown[] }[] = []
const stored = new Map<string, { value: Uint8Array; version: number }>()
let conflicts = 0
for (const { hostCalls, name: node } of world.nodes) {
  const note = (verb: string, args: readonly unknown[], scope: CallScope): void => { calls.push({ node, verb, scope, args }) }
  hostCalls.register('state.get', async ([key]) => stored.get(key as string) ?? null)
  hostCalls.register('state.list', async () => [...stored].map(([key, entry]) => ({ key, ...entry })))
  hostCalls.register('state.delete', async ([key]) => stored.delete(key as string))
  hostCalls.register('state.put', async ([key, value, expected], scope) => {
    note('state.put', [key], scope)
    const found = stored.get(key as string)?.version ?? 0
    if (conflicts > 0 || (expected !== null && expected !== found)) { conflicts--; throw new CodedError('changed', { code: 'FUNCTIONS_ERR_STATE_CONFLICT' }) }
    stored.set(key as string, { value: value as Uint8Array, version: found + 1 })
    return found + 1
  })
  hostCalls.register('emit', async ([topic, payload], scope) => {
    await new Promise((resolve) => setImmediate(resolve))
    if (topic === 'refused') throw new CodedError('nobody may', { code: 'RMO_ERR_DENIED' })
    note('emit', [topic, ...decodeValue(payload as Uint8Array) as unknown[]], scope)
  })
  hostCalls.register('secret.get', async () => 's3cret "quoted" value')
  hostCalls.register('fn.invoke', async ([reference, payload, options], scope, _authority, nested) => {
    note('fn.invoke', [reference, options], scope)
    nested(0)
    return encodeValue([{ got: (decodeValue(payload as Uint8Array) as unknown[])[0] }])
  })
  hostCalls.register('fn.enqueue', async () => 'id')
}
const run = async (body: string, settings: InvokeSettings = {}): Promise<unknown[]> => {
  const version = await world.deploy(`import { defineFunction, range as numbers } from 'kumoi'\nexport default defineFunction({ name: 'tested', async run(context, payload) { const { pms, range, from, log, call, emit, state, fn, secrets, signal } = context; ${body} } })\n`)
  return (await world.invoke(version, settings)).seen.map((each) => (each.status === 'value' ? each.value : each.code))
}

t.test('state: values, versions, compare-and-put until it succeeds', async (t) => {
  conflicts = 2
  t.same(await run('const before = await state.get("n"); const after = await state.update("n", (n = 0) => n + 1); await state.put("m", new Map([[1, "one"]])); const all = await state.list(); return [before, after, await state.entry("n"), (await state.get("m")).get(1), all.map(e => e.key), await state.delete("m")]'),
    [[undefined, 1, { key: 'n', value: 1, version: 1 }, 'one', ['n', 'm'], true]])
  t.same(await run('try { await state.put("n", 5, { version: 0 }) } catch (e) { return e.code }'), ['FUNCTIONS_ERR_STATE_CONFLICT'])
})

t.test('what is not awaited is waited for, and its failure is the call\'s', async (t) => {
  calls.length = 0
  t.same(await run('emit("hot", [1, 2]); return "done"'), ['done'])
  t.match(calls, [{ verb: 'emit', args: ['hot', [1, 2]] }])
  t.same(await run('emit("refused"); return "done"'), ['RMO_ERR_DENIED'])
  t.same(await run('try { await emit("refused") } catch (e) { return e.code }'), ['RMO_ERR_DENIED'])
  t.same(await run('const done = await Promise.allSettled([emit("a"), emit("refused")]); return done.map(d => d.status)'), [['fulfilled', 'rejected']])
})

t.test('calls side by side in one isolate stay on their own accounts, also after awaits', async (t) => {
  calls.length = 0
  const payloads = Array.from({ length: 16 }, (_, n) => n)
  const body = 'for (let i = 0; i < payload % 4; i++) await pms.length; await emit("mine", [payload, call.id]); const [seen] = await from([payload]).dmap(n => n); await numbers(1).dmap(n => n); return seen'
  t.same(await run(body, { payloads }), payloads)
  t.equal(calls.length, 16)
  for (const { scope, args: [, [payload, id]] } of calls as unknown as { scope: CallScope; args: [string, [number, string]] }[]) {
    t.equal(scope.callId, id)
    t.equal(Number(scope.callId), payload)
  }
})

t.test('what one call does to its tools, the next one on the same isolate does not find', async (t) => {
  const version = await world.deploy(`import { defineFunction } from 'kumoi'
    let before
    export default defineFunction({ name: 'tested', run(context) {
      const { pms, range, from, log, emit, state, fn, secrets } = context
      const tools = { context, pms, range, from, log, info: log.info, emit, state, fn, secrets }
      const found = Object.keys(tools).filter(name => tools[name].mark !== undefined)
      for (const name in tools) { try { tools[name].mark = name } catch {} }
      const same = before === undefined ? 'first' : before === emit
      before = emit
      return [same, found]
    } })
  `)
  const seen = async (): Promise<unknown[]> => (await world.invoke(version, {})).seen.map((each) => (each.status === 'value' ? each.value : each.code))
  t.same(await seen(), [['first', []]])
  t.same(await seen(), [[true, []]], 'the same isolate, and nothing was left on its tools')
})

t.test('members that a shipped function captured are the target\'s, on the same account', async (t) => {
  calls.length = 0
  for (const node of world.nodes) node.lines.length = 0
  t.same(await run('const { info } = log; const prefix = "on "; return await pms.dmap(async pm => { log.warn({ cores: pm.cores }, "seen"); info(prefix + pm.name); await emit("seen", pm.name); return [await pms.length, signal.aborted, call.name] })'),
    [[[2, false, 'tested'], [2, false, 'tested']]])
  t.same(calls.map(({ node, verb, args, scope }) => [node, verb, args[1], scope.name, scope.callId, scope.depth]).sort(), [['n0', 'emit', 'n0', 'tested', '0000000000000000', 1], ['n1', 'emit', 'n1', 'tested', '0000000000000000', 1]])
  t.same(world.nodes[0]!.lines.map(({ level, text, fields, element }) => [text, level, fields, element]).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)), [['on n0', 'info', undefined, 0], ['on n1', 'info', undefined, 0], ['seen', 'warn', { cores: 1 }, 0], ['seen', 'warn', { cores: 2 }, 0]])
})

t.test('lines: text, fields, both; what JSON has no form for', async (t) => {
  const { lines } = world.nodes[0]!
  lines.length = 0
  await run('log.info("plain"); log.debug({ a: 1n, f() {}, m: new Map([[1, 2]]) }); log.error("bad", new Error("no")); const round = {}; round.round = round; log.warn(round); console.log("by console"); log.info({ big: "x".repeat(9000) })')
  t.match(lines, [{ level: 'info', text: 'plain' }, { level: 'debug', text: '', fields: { a: '1n', f: '[function f]', m: 'Map [[1, 2]]' } }, { level: 'error', text: 'bad', fields: { message: 'no' } }, { level: 'warn', text: / \{ round:/ }, { level: 'log', text: 'by console' }, { level: 'info' }])
  t.ok(lines.every(({ text }) => text.length <= 8_192))
})

t.test('secrets are redacted from lines and refused in what leaves', async (t) => {
  const { lines } = world.nodes[0]!
  lines.length = 0
  t.same(await run(`const key = await secrets.get("key"); log.info("is " + key); log.info({ key }); console.log(key)
    const tries = []
    for (const attempt of [() => emit("t", { deep: [key + "!"] }), () => fn("other")(key), () => state.put("k", key), () => range(1).dmap(() => key), () => from([key]).dmap(x => x), () => fn("other").enqueue(key)]) {
      try { await attempt(); tries.push("let through") } catch (error) { tries.push(error.code) }
    }
    return [...tries, (await pms.dmap(pm => pm.cores)).length]`), [[...Array.from({ length: 6 }, () => 'FUNCTIONS_ERR_SECRET_CAPTURED'), 2]])
  t.same(lines.map(({ text, fields }) => [text, fields]), [['is [secret key]', undefined], ['', { key: '[secret key]' }], ['[secret key]', undefined]])
})

t.test('fn: payload, options, answer', async (t) => {
  calls.length = 0
  t.same(await run('return [await fn("other", { timeoutMs: 5 })({ a: 1 }, { idempotencyKey: "k" }), await fn("other").enqueue()]'), [[{ got: { a: 1 } }, 'id']])
  t.match(calls, [{ args: ['other', { timeoutMs: 5, idempotencyKey: 'k' }] }])
})

t.test('the signal tells the deadline', async (t) => {
  t.same(await run('const told = new Promise(resolve => signal.addEventListener("abort", resolve)); await told; return [signal.aborted, signal.reason.code]', { limits: { timeoutMs: 400 } }), [[true, 'FUNCTIONS_ERR_SANDBOX_TIMEOUT']])
})

t.test('without a deployed function there is no account, and no function to ship on', async (t) => {
  const version = await world.deploy('import { defineFunction } from "kumoi"\nexport default defineFunction({ name: "tested", async run({ state, range }) { const tries = []; for (const attempt of [() => state.get("a"), () => range(2).dmap(n => n)]) { try { await attempt(); tries.push("done") } catch (error) { tries.push(error.code) } } return tries } })')
  const nobody = { scopeOf: () => undefined }
  t.same((await world.invoke(version, nobody)).seen[0]?.value, ['FUNCTIONS_ERR_CALL_UNSCOPED', 'FUNCTIONS_ERR_CALL_UNSCOPED'])
  t.same((await world.invoke(version, { ...nobody, principal: 'local:0' })).seen[0]?.value, ['FUNCTIONS_ERR_CALL_UNSCOPED', 'done'])
  t.same(await run('const made = globalThis.eval("n => n"); try { await range(2).dmap(made) } catch (e) { return e.code }'), ['FUNCTIONS_ERR_NOT_SHIPPABLE'])
  const shipped = makeJob({ source: 'async () => { const tries = []; for (const attempt of [() => dc.range(2).dmap((n) => n), () => dc.emit("topic", 1), () => dc.log.info({ a: 1 }, "told")]) { try { await attempt(); tries.push("done") } catch (error) { tries.push(error.code) } } return tries }' })
  const lines: unknown[] = []
  const byHand = await world.nodes[0]!.sandbox.run(shipped, { hostCall: (call) => Promise.reject(new CodedError('no', { code: `CALLED ${call.verb}` })), console: (line) => { lines.push(line) } }, new AbortController().signal)
  t.same(outcomes(byHand)[0]?.value, ['FUNCTIONS_ERR_NOT_SHIPPABLE', 'CALLED emit', 'done'])
  t.same(lines, [{ level: 'info', text: 'told', element: 0, fields: { a: 1 } }])
})

// Bundles in a real sandbox: describe, filter, run; shipped functions; errors in the user's own lines.

import t from 'tap'
import { describeBundle } from '../../../functions/bundle/describe.ts'
import { originalError, originalStack } from '../../../functions/bundle/positions.ts'
import type { JobResult } from '../../../functions/contract.ts'
import { encodeValue } from '../../../functions/value/mod.ts'
import type { ErrorRecord } from '../../../fabric/base.ts'
import { buildFiles, decodeArguments, functionFile, invocationOf, loadHere, runScript, textOf } from '../../support/bundles.ts'
import { never, openSandbox, outcomes, sha256, valuesOf } from '../../support/sandbox.ts'

const { sandbox, close } = await openSandbox()
t.teardown(close)

const errorOf = ({ runs: [run] }: JobResult): ErrorRecord => {
  if (run === undefined || !('failure' in run)) throw new Error('it did not fail')
  return run.failure.error
}

t.test('describe: the definition as plain data', async (t) => {
  const { script } = await buildFiles({ 'a.ts': 'import { defineFunction } from \'kumoi\'\nconst every = `${2 + 3}s`\nexport default defineFunction({ name: \'a\', trigger: [{ every }, { on: \'VM\', filter: (event) => event[\'cpu\'] }], limits: { heapMiB: 32 }, async run() {} })\n' })
  t.same(await describeBundle(sandbox, script, 'me', never), { name: 'a', trigger: [{ every: '5s' }, { on: 'VM', filter: { function: 'filter' } }], limits: { heapMiB: 32 }, run: { function: 'run' } })
  const cyclic = await buildFiles({ 'a.ts': 'import { defineFunction } from \'kumoi\'\nconst d: any = { name: \'a\', run() {} }\nd.limits = d\nexport default defineFunction(d)\n' })
  t.ok(await describeBundle(sandbox, cyclic.script, 'me', never).then(() => true, () => true), 'a cycle ends')
})

t.test('what defines nothing, or twice, is refused', async (t) => {
  const describe = async (text: string): Promise<unknown> => describeBundle(sandbox, (await buildFiles({ 'a.ts': text })).script, 'me', never)
  const head = 'import { defineFunction } from \'kumoi\'\n'
  await t.rejects(describe('export default { name: \'a\', run() {} }\n'), { code: 'FUNCTIONS_ERR_DEFINITION_INVALID', message: /the default export must be one defineFunction\(\{ \.\.\. \}\), got something else/ })
  await t.rejects(describe(`${head}defineFunction({ name: 'a', run() {} })\nexport default defineFunction({ name: 'b', run() {} })\n`), { code: 'FUNCTIONS_ERR_DEFINITION_INVALID', message: /function a: .*got 2 calls of defineFunction/ })
  await t.rejects(describe(`${head}const a = defineFunction({ name: 'a', run() {} })\nexport default { ...a }\n`), { code: 'FUNCTIONS_ERR_DEFINITION_INVALID' })
  await t.rejects(describe(`${head}while (true);\nexport default defineFunction({ name: 'a', run() {} })\n`), { code: /FUNCTIONS_ERR_SANDBOX_(TIMEOUT|CPU)/ })
})

t.test('a throw at the top of the file tells its line', async (t) => {
  const { script, sourceMap } = await buildFiles({ 'a.ts': 'import { defineFunction } from \'kumoi\'\nimport { early } from \'./lib/early.ts\'\nexport default defineFunction({ name: early(), run() {} })\n', 'lib/early.ts': 'interface Unused { a: number }\nexport function early(): string {\n  throw new RangeError(\'too early\')\n}\n' })
  const error = await describeBundle(sandbox, script, 'me', never).then(() => undefined, (thrown: unknown) => thrown as Error & { code: string })
  t.match(error, { code: 'FUNCTIONS_ERR_THROWN', message: 'the file threw while it was loaded: too early' })
  t.match(originalStack(error?.stack ?? '', textOf(sourceMap), sha256(script)), /lib\/early\.ts:3:9[^]*a\.ts:3:39/)
})

t.test('run and filter', async (t) => {
  const { script } = await buildFiles({ 'a.ts': 'import { defineFunction } from \'kumoi\'\nexport default defineFunction({ name: \'a\', trigger: [{ topic: \'x\' }, { on: \'VM\', filter: (event) => event[\'cpu\'] === 1 }], run({ call }, payload: number) { return [call.id, payload * 2] } })\n' })
  t.same(valuesOf(await runScript(sandbox, script, [1, 2].map((n) => invocationOf(script, 'run', n)))), [['0123456789abcdef', 2], ['0123456789abcdef', 4]])
  t.same(valuesOf(await runScript(sandbox, script, [invocationOf(script, 'filter', { cpu: 1 }, 1), invocationOf(script, 'filter', { cpu: 2 }, 1), invocationOf(script, 'filter', {}, 0)])), [true, false, true])
})

t.test('the module is evaluated once an isolate, whatever is run of it', async (t) => {
  const { script } = await buildFiles({ 'a.ts': functionFile('() => ++calls', 'let calls = 0') })
  t.same(valuesOf(await runScript(sandbox, script, [1, 2, 3].map((n) => invocationOf(script, 'run', n)), { principal: 'once' })), [1, 2, 3])
})

t.test('a shipped function runs from the bundle and what it captured', async (t) => {
  const { script } = await buildFiles({ 'a.ts': functionFile('({ pms }: any, payload: any) => { const by = payload.by; const scale = (x: number) => x * by + OFFSET; pms.dmap((x: number) => scale(x)) }', 'const OFFSET = 100') })
  const { definition, ship } = loadHere(script)
  const shipped: unknown[] = []
  definition.run({ pms: { dmap: (fn: unknown) => shipped.push(fn) } }, { by: 3 })
  t.same(valuesOf(await runScript(sandbox, script, [1, 2], { environment: ship(shipped[0]) })), [103, 106])
})

t.test('a throw tells the line of the TypeScript file, in the entry and in what it shipped', async (t) => {
  const { script, sourceMap } = await buildFiles({
    'hot.ts': 'import { defineFunction } from \'kumoi\'\ninterface Payload { readonly limit: number }\nexport default defineFunction({\n  name: \'hot\',\n  async run({ range }, payload: Payload) {\n    const { limit } = payload\n    if (limit < 0) throw new TypeError(\'no limit\', { cause: new Error(\'deeper\') })\n    return range(5).dmap((n) => {\n      if (n > limit) throw new RangeError(`too hot: ${n}`)\n      return n\n    })\n  },\n})\n',
  })
  const map = textOf(sourceMap), version = sha256(script)
  const own = originalError(errorOf(await runScript(sandbox, script, [invocationOf(script, 'run', { limit: -1 })], { name: 'hot' })), map, version)
  t.match(own.stack, /TypeError: no limit\n {4}at [^\n]*hot\.ts:7:26/)
  t.match(own.cause?.stack, /hot\.ts:7:61/)

  // What the context's own dmap sends is run as the kernel would run it on another node.
  let environment: Uint8Array | undefined
  const sent = await runScript(sandbox, script, [invocationOf(script, 'run', { limit: 2 })], {
    name: 'hot', hostCall: async (call) => {
      const [request] = decodeArguments(call) as [{ readonly stages: readonly { readonly environment: Uint8Array; readonly code: string }[] }]
      environment = request.stages[0]?.environment
      t.equal(request.stages[0]?.code, version, 'the bundle itself is the code')
      return encodeValue([])
    },
  })
  t.equal(call(sent), call(sent))
  const there = await runScript(sandbox, script, [1, 2, 3], { environment: environment ?? new Uint8Array(0), name: 'hot', principal: 'elsewhere' })
  t.same(outcomes(there).map(({ value, message }) => value ?? message), [1, 2, 'too hot: 3'])
  const failed = there.runs.find((run) => 'failure' in run)
  const stack = failed !== undefined && 'failure' in failed ? failed.failure.error.stack ?? '' : ''
  t.match(originalStack(stack, map, version), /RangeError: too hot: 3\n {4}at [^\n]*hot\.ts:9:28/)
  t.equal(originalStack(stack, map, 'f'.repeat(64)), stack, 'frames of other versions stay as they are')
  t.equal(originalStack(stack, 'no map', version), stack)
})

const call = (result: JobResult): number => result.runs.length

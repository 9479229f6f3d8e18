// Deployed functions on bad days, three real nodes and the founder's own store: nodes and shells killed half-way, deploys
// against each other, damaged code, functions that do harm, a full disk. What was acknowledged stays; nobody else is disturbed.

import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { LIMITS } from '../../fabric/base.ts'
import { append, definition, deploySource, logLine, RIGHTS, writeSource } from '../support/deployed-lab.ts'
import { linesOf, openLab, until, within } from '../support/fabric-lab.ts'
import type { LabNode } from '../support/fabric-lab.ts'
import type { DataCenter } from '../../kali/mod.ts'

t.setTimeout(240_000)
const BOUND_MS = 30_000
const lab = await openLab(t)
let [alpha, beta, gamma] = await lab.fabric(['alpha', 'beta', 'gamma']) as [LabNode, LabNode, LabNode]
const centers = (): Promise<DataCenter[]> => Promise.all([alpha, beta, gamma].map((node) => lab.connect(node)))
const codeOf = (error: unknown): string => String((error as { readonly code?: unknown }).code)
const back = async (node: LabNode): Promise<LabNode> => lab.up({ name: node.name, data: node.data })

/** Answers its version constant, from where it runs and from functions nested in it. */
const versioned = (version: string): string => `async run({ range }) { const VERSION = '${version}'; return [VERSION, ...await range(2).dmap(() => VERSION)] }`
const mixed = (answer: unknown): boolean => !Array.isArray(answer) || answer.length !== 3 || new Set(answer).size !== 1

t.test('200 callers during deploys, rollbacks and alias moves: none fails, none sees a mixture', async (t) => {
  const dc = await lab.connect(alpha)
  await deploySource(lab, dc, 'versioned', versioned('one'))
  const all = await centers()
  let over = false
  const failed: string[] = [], wrong: unknown[] = []
  const seen = new Set<unknown>()
  let calls = 0
  const caller = async (at: number): Promise<void> => {
    const fn = (all[at % all.length] as DataCenter).fn('versioned')
    do {
      calls++
      await fn().then((answer) => {
        if (mixed(answer)) wrong.push(answer)
        else seen.add((answer as unknown[])[0])
      }, (error: unknown) => failed.push(`${codeOf(error)}: ${String(error)}`))
    } while (!over)
  }
  const callers = Promise.all(Array.from({ length: 200 }, (_, at) => caller(at)))
  try {
    await deploySource(lab, dc, 'versioned', versioned('two'))
    await deploySource(lab, all[1] as DataCenter, 'versioned', versioned('three'), { alias: 'canary', percent: 30 })
    await dc.functions.rollback('versioned')
    await dc.functions.alias('versioned', { stable: 'canary', canary: null })
    await deploySource(lab, all[2] as DataCenter, 'versioned', versioned('four'))
    await dc.functions.rollback('versioned')
  } finally {
    over = true
  }
  await within('all callers', BOUND_MS * 2, callers)
  t.same(failed.slice(0, 3), [], `${failed.length} of ${calls} calls failed${failed[0] === undefined ? '' : `, the first with ${failed[0]}`}`)
  t.same(wrong.slice(0, 3), [], `${wrong.length} mixtures`)
  t.ok(seen.size >= 2, `versions seen: ${[...seen].join(', ')}`)
})

t.test('two deploys of one name at once: each is whole, one is last', async (t) => {
  const all = await centers()
  for (let round = 0; round < 4; round++) {
    const outcomes = await Promise.allSettled(all.map((dc, at) => deploySource(lab, dc, 'twin', versioned(`${round}.${at}`)).then(({ manifest }) => manifest.version)))
    const done = outcomes.flatMap((outcome) => outcome.status === 'fulfilled' ? [outcome.value] : [])
    for (const outcome of outcomes) if (outcome.status === 'rejected') t.equal(codeOf(outcome.reason), 'FUNCTIONS_ERR_FUNCTION_CONFLICT')
    t.ok(done.length > 0, `${done.length} of 3 were done`)
    const { record } = await (all[0] as DataCenter).functions.get('twin')
    t.ok(done.includes(record.aliases['stable']?.version ?? ''), 'one that was acknowledged is stable')
    t.same([...done].sort(), done.filter((version) => version === record.aliases['stable']?.version || record.history.includes(version)).sort(), 'and the others are its history')
    const answers = await Promise.all(all.map((dc) => until('all agree', async () => { const row = await dc.functions.get('twin'); return row.record.generation === record.generation ? dc.fn('twin')() : undefined })))
    t.notOk(answers.some(mixed))
    t.equal(new Set(answers.map(String)).size, 1, `all answer ${String(answers[0])}`)
  }
})

t.test('a deploy whose shell or node dies half-way leaves the old or the new', async (t) => {
  const dc = await lab.connect(alpha)
  await deploySource(lab, dc, 'halfway', versioned('0'))
  const settled = async (what: string, versions: readonly string[]): Promise<string> => {
    const answers = await until(`${what}: all agree`, async () => {
      const found = await Promise.all((await centers()).map((center) => center.fn('halfway')()))
      return new Set(found.map(String)).size === 1 ? found : undefined
    }, BOUND_MS)
    t.notOk(answers.some(mixed), `${what}: no mixture`)
    const version = String((answers[0] as unknown[])[0])
    t.ok(versions.includes(version), `${what}: answers ${version}`)
    return version
  }
  let present = '0'
  // The shell: killed after a while of its own, early and late.
  for (const [round, afterMs] of [300, 700, 1_000].entries()) {
    const file = await writeSource(lab, 'halfway.ts', definition('halfway', versioned(`shell ${round}`)))
    let killer: NodeJS.Timeout | undefined
    const ended = lab.run(alpha, ['deploy', '--no-check', '--json', file], { onStart: (child) => { killer = setTimeout(() => child.kill('SIGKILL'), afterMs) } })
    await ended
    clearTimeout(killer)
    present = await settled(`shell killed after ${afterMs} ms`, [present, `shell ${round}`])
  }
  // The node: at each step that it tells of.
  for (let step = 1; step <= 3; step++) {
    const through = await lab.connect(beta, {})
    let steps = 0
    const { promise: reached, resolve } = Promise.withResolvers<void>()
    const deploying = deploySource(lab, through, 'halfway', versioned(`node ${step}`), { onProgress: () => { if (++steps === step) resolve() } }).then(() => true, () => false)
    await Promise.race([reached, deploying])
    await lab.kill(beta)
    const acknowledged = await deploying
    beta = await back(beta)
    await lab.settled([alpha, beta, gamma])
    present = await settled(`node killed at step ${step}`, acknowledged ? [`node ${step}`] : [present, `node ${step}`])
  }
})

t.test('a node killed in the midst of calls: each has one outcome', async (t) => {
  const dc = await lab.connect(alpha)
  await deploySource(lab, dc, 'slow', `async run({ log, call }, n) { log.info('begun'); await new Promise((resolve) => setTimeout(resolve, 500)); return n }`)
  const running = Promise.allSettled(Array.from({ length: 60 }, (_, n) => dc.functions.invoke('slow', n)))
  await within('a call on gamma', BOUND_MS, logLine(await lab.connect(gamma), 'slow', ({ node, text }) => node === 'gamma' && text === 'begun'))
  await lab.kill(gamma)
  const outcomes = await within('all calls', BOUND_MS, running)
  const failures = outcomes.flatMap((outcome) => outcome.status === 'rejected' ? [codeOf(outcome.reason)] : [])
  t.ok(outcomes.every((outcome, n) => outcome.status === 'rejected' || outcome.value === n))
  t.ok(failures.length > 0 && failures.length < 60, `${failures.length} of 60 were lost with it`)
  t.same([...new Set(failures)], ['FUNCTIONS_ERR_NODE_GONE'])
  t.same(await Promise.all(Array.from({ length: 20 }, (_, n) => dc.functions.invoke('slow', n))), Array.from({ length: 20 }, (_, n) => n), 'and the others go on')
  gamma = await back(gamma)
  await lab.settled([alpha, beta, gamma])
})

t.test('the founder killed: calls go on, changes say why they wait; back, nothing acknowledged is lost', async (t) => {
  const file = lab.dir('async-effects'), ticks = lab.dir('ticks')
  const dc = await lab.connect(beta)
  await deploySource(lab, dc, 'note', `${RIGHTS}, retry: { attempts: 20, backoff: '100ms' }, async run({ pms }, n) { ${append(file, 'String(n)', 'gamma')} }`)
  await deploySource(lab, dc, 'tick', `trigger: { every: '500ms' }, ${RIGHTS}, async run({ pms }) { ${append(ticks, `'tick'`, 'gamma')} }`)
  await deploySource(lab, dc, 'versioned', versioned('before'))
  await until('it ticks', async () => (await linesOf(ticks)).length > 0, BOUND_MS)

  // Until it dies: calls are put, functions deployed; what is acknowledged is written down.
  const kept: number[] = []
  const deployed = new Map<string, string>()
  let dead = false
  const putting = (async () => { for (let n = 0; !dead; n++) await dc.functions.enqueue('note', n, { timeoutMs: 10_000 }).then(() => kept.push(n), () => {}) })()
  const deploying = (async () => { for (let n = 0; !dead; n++) await deploySource(lab, dc, `kept-${n}`, versioned(String(n))).then(({ name, manifest }) => deployed.set(name, manifest.version), () => {}) })()
  await until('some are acknowledged', () => kept.length >= 20 && deployed.size >= 1, BOUND_MS)
  await lab.kill(alpha)
  dead = true

  t.same(await dc.fn('versioned')(), ['before', 'before', 'before'], 'called by name without the founder')
  const refused = [deploySource(lab, dc, 'versioned', versioned('after')), dc.functions.enqueue('note', -1), dc.functions.rollback('versioned')].map((change) => change.then(() => 'done', codeOf))
  t.same(await within('changes without the store', BOUND_MS, Promise.all(refused)), refused.map(() => 'FABRIC_ERR_STORE_UNREACHABLE'), 'changes say why they cannot be made')
  await within('what was under way', BOUND_MS, Promise.all([putting, deploying]))

  alpha = await back(alpha)
  await lab.settled([alpha, beta, gamma])
  const seenBefore = (await linesOf(ticks)).length
  await until('every acknowledged call is made', async () => { const made = new Set((await linesOf(file)).map(Number)); return kept.every((n) => made.has(n)) }, BOUND_MS * 2)
  const present = new Map((await (await lab.connect(alpha)).functions.list()).map(({ name, manifest }) => [name, manifest.version]))
  t.same([...deployed].filter(([name, version]) => present.get(name) !== version), [], `${deployed.size} deploys and ${kept.length} calls are all there`)
  for (const name of deployed.keys()) t.notOk(mixed(await dc.fn(name)()))
  await until('it ticks again', async () => (await linesOf(ticks)).length > seenBefore + 1, BOUND_MS)
  await until('changes are possible again', () => deploySource(lab, dc, 'versioned', versioned('after')).then(() => true, () => false), BOUND_MS)
  t.same(await dc.fn('versioned')(), ['after', 'after', 'after'])
})

t.test('every node restarted, one after the other: functions and triggers survive', async (t) => {
  const ticks = lab.dir('ticks')
  const restart = async (node: LabNode): Promise<LabNode> => {
    await lab.down(node)
    const again = await back(node)
    const count = (await linesOf(ticks)).length
    await until(`it ticks with a new ${node.name}`, async () => (await linesOf(ticks)).length > count + 1, BOUND_MS)
    return again
  }
  beta = await restart(beta)
  gamma = await restart(gamma)
  alpha = await restart(alpha)
  await lab.settled([alpha, beta, gamma])
  for (const dc of await centers()) t.same(await until('answers', () => dc.fn('versioned')().catch(() => undefined)), ['after', 'after', 'after'])
  await (await lab.connect(alpha)).functions.remove('tick')
})

t.test('code damaged on a disk is fetched from another node', async (t) => {
  const { manifest: { version } } = await deploySource(lab, await lab.connect(alpha), 'damaged', versioned('whole'))
  await lab.down(beta)
  const file = join(beta.data, 'blobs', version.slice(0, 2), version)
  const script = readFileSync(file)
  writeFileSync(file, Buffer.from(script).fill(0x20, 0, 100))
  beta = await back(beta)
  await lab.settled([alpha, beta, gamma])
  const dc = await lab.connect(beta)
  t.same(await until('it runs there', () => dc.fn('damaged', { target: 'node:beta' })().catch((error: unknown) => { if (!/UNREACHABLE|NODES/.test(codeOf(error))) throw error; return undefined })), ['whole', 'whole', 'whole'])
  await until('the file is whole again', () => { try { return readFileSync(file).equals(script) } catch { return false } }, BOUND_MS)
})

t.test('functions that do harm: typed outcomes, the others undisturbed', async (t) => {
  const dc = await lab.connect(alpha)
  await deploySource(lab, dc, 'good', `run: (_context, n) => n`)
  await deploySource(lab, dc, 'endless', `limits: { timeout: '1s' }, run() { for (;;) {} }`)
  await deploySource(lab, dc, 'sleeper', `limits: { timeout: '1s' }, run: () => new Promise(() => {})`)
  await deploySource(lab, dc, 'leaky', `limits: { heapMiB: 16, timeout: '10s' }, run() { const kept = []; for (;;) kept.push(new Array(10_000).fill(kept.length)) }`)
  await deploySource(lab, dc, 'noisy', `run({ log }) { for (let n = 0; n < 20_000; n++) log.info('x'.repeat(100)); return 'done' }`)
  await deploySource(lab, dc, 'recursive', `rights: ['function:invoke'], limits: { timeout: '10s' }, async run({ fn }, depth) { return fn('recursive')(depth + 1) }`)
  await deploySource(lab, dc, 'spreading', `rights: ['function:invoke'], limits: { timeout: '20s' }, async run({ fn }) { await Promise.all([fn('spreading')(), fn('spreading')()]) }`)
  await deploySource(lab, dc, 'deployer', `run(context) { return [typeof context.functions, typeof context.deploy, typeof process, typeof fetch] }`)
  let over = false, good = 0
  const others = (async () => { for (; !over; good++) if (await dc.fn('good')(good) !== good) throw new Error('wrong') })()
  const outcome = (name: string): Promise<string> => within(name, BOUND_MS, dc.functions.invoke(name, 0).then(String, (error: Error) => `${codeOf(error)}: ${error.message}`))
  for (const text of await Promise.all(['endless', 'sleeper'].map(outcome))) t.match(text, /^FUNCTIONS_ERR_SANDBOX_TIMEOUT: /)
  t.match(await outcome('leaky'), /^FUNCTIONS_ERR_SANDBOX_MEMORY: /)
  // It may share the cell that is killed for the others.
  t.equal(await outcome('noisy'), 'done')
  // As deep as calls go, or as many as one may cause: whichever is first.
  for (const name of ['recursive', 'spreading']) {
    t.match(await outcome(name), /^(FUNCTIONS_ERR_FUNCTION_BUDGET|FABRIC_ERR_TOO_MANY_HOPS): /, `${name} ends`)
    const [{ calls = Number.NaN } = {}] = await dc.functions.stats(name)
    t.ok(calls <= LIMITS.callBudget + 1, `${name} ran ${calls} times`)
  }
  t.equal(await outcome('deployer'), 'undefined,undefined,undefined,undefined')
  over = true
  await others
  t.ok(good > 10, `${good} calls of another function meanwhile`)
  const kept = await Array.fromAsync(dc.functions.logs({ name: 'noisy', lines: 10_000 }))
  t.ok(kept.length < 5_000, `${kept.length} lines of 20,000 are kept`)
})

const mountable = process.getuid?.() === 0 ? false : 'absent: root, to mount a small disk'
t.test('a full disk: typed errors, and nothing that was acknowledged is lost', { skip: mountable }, async (t) => {
  const small = await openLab(t)
  const disk = small.dir('disk')
  mkdirSync(disk)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'kumoi-full', disk])
  small.beforeRemoval(() => execFileSync('umount', ['-l', disk]))
  let node = await small.up({ name: 'solo', data: join(disk, 'solo') })
  let dc = await small.connect(node)
  await deploySource(small, dc, 'patient', `retry: { attempts: 1 }, run: (_context, n) => n`)
  await dc.functions.pause('patient')
  await deploySource(small, dc, 'plain', versioned('kept'))
  const filler = join(disk, 'filler')
  const kept: string[] = []
  const codes = new Set<string>()
  const payload = 'x'.repeat(50_000)
  const put = async (count: number): Promise<void> => { for (let n = 0; n < count; n++) await dc.functions.enqueue('patient', [n, payload]).then((id) => kept.push(id), (error: unknown) => codes.add(codeOf(error))) }
  await put(5)
  t.equal(kept.length, 5)
  for (let size = 64 << 20; size >= 4096; size >>= 1) try { for (;;) writeFileSync(filler, Buffer.alloc(size), { flag: 'a' }) } catch { /* full */ }

  // A little is left: some are kept yet.
  truncateSync(filler, statSync(filler).size - 500_000)
  await put(30)
  t.same([...codes].filter((code) => !/^(FABRIC|FUNCTIONS|RMO)_ERR_/.test(code)), [], `refused with ${[...codes].join(', ')}; ${kept.length} kept`)
  t.ok(codes.size > 0, 'the disk was full')
  const deploy = await deploySource(small, dc, 'plain', versioned(`new ${'y'.repeat(200_000)}`)).then(() => 'done', codeOf)
  t.match(deploy, /^(FABRIC|FUNCTIONS|RMO)_ERR_/)
  t.same(await dc.fn('plain')(), ['kept', 'kept', 'kept'], 'calls go on')

  await small.kill(node)
  execFileSync('rm', [filler])
  node = await small.up({ name: 'solo', data: node.data })
  dc = await small.connect(node)
  const waiting = new Set((await dc.functions.waiting('patient')).map(({ id }) => id))
  t.same(kept.filter((id) => !waiting.has(id)), [], 'all acknowledged calls wait')
  t.same(await dc.fn('plain')(), ['kept', 'kept', 'kept'])
  await deploySource(small, dc, 'plain', versioned('roomy'))
  t.same(await dc.fn('plain')(), ['roomy', 'roomy', 'roomy'])
})

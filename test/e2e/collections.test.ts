// What collections promise (DESIGN section 6), through the public door, on a fabric of two nodes in this
// process: every verb, on machines, ranges, data and nothing at all; order, streaming, references,
// console, errors.

import t from 'tap'
import { connect, startNode } from '../../kali/mod.ts'
import type { DataCenter, RunningNode } from '../../kali/mod.ts'
import type { PhysicalMachine } from '../../rmo/mod.ts'
import { linesOf, openLab, until } from '../support/fabric-lab.ts'

t.setTimeout(150_000)
const lab = await openLab(t)
const nodes: RunningNode[] = []
// Before the lab's own teardown, which removes the directories.
t.teardown(async () => { for (const node of nodes.reverse()) await node.stop() })
const said: { readonly nodeName: string; readonly level: string; readonly text: string }[] = []

async function fabric(): Promise<DataCenter> {
  nodes.push(await startNode({ data: lab.dir('alpha'), name: 'alpha', listen: '127.0.0.1' }))
  const dc = await connect({ data: lab.dir('alpha'), onConsole: (line) => said.push(line), defaults: { timeoutMs: 30_000 } })
  t.teardown(() => dc.close())
  nodes.push(await startNode({ data: lab.dir('beta'), name: 'beta', listen: '127.0.0.1', join: await dc.ticket() }))
  await until('both members', async () => (await dc.pms.length) === 2)
  return dc
}
const dc = await fabric()
const { pms } = dc
const words = 'the quick brown fox jumps over the lazy dog'.split(' ')

interface Failed extends Error { readonly code?: string; readonly details?: Record<string, unknown>; readonly outcomes?: readonly { readonly status: string; readonly error?: Error & { code?: string } }[] }
const failureOf = async (work: PromiseLike<unknown>): Promise<Failed> => {
  try { await work } catch (error) { return error as Failed }
  throw new Error('it did not fail')
}

t.test('machines are ordered by name and carry their figures', async (t) => {
  const machines = await pms
  t.same(machines.map((pm) => pm.name), ['alpha', 'beta'])
  t.ok(machines.every((pm) => pm.cpuRatio >= 0 && pm.cpuRatio <= 1 && pm.memoryFreeRatio > 0 && pm.cores > 0))
  t.same(await pms.dmap((pm) => pm.name), ['alpha', 'beta'])
  t.same(await pms.dmap((pm, index) => `${index}${pm.name}`), ['0alpha', '1beta'])
  t.equal(await pms.length, 2)
  const name: string = await pms.dmap((pm) => pm.name).at(-1)
  t.equal(name, 'beta')
  t.equal(await pms.dmap((pm) => pm.name).at(0), 'alpha')
  t.equal(await pms.dmap((pm) => pm.name).first(), 'alpha')
})

t.test('every d-verb on a range', async (t) => {
  const n = 10_000
  const range = dc.range(n)
  t.same(await dc.range(5).dmap((x) => x * 2), [0, 2, 4, 6, 8])
  t.same(await dc.range(3, 12, 3).dmap((x) => x), [3, 6, 9])
  t.same(await dc.range(5, 0, -2).dmap((x) => x), [5, 3, 1])
  t.same(await dc.range(0, 1, 0.25).dmap((x) => x), [0, 0.25, 0.5, 0.75])
  t.same(await dc.range(20).dfilter((x) => x % 7 === 0), [0, 7, 14])
  t.same(await dc.range(4).dflatMap((x) => Array.from({ length: x }, () => x)), [1, 2, 2, 3, 3, 3])
  t.equal(await dc.range(4).dforEach(() => 1), undefined)
  t.equal(await range.dreduce((a, b) => a + b), n * (n - 1) / 2)
  t.equal(await range.dfold(0, (a, b) => a + b), n * (n - 1) / 2)
  t.equal(await range.dcount(), n)
  t.equal(await range.dcount((x) => x % 3 === 0), Math.ceil(n / 3))
  t.equal(await range.dsome((x) => x === n - 1), true)
  t.equal(await range.dsome((x) => x < 0), false)
  t.equal(await range.devery((x) => x >= 0), true)
  t.equal(await range.devery((x) => x < n - 1), false)
  t.equal(await range.dfind((x) => x > 4_321), 4_322, 'the first in order, although many satisfy')
  t.equal(await range.dfind((x) => x < 0), undefined)
  t.equal(await range.dsum(), n * (n - 1) / 2)
  t.equal(await range.dsum((x) => BigInt(x)), BigInt(n * (n - 1) / 2))
  t.equal(await range.dmin((x) => Math.abs(x - 77)), 0)
  t.equal(await range.dmax((x) => -x), 0)
  const groups = await range.dgroupBy((x) => x % 3)
  t.same([...groups.keys()].sort(), [0, 1, 2])
  t.same(groups.get(2)?.slice(0, 3), [2, 5, 8])
  t.equal([...groups.values()].reduce((sum, g) => sum + g.length, 0), n)
  t.equal(await range.length, n)
})

t.test('every d-verb on shipped data', async (t) => {
  const data = dc.from(words)
  t.same(await data.dmap((w) => w.length), words.map((w) => w.length))
  t.same(await data.dfilter((w) => w.length > 4), ['quick', 'brown', 'jumps'])
  t.same(await data.dflatMap((w) => [...w].slice(0, 2)), words.flatMap((w) => [...w].slice(0, 2)))
  t.equal(await data.dreduce((a, b) => `${a} ${b}`), words.join(' '))
  t.equal(await data.dcount((w) => w === 'the'), 2)
  t.equal(await data.dsum((w) => w.length), 35)
  t.equal(await data.dmin((w) => w.length), 3)
  t.equal(await data.dmax((w) => w.length), 5)
  t.equal(await data.dfind((w) => w.startsWith('l')), 'lazy')
  t.equal(await data.dsome((w) => w === 'fox'), true)
  t.equal(await data.devery((w) => w === 'fox'), false)
  t.same((await data.dgroupBy((w) => w.length)).get(4), ['over', 'lazy'])
  async function* slowly() { for (const word of words) { await new Promise((resolve) => setImmediate(resolve)); yield word } }
  t.same(await dc.from(slowly()).dmap((w) => w.toUpperCase()), words.map((w) => w.toUpperCase()))
  t.same(await dc.from(new Set([1, 2, 3])).dmap((x) => x + 1), [2, 3, 4])
  const odd = [undefined, null, -0, NaN, 2n ** 70n, new Date(5), new Map([[{ a: 1 }, new Set(['x'])]]), /a+/gi, new Uint8Array([1, 2]), [[], {}]]
  t.same(await dc.from(odd).dmap((x) => x), odd)
  t.ok(Object.is((await dc.from([-0]).dmap((x) => x))[0], -0))
})

t.test('chains are fused and keep order', async (t) => {
  const chain = dc.range(2_000).dflatMap((x) => [x, -x]).dfilter((x) => x % 2 === 0).dmap((x) => x * 3)
  const wanted = Array.from({ length: 2_000 }, (_, x) => [x, -x]).flat().filter((x) => x % 2 === 0).map((x) => x * 3)
  t.same(await chain, wanted)
  t.equal(await dc.range(2_000).dflatMap((x) => [x, -x]).dfilter((x) => x >= 0).dcount(), 2_001)
  t.same(await dc.range(10).dmap((x) => x + 1).map((x) => x * 2).dfilter((x) => x > 12).dmap((x) => `n${x}`), ['n14', 'n16', 'n18', 'n20'], 'shipped, local, shipped again')
  t.same(await pms.filter((pm) => pm.name !== 'alpha').dmap((pm) => pm.exec('echo', [pm.name])).map((r) => r.stdout.trim()), ['beta'], 'a local filter keeps machines machines')
})

t.test('dreduce and dfold keep order with an operator that does not commute', async (t) => {
  const n = 5_000
  const wanted = Array.from({ length: n }, (_, i) => String(i)).join('')
  t.equal(await dc.range(n).dmap((x) => String(x)).dreduce((a, b) => a + b), wanted)
  t.equal(await dc.from(Array.from({ length: n }, (_, i) => String(i))).dreduce((a, b) => a + b), wanted)
  t.equal(await dc.from(Array.from({ length: n }, (_, i) => String(i))).dfold('', (a, b) => a + b), wanted)
  t.equal(await pms.dmap((pm) => pm.name).dreduce((a, b) => `${a}-${b}`), 'alpha-beta')
  t.equal(await dc.range(3).dmap((x) => String(x)).dreduce(async (a, b) => a + b), '012', 'an async operator')
})

t.test('nothing in, nothing out', async (t) => {
  const never: readonly number[] = []
  const empties = { range: dc.range(0), data: dc.from(never), machines: pms.dfilter(() => false).dmap(() => 1), backwards: dc.range(5, 5) }
  for (const [name, empty] of Object.entries(empties)) {
    t.same(await empty.dmap((x) => x), [], `${name}: dmap`)
    t.same(await empty.dfilter(() => true), [])
    t.same(await empty.dflatMap((x) => [x]), [])
    t.equal(await empty.dforEach(() => {}), undefined)
    t.equal(await empty.dreduce((a, b) => a + b), undefined, `${name}: dreduce`)
    t.equal(await empty.dfold(7, (a, b) => a + b), 7, `${name}: dfold`)
    t.equal(await empty.dcount(), 0)
    t.equal(await empty.dsome(() => true), false)
    t.equal(await empty.devery(() => false), true, `${name}: devery`)
    t.equal(await empty.dfind(() => true), undefined)
    t.same(await empty.dgroupBy(() => 1), new Map())
    t.equal(await empty.dsum(), 0, `${name}: dsum`)
    t.equal(await empty.dmin(), undefined)
    t.equal(await empty.dmax(), undefined)
    t.same(await empty.map((x) => x).filter(() => true).flat().sort().slice(), [])
    t.equal(await empty.reduce((a, b) => a + b), undefined)
    t.equal(await empty.reduce((a, b) => a + b, 3), 3)
    t.equal(await empty.find(() => true), undefined)
    t.same(await empty.groupBy((x) => x), new Map())
    t.equal(await empty.length, 0)
    t.same(await empty.dmap((x) => x).settled(), [])
    t.match(await failureOf(empty.at(0)), { code: 'FUNCTIONS_ERR_NO_SUCH_ELEMENT' })
    for await (const _ of empty) t.fail('nothing to see')
  }
})

t.test('plain verbs run here', async (t) => {
  const seen: string[] = []
  t.same(await dc.range(5).dmap((x) => x * 10).map((x) => { seen.push(`here ${x}`); return x + 1 }), [1, 11, 21, 31, 41])
  t.equal(seen.length, 5, 'a local function may close over what cannot travel')
  t.same(await dc.from([3, 1, 10, 2]).sort(), [1, 2, 3, 10])
  t.same(await dc.from([3, 1, 10, 2]).dmap((x) => x).sort((a, b) => b - a), [10, 3, 2, 1])
  t.same(await dc.range(10).dmap((x) => x).slice(2, 5), [2, 3, 4])
  t.same(await dc.range(10).dmap((x) => x).slice(-3), [7, 8, 9])
  t.same(await dc.range(4).dmap((x) => [x, [x]]).flat(), [0, [0], 1, [1], 2, [2], 3, [3]])
  t.same(await dc.range(3).dmap((x) => x).flatMap((x) => [x, x]), [0, 0, 1, 1, 2, 2])
  t.equal(await dc.range(5).dmap((x) => x).reduce((a, b) => a + b), 10)
  t.equal(await dc.range(5).dmap((x) => String(x)).reduce((a, b) => a + b, '>'), '>01234')
  t.equal(await dc.range(9).dmap((x) => x * x).find((x) => x > 20), 25)
  t.same((await dc.range(6).dmap((x) => x).groupBy((x) => x % 2)).get(1), [1, 3, 5])
  t.same(await pms.sort((a, b) => (a.name < b.name ? 1 : -1)).map((pm) => pm.name), ['beta', 'alpha'])
  t.match(await failureOf(dc.range(3).at(3)), { code: 'FUNCTIONS_ERR_NO_SUCH_ELEMENT', details: { index: 3, length: 3 } })
})

t.test('for await: in order, or as they come; leaving early ends the remote work', async (t) => {
  const ordered: number[] = []
  for await (const x of dc.range(3_000).dmap((x) => x)) ordered.push(x)
  t.same(ordered, Array.from({ length: 3_000 }, (_, x) => x))
  const free = new Set<number>()
  for await (const x of dc.range(3_000).dmap((x) => x, { ordered: false })) free.add(x)
  t.equal(free.size, 3_000)

  let pulled = 0, ended = false
  async function* forever() { try { for (;;) { pulled++; yield pulled } } finally { ended = true } }
  const got: number[] = []
  for await (const x of dc.from(forever()).dmap((x) => x * 2)) { got.push(x); if (got.length === 500) break }
  t.same(got, Array.from({ length: 500 }, (_, i) => (i + 1) * 2))
  await until('the input is told', () => ended)
  const before = pulled
  t.equal(await dc.range(10).dcount(), 10)
  t.equal(pulled, before, 'and is read no further')
  function* numbers() { for (let i = 0; ; i++) yield i }
  t.equal(await dc.from(numbers()).dfind((x) => x > 10_000), 10_001, 'an endless input ends when the answer is known')
})

t.test('settled(): one outcome an element, each with its node', async (t) => {
  const outcomes = await dc.range(100).dmap((x) => { if (x % 10 === 3) throw new RangeError(`no ${x}`); return x }).settled()
  t.equal(outcomes.length, 100)
  t.same(outcomes.map((o) => o.index), Array.from({ length: 100 }, (_, i) => i))
  t.equal(outcomes.filter((o) => o.status === 'error').length, 10)
  t.match(outcomes[4], { status: 'value', value: 4, nodeName: /^(alpha|beta)$/ })
  t.match(outcomes[3], { status: 'error', error: { name: 'RangeError', message: 'no 3' }, nodeName: /^(alpha|beta)$/ })
  const machines = await pms.dmap((pm) => { if (pm.name === 'beta') throw new Error('beta says no'); return pm.name }).settled()
  t.match(machines, [{ status: 'value', value: 'alpha', nodeName: 'alpha' }, { status: 'error', error: { message: 'beta says no' }, nodeName: 'beta' }])
  const failure = await failureOf(pms.dmap((pm) => { if (pm.name === 'beta') throw new Error('beta says no'); return pm.name }))
  t.equal(failure.code, 'FUNCTIONS_ERR_MAP_FAILED')
  t.equal(failure.outcomes?.length, 2, 'the error holds all outcomes')
})

t.test('errors keep class, cause, fields, and lines of the file that the user wrote', async (t) => {
  const boom = (depth: number): never => {
    if (depth > 0) return boom(depth - 1)
    throw new TypeError('deep down', { cause: Object.assign(new Error('the root'), { code: 'E_ROOT', details: { a: 1 } }) })
  }
  const [outcome] = await dc.range(1).dmap(() => boom(2)).settled()
  if (outcome?.status !== 'error') throw new Error(`it was ${outcome?.status}`)
  const { error } = outcome
  t.ok(error instanceof Error)
  t.equal(error.name, 'TypeError')
  t.equal(error.message, 'deep down')
  t.match(error.cause, { message: 'the root', code: 'E_ROOT' })
  t.match(error.stack, /collections\.test\.ts:\d+/, 'the stack names this file')
  const [, line] = /collections\.test\.ts:(\d+)/.exec(error.stack ?? '') ?? []
  const { readFileSync } = await import('node:fs')
  t.match(readFileSync(import.meta.filename, 'utf8').split('\n')[Number(line) - 1], /throw new TypeError\('deep down'/, 'and the very line')
})

t.test('collections and references can be captured', async (t) => {
  t.same(await dc.range(1).dmap(async () => (await pms).map((pm) => pm.name)), [['alpha', 'beta']])
  const [alpha] = await pms
  if (alpha === undefined) throw new Error('no alpha')
  t.same(await dc.range(2).dmap(async (i) => `${i}${(await alpha.exec('echo', ['-n', 'from'])).stdout}${alpha.name}`), ['0fromalpha', '1fromalpha'])
  t.same(await pms.dmap(async (pm) => (await pm.info()).pid > 0), [true, true])
  t.same(await pms.dfilter((pm) => pm.uuid === alpha.uuid).dmap((pm) => pm.name), ['alpha'])
  const [back] = await pms.dfilter((pm) => pm.name === 'beta') as PhysicalMachine[]
  t.equal((await back?.exec('echo', ['-n', 'again']))?.stdout, 'again', 'a reference in a result can be called')
  const nested = await dc.range(1).dmap(async () => ({ found: await pms }))
  t.equal((await nested[0]?.found[1]?.info())?.name, 'beta', 'also deep inside one')
  t.equal((await pms.at(1).info()).name, 'beta', 'before it is known')
  t.equal((await pms.dmap((pm) => pm.exec('sh', ['-c', 'exit 3'])).at(0)).code, 3)
  t.match(await pms.dmap((pm) => pm.readFile('/proc/sys/kernel/ostype')), ['Linux\n', 'Linux\n'])
  t.match(await failureOf(pms.dmap((pm) => pm.readFile('/no/such/file'))), { outcomes: [{ status: 'error', error: { code: 'RMO_ERR_FILE_FAILED' } }] })
  t.match(await failureOf(pms.dmap((pm) => pm.exec('no-such-program'))), { outcomes: [{ status: 'error', error: { code: 'RMO_ERR_EXEC_NOT_FOUND' } }] })
})

t.test('console output comes home with the name of its node', async (t) => {
  said.length = 0
  await pms.dforEach((pm) => { console.log('hello from', pm.name, { deep: [1, 2] }); console.warn('careful') })
  await until('four lines', () => said.length >= 4)
  t.match(said.find((line) => line.nodeName === 'beta' && line.level === 'log')?.text, /hello from beta/)
  t.equal(said.filter((line) => line.level === 'warn' && line.text === 'careful').length, 2)
})

t.test('options: refused by name, merged, and obeyed', async (t) => {
  t.match(await failureOf((async () => dc.range(1).dmap((x) => x, { timeoutMs: -1 }))()), { code: 'FUNCTIONS_ERR_BAD_OPTION', details: { option: 'timeoutMs' } })
  t.match(await failureOf((async () => dc.range(1).with({ tiemout: 3 } as object))()), { code: 'FUNCTIONS_ERR_BAD_OPTION' })
  t.match(await failureOf((async () => dc.range(1).dmap('x' as unknown as (x: number) => number))()), { code: 'FUNCTIONS_ERR_NOT_A_FUNCTION' })
  const progress: { done: number; failed: number; total: number | undefined }[] = []
  await dc.range(1_000).dmap((x) => { if (x === 5) throw new Error('five'); return x }, { onProgress: (p) => progress.push(p) }).settled()
  t.match(progress.at(-1), { total: 1_000, done: 999, failed: 1 })
  const stop = new AbortController()
  const endless = pms.dmap(() => new Promise(() => {}), { signal: stop.signal }).settled()
  stop.abort()
  const outcomes = await endless.catch((error: Failed) => error)
  t.ok(outcomes instanceof Error || outcomes.every((o) => o.status === 'cancelled'), 'cancelled')
  t.match(await failureOf(pms.with({ resultBytes: 1_000 }).dmap(() => 'x'.repeat(5_000))), { outcomes: [{ status: 'error', error: { code: 'FUNCTIONS_ERR_VALUE_TOO_LARGE' } }, {}] })
  const log = lab.dir('calls')
  await pms.dmap((pm) => pm.exec('sh', ['-c', `echo ${pm.name} >> ${log}`]), { concurrency: 1 })
  t.same((await linesOf(log)).sort(), ['alpha', 'beta'], 'each machine asked once')
})

t.test('explain() shows what would travel', async (t) => {
  const limit = 0.9, table = new Map([['a', [1, 2, 3]]])
  const manifest = dc.explain((pm: PhysicalMachine) => pm.cpuRatio > limit && table.has(pm.name))
  t.match(manifest, { codeHash: /^[0-9a-f]{64}$/, packages: [], location: /collections\.test\.ts:\d+/ })
  t.same(manifest.captured.map((c) => c.path).sort(), ['limit', 'table'])
  t.match(dc.explain(() => pms.dmap((pm) => pm.name)).capabilities, ['PhysicalMachine'])
  const again = dc.explain((pm: PhysicalMachine) => pm.cpuRatio > limit && table.has(pm.name))
  t.equal(again.codeHash, manifest.codeHash, 'the same text is the same code')
})

// Logs and figures of a fabric of three, gathered by the node that is asked, over real RPC.

import { test } from 'tap'
import type { Test } from 'tap'
import { seededRandom, systemClock } from '../../../fabric/base.ts'
import type { CallParent } from '../../../fabric/mod.ts'
import { createObservation, createObserveClient } from '../../../functions/mod.ts'
import type { LogLine, Observation, ObserveApi } from '../../../functions/mod.ts'
import { fabricText } from '../../../functions/observe/metrics.ts'
import { callRecord, logLine, openObservedNodes } from '../../support/observed-nodes.ts'
import type { ObservedNode, ObservedNodes } from '../../support/observed-nodes.ts'

interface Fabric extends ObservedNodes { readonly of: (name: string) => Observation; readonly api: ObserveApi; observe(node: ObservedNode): Observation }

function open(t: Test, names = ['alpha', 'beta', 'gamma']): Fabric {
  const fabric = openObservedNodes(names)
  const all = new Map<string, Observation>()
  const observe = (node: ObservedNode): Observation => {
    const made = createObservation({
      registry: node.registry, membership: node.membership, peer: (id) => node.peer(id), clock: systemClock, random: seededRandom(node.name.length),
      names: () => ['hot', 'idle'], functions: () => [{ name: 'hot', running: 1, waiting: 2, warm: node.name === 'beta', broken: false }], node: () => ({ cells: 1, storeReachable: true, members: { alive: 3 }, objects: { VM: 2 } }),
    })
    all.set(node.name, made)
    return made
  }
  for (const node of fabric.nodes) observe(node)
  const [first] = fabric.nodes
  if (first === undefined) throw new Error('no nodes')
  const shell = first.shell()
  t.teardown(() => { for (const one of all.values()) one.close(); fabric.close() })
  return {
    ...fabric, observe,
    of: (name) => { const found = all.get(name); if (found === undefined) throw new Error(name); return found },
    api: createObserveClient({ peer: shell, callOptions: () => ({ timeoutMs: 20_000 }) }),
  }
}
const parent = (): CallParent => ({ principal: 'local:0', trace: '0123456789abcdef', hop: 0, signal: new AbortController().signal, remainingMs: () => 20_000 })

type Line = LogLine & { readonly node: string }
async function take(lines: AsyncIterator<Line>, count: number): Promise<string[]> {
  const taken: string[] = []
  while (taken.length < count) {
    const { value, done } = await lines.next()
    if (done === true) break
    taken.push(`${(value as Line).node}: ${(value as Line).text}`)
  }
  return taken
}
const ignoreAbort = (error: unknown): undefined => { if (!/CANCEL/.test(String((error as { code?: string }).code))) throw error }

test('last lines of all nodes are sorted by time; then lines come as they come', async (t) => {
  const { of, api } = open(t)
  of('beta').line(logLine({ atMs: 2, text: 'second' }))
  of('alpha').line(logLine({ atMs: 1, text: 'first' }))
  of('gamma').line(logLine({ atMs: 3, text: 'third', fields: { hot: 3 } }))
  of('gamma').line(logLine({ atMs: 3, name: 'other', text: 'not asked for' }))
  const once: Line[] = []
  for await (const line of api.logs({ name: 'hot' })) once.push(line)
  t.same(once.map(({ node, text }) => `${node}: ${text}`), ['alpha: first', 'beta: second', 'gamma: third'])
  t.same(once[2]?.fields, { hot: 3 })
  t.equal(once[0]?.trace, '00000000000000000123456789abcdef', 'traces have the length that the world knows')
  const control = new AbortController()
  const lines = api.logs({ name: 'hot', follow: true, lines: 1, signal: control.signal })[Symbol.asyncIterator]()
  t.same(await take(lines, 1), ['gamma: third'])
  of('beta').line(logLine({ text: 'live', level: 'warn' }))
  t.same(await take(lines, 1), ['beta: live'])
  of('alpha').called(callRecord(), { status: 'error', error: { code: 'FUNCTIONS_ERR_THROWN', message: 'boom', stack: 'Error: boom\n    at run (hot.ts:3:9)' } })
  const { value } = await lines.next()
  t.match(value, { node: 'alpha', level: 'error', text: 'boom', fields: { code: 'FUNCTIONS_ERR_THROWN', stack: /hot\.ts:3:9/ } }, 'a failed call is a line')
  of('alpha').called(callRecord(), { status: 'error', error: { code: 'FUNCTIONS_ERR_MAP_FAILED', message: '1 of 2 failed', stack: 'CodedError: 1 of 2 failed', cause: { code: 'FUNCTIONS_ERR_THROWN', message: 'far', stack: 'Error: far\n    at eval (hot.ts:4:7)' } } })
  t.match((await lines.next()).value, { text: '1 of 2 failed', fields: { stack: /hot\.ts:4:7/ } }, 'an error without frames has those of its cause')
  control.abort()
  await lines.next().catch(ignoreAbort)
})

test('a node that joins is followed, one that dies is told of, one whose line breaks goes on where it was', async (t) => {
  const fabric = open(t, ['alpha', 'beta'])
  const { of, api } = fabric
  const control = new AbortController()
  const lines = api.logs({ follow: true, signal: control.signal })[Symbol.asyncIterator]()
  of('beta').line(logLine({ text: 'one' }))
  t.same(await take(lines, 1), ['beta: one'])

  fabric.cut('beta')
  of('beta').line(logLine({ text: 'two' }))
  of('beta').line(logLine({ text: 'three' }))
  t.match(await take(lines, 1), [/^beta: beta does not answer/])
  fabric.mend('beta')
  t.same(await take(lines, 3), ['beta: the log of beta goes on', 'beta: two', 'beta: three'], 'nothing is missing and nothing comes twice')

  fabric.join('gamma', (node) => fabric.observe(node).line(logLine({ text: 'early' })))
  t.same(await take(lines, 1), ['gamma: early'])
  fabric.change('beta', 'dead')
  t.same(await take(lines, 1), ['beta: beta died; no lines come from it'])
  of('alpha').line(logLine({ text: 'still here' }))
  t.same(await take(lines, 1), ['alpha: still here'])
  control.abort()
  await lines.next().catch(ignoreAbort)
})

test('a dead node is told of, and a wrong wish is refused', async (t) => {
  const fabric = open(t)
  fabric.change('gamma', 'dead')
  const all: Line[] = []
  for await (const line of fabric.api.logs()) all.push(line)
  t.match(all, [{ node: 'gamma', level: 'system', text: /gamma is dead/ }])
  for (const text of ['one', 'two']) fabric.of('alpha').line(logLine({ text }))
  const last: Line[] = []
  for await (const line of fabric.api.logs({ lines: 1 })) last.push(line)
  t.same(last.map(({ text }) => text).sort(), ['gamma is dead; its lines are not here', 'two'], 'and takes the place of no line')
  const wrong = fabric.api.logs({ level: 'loud' as 'warn' })[Symbol.asyncIterator]()
  await t.rejects(wrong.next(), { code: 'FUNCTIONS_ERR_PAYLOAD_INVALID' })
})

test('a reader that is slower than the log misses lines, is told how many, and holds nobody up', async (t) => {
  const { of } = open(t, ['alpha'])
  const { logs } = of('alpha')
  const control = new AbortController()
  const stream = logs.stream({ lines: 0, follow: true }, control.signal)[Symbol.asyncIterator]()
  t.match(await stream.next(), { value: { tag: 'live' } })
  // Its first step registers what it waits for.
  const first = stream.next()
  await new Promise(setImmediate)
  for (let n = 0; n < 5_000; n++) logs.line(logLine({ name: `f${n % 50}`, text: String(n) }))
  const seen: string[] = []
  for (let step = await first; step.done !== true; step = await stream.next()) {
    if (step.value.tag === 'lines') seen.push(...step.value.lines.map(({ line }) => line.text))
    if (/dropped/.test(seen.at(-1) ?? '')) break
  }
  t.equal(seen.length, 2_001)
  t.equal(seen.at(-1), '3000 lines dropped: this reader is slower than the log')
  logs.line(logLine({ text: 'after' }))
  t.match(await stream.next(), { value: { lines: [{ line: { text: 'after' } }] } })
  control.abort()
  t.match(await stream.next(), { done: true })
})

test('figures of all nodes are put together: percentiles of all calls, not averages', async (t) => {
  const { of, api, change } = open(t)
  for (let n = 0; n < 99; n++) of('alpha').called(callRecord({ runMs: 1, cpuMs: 1 }), { status: 'value' })
  of('beta').called(callRecord({ runMs: 1_000, cpuMs: 5, cold: true, version: 'b'.repeat(64) }), { status: 'error' })
  const [hot, idle] = await api.stats()
  t.match(hot, { name: 'hot', calls: 100, errors: 1, coldStarts: 1, cpuMs: 104, running: 3, waiting: 6, versions: { ['a'.repeat(64)]: 99, ['b'.repeat(64)]: 1 } })
  t.ok(hot !== undefined && hot.p50Ms < 1.1 && hot.p95Ms < 1.1, 'two nodes averaged would say 500 ms')
  t.match(hot?.nodes, [{ node: 'alpha', calls: 99, warm: false }, { node: 'beta', calls: 1, errors: 1, warm: true }, { node: 'gamma', calls: 0 }])
  t.match(idle, { name: 'idle', calls: 0 }, 'deployed and never called')
  t.equal(hot?.silent, undefined)
  change('gamma', 'dead')
  t.match(await api.stats('hot'), [{ name: 'hot', running: 2, silent: ['gamma'] }])
  t.same(await api.stats('unknown'), [])
})

test('Prometheus text of the whole fabric: one HELP and TYPE a family, a node on each series, kumoi_up 0 for who is silent', async (t) => {
  const fabric = open(t)
  const { of, api } = fabric
  of('alpha').called(callRecord(), { status: 'value' })
  of('beta').called(callRecord(), { status: 'timeout' })
  of('beta').count('hot', 'busy', 3)
  fabric.cut('gamma')
  const text = await api.metrics()
  t.match(text, 'kumoi_function_calls_total{function="hot",version="aaaaaaaaaaaa",status="value",node="alpha"} 1')
  t.match(text, 'kumoi_function_calls_total{function="hot",version="aaaaaaaaaaaa",status="timeout",node="beta"} 1')
  t.match(text, /kumoi_function_duration_seconds_bucket\{(?=[^}]*node="alpha")(?=[^}]*le="0.01")[^}]*\} 1/)
  t.match(text, /kumoi_function_duration_seconds_count\{(?=[^}]*node="beta")[^}]*\} 1/)
  t.match(text, 'kumoi_function_events_total{function="hot",event="busy",node="beta"} 3')
  t.match(text, 'kumoi_up{node="alpha"} 1')
  t.match(text, 'kumoi_up{node="gamma"} 0')
  t.match(text, 'kumoi_store_reachable{node="beta"} 1')
  for (const family of ['kumoi_function_calls_total', 'kumoi_up', 'kumoi_function_duration_seconds']) {
    t.equal(text.split(`# TYPE ${family} `).length, 2, `${family}: one TYPE`)
    t.equal(text.split(`# HELP ${family} `).length, 2, `${family}: one HELP`)
  }
  of('beta').forget('hot')
  const later = await of('beta').metrics(parent())
  t.notMatch(later, /calls_total\{[^}]*node="beta"/, 'a removed function takes its series along')
  t.match(later, /calls_total\{[^}]*node="alpha"/)
})

test('a node whose text makes no sense counts as one that did not answer, and adds nothing', (t) => {
  const head = '# HELP kumoi_cells Sandbox processes.\n# TYPE kumoi_cells gauge\n'
  const good = `${head}kumoi_cells{node="alpha"} 2\n`
  const wrong = ['x', `${head}kumoi_cells{node="alpha"} 2\n`, `${head}kumoi_cells{node="beta"} 2\nkumoi_up{node="beta"} 1\n`, 'kumoi_cells{node="beta"} 2', `${head}kumoi_cells{node="beta"} 2 \u0000`, `${head}kumoi_cells{node="beta"} {"a":1}`, `${head}other{node="beta"} 1`]
  for (const text of wrong) t.equal(fabricText([{ node: 'alpha', text: good }, { node: 'beta', text }], ['gamma']).split('\n').filter((line) => !line.startsWith('#')).join(' '), 'kumoi_up{node="gamma"} 0 kumoi_up{node="alpha"} 1 kumoi_up{node="beta"} 0 kumoi_cells{node="alpha"} 2 ', JSON.stringify(text))
  t.end()
})

test('labels are bounded: names, versions', async (t) => {
  const { of } = open(t, ['alpha'])
  for (let n = 0; n < 700; n++) of('alpha').called(callRecord({ name: `f${n}` }), { status: 'value' })
  for (let n = 0; n < 50; n++) of('alpha').called(callRecord({ name: 'f0', version: n.toString(16).padStart(2, '0').repeat(32) }), { status: 'value' })
  const text = await of('alpha').metrics(parent())
  t.ok(new Set([...text.matchAll(/calls_total\{function="([^"]+)"/g)].map(([, name]) => name)).size <= 501)
  t.match(text, 'function="other"')
  t.equal([...text.matchAll(/calls_total\{function="f0",/g)].length, 5)
})

test('a node that stops while it is followed is told of', async (t) => {
  const fabric = open(t, ['alpha', 'beta'])
  const control = new AbortController()
  const lines = fabric.api.logs({ follow: true, lines: 1, signal: control.signal })[Symbol.asyncIterator]()
  fabric.of('beta').line(logLine({ text: 'one' }))
  t.same(await take(lines, 1), ['beta: one'])
  fabric.of('beta').close()
  t.match(await take(lines, 1), [/^beta: beta does not answer.*ended its log/])
  fabric.change('beta', 'left')
  t.same(await take(lines, 1), ['beta: beta left; no lines come from it'])
  control.abort()
  await lines.next().catch(ignoreAbort)
})

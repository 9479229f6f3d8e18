// Simulations through the door of kali: real bundles, in isolates, over simulated machines on virtual time.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { test } from 'tap'
import { buildBundle } from '../../../functions/mod.ts'
import type { Built, LogLine } from '../../../functions/mod.ts'
import { parseTrace, plotSvg, reportText } from '../../../kali/mod.ts'
import type { SimulateOptions, SimulateReport } from '../../../kali/mod.ts'
import { simulate } from '../../../kali/simulate/start.ts'

const directory = mkdtempSync(join(tmpdir(), 'kumoi-simulate-'))
t.teardown(() => rmSync(directory, { recursive: true, force: true }))
const packageRoot = join(import.meta.dirname, '..', '..', '..')
const MINUTE = 60_000
const START = Date.UTC(2026, 0, 1)

let files = 0
async function bundleOf(definition: string): Promise<Built> {
  const file = join(directory, `f${++files}.ts`)
  writeFileSync(file, `import { defineFunction } from 'kumoi'\nexport default defineFunction(${definition})\n`)
  return buildBundle({ file, types: 'skip', packageRoot })
}
const run = (bundles: readonly Built[], options: Partial<SimulateOptions> = {}): Promise<SimulateReport> =>
  simulate({ bundles, hosts: 3, vmsPerHost: 4, forMs: 10 * MINUTE, startAtMs: START, seed: 1, cacheDirectory: join(directory, 'cache'), packageDirectories: [], ...options })
const trace = (text: string): NonNullable<SimulateOptions['trace']> => ({ rows: parseTrace(`time,target,cpuRatio\n${text}`, { file: 'load.csv', startAtMs: START }), interpolation: 'step' })

const HOT = `{ name: 'hot-machines', trigger: { every: '5s' }, rights: ['vm:read'], singleton: true,
  async run({ pms, log, emit }) {
    const hot = await pms.dmap(pm => pm.vms.filter(vm => vm.cpuRatio > 0.9)).flat()
    if (hot.length) emit('hot', hot.map(vm => vm.name))
    log.info({ hot: hot.length })
  } }`

test('a policy sees the trace: ticks, calls, topics, lines', async (t) => {
  const lines: LogLine[] = []
  const report = await run([await bundleOf(HOT)], { trace: trace('0,*,0.2\n2m,sim1,1\n4m,sim1,0.2\n'), onLine: (line) => { lines.push(line) } })
  const [hot] = report.functions
  t.equal(hot?.calls, 121, 'at the beginning and each 5 s')
  t.equal(hot?.errors, 0)
  t.same(hot?.causes, { every: 121 })
  t.same(report.emitted, { hot: 24 }, 'for two minutes, each 5 s')
  t.same(hot?.lines, { info: 121 })
  t.equal(lines[0]?.atMs, START, 'lines carry virtual time')
  t.ok(lines.some(({ text, fields }) => JSON.stringify([text, fields]).includes('4')), 'four VMs of one machine')
  t.ok(report.points.some(({ atMs, cpuMax }) => atMs === 3 * MINUTE && cpuMax > 0.4))
})

test('the same seed prints the same bytes, another one others', async (t) => {
  const bundle = await bundleOf(`{ name: 'dice', trigger: { every: '20s' }, rights: ['vm:read'],
    async run({ state, log, vms }) { await state.put('dice', Math.random()); log.info({ at: Date.now(), dice: await state.get('dice'), vms: (await vms).map((vm) => vm.cpuRatio) }) } }`)
  const texts = async (seed: number): Promise<string> => {
    const lines: LogLine[] = []
    const report = await run([bundle], { seed, scenario: 'failures', onLine: (line) => { lines.push(line) } })
    return JSON.stringify([report, lines, plotSvg(report), reportText(report)])
  }
  const first = await texts(7)
  t.equal(await texts(7), first)
  t.not(await texts(8), first)
})

test('what a policy does changes the world', async (t) => {
  const mover = await bundleOf(`{ name: 'mover', trigger: { every: '1m' }, rights: ['pm:read', 'vm:read', 'vm:operate', 'vmm:create'], singleton: true,
    async run({ pms, emit }) {
      const sorted = [...await pms].sort((a, b) => b.cpuRatio - a.cpuRatio)
      if (sorted[0].cpuRatio - sorted.at(-1).cpuRatio < 0.2) return
      const [vm] = [...await sorted[0].vms].sort((a, b) => b.cpuRatio - a.cpuRatio)
      await vm.migrate(sorted.at(-1))
      await emit('moved', vm.name)
    } }`)
  const hear = await bundleOf(`{ name: 'hear', trigger: { topic: 'moved' }, run({ state }, name) { return state.put('last', name) } }`)
  const report = await run([mover, hear], { trace: trace('0,*,0.1\n0,sim1,1\n') })
  const moved = report.verbs.find(({ verb }) => verb === 'migrate')
  t.ok((moved?.calls ?? 0) >= 1)
  t.same(moved?.failed, {})
  t.same(report.emitted, { moved: moved?.calls })
  t.equal(report.functions[1]?.causes['topic'], moved?.calls, 'each was heard')
  t.same(report.stateChanges, { last: moved?.calls })
  t.ok((report.points.at(-1)?.cpuMax ?? 1) < (report.points.find(({ atMs }) => atMs > 0)?.cpuMax ?? 0), 'the hottest machine is cooler')
})

test('a right that the manifest has not is denied, and the failure has its line', async (t) => {
  const bundle = await bundleOf(`{ name: 'stopper', trigger: { every: '1m' }, rights: ['vm:read'],
    async run({ pms }) { const [vm] = await (await pms)[0].vms; await vm.stop() } }`)
  const report = await run([bundle])
  t.equal(report.functions[0]?.errors, 11)
  t.equal(report.functions[0]?.firstError?.code, 'RMO_ERR_DENIED')
  t.same(report.points.at(-1)?.states, { running: 12 })
  t.equal(report.points.at(-1)?.changes, 0)
})

test('a throw tells the line of the file; --until-error ends there', async (t) => {
  const bundle = await bundleOf(`{ name: 'thrower', trigger: { every: '1m' },
    run() {
      throw new Error('no luck')
    } }`)
  const report = await run([bundle], { untilError: true })
  t.equal(report.ended, 'error')
  t.equal(report.functions[0]?.errors, 1)
  t.match(report.functions[0]?.firstError?.stack, /f\d+\.ts:4:\d+/)
})

test('events, cron, retries: a machine that dies takes its VMs along, and they are started again', async (t) => {
  const healer = await bundleOf(`{ name: 'healer', trigger: [{ on: 'VM', events: ['crashed'] }, { cron: '*/5 * * * *' }], rights: ['vm:read', 'vm:watch', 'vm:operate'], retry: { attempts: 5, backoff: '30s' },
    async run({ call }, event) { if (call.cause.type === 'event') await event.object.start() } }`)
  const report = await run([healer], { faults: [{ host: 'sim2', atMs: MINUTE, forMs: MINUTE }] })
  const [of] = report.functions
  t.equal(of?.causes['cron'], 2)
  t.ok((of?.errors ?? 0) > 0, 'it cannot be reached while it is down')
  t.ok((of?.counts['retries'] ?? 0) > 0)
  t.same(report.points.at(-1)?.states, { running: 12 })
  t.ok(report.points.some(({ states, hostsDown }) => states['crashed'] === 4 && hostsDown === 1))
})

test('a function that never ends is ended, and the next call runs', async (t) => {
  const bundle = await bundleOf(`{ name: 'spinner', trigger: { every: '5m' }, limits: { cpuTime: '200ms' }, run() { for (;;) {} } }`)
  const report = await run([bundle])
  t.equal(report.functions[0]?.firstError?.status, 'timeout')
  t.ok((report.functions[0]?.errors ?? 0) >= 2)
})

test('time in a function is virtual, also while it waits', async (t) => {
  const lines: LogLine[] = []
  const bundle = await bundleOf(`{ name: 'sleeper', trigger: { every: '1m' }, async run({ log }) { const from = Date.now(); await new Promise((done) => setTimeout(done, 7000)); log.info({ waited: Date.now() - from }) } }`)
  await run([bundle], { forMs: 3 * MINUTE, onLine: (line) => { lines.push(line) } })
  t.ok(lines.length >= 3)
  t.ok(lines.every(({ text, fields }) => JSON.stringify([text, fields]).includes('7000')))
})

test('what is looked at twice without a change is the same, and a change inside it stays in its call', async (t) => {
  const lines: LogLine[] = []
  const bundle = await bundleOf(`{ name: 'vandal', trigger: { every: '5s' }, rights: ['vm:read', 'vm:update'],
    async run({ pms, log }) {
      const [vm] = await (await pms)[0].vms
      const before = vm.macs.length + Object.keys(vm.labels).length
      vm.macs.push('x')
      log.info({ before, description: vm.description })
      if (vm.description === '') { vm.description = 'seen' }
    } }`)
  await run([bundle], { forMs: MINUTE, onLine: (line) => { lines.push(line) } })
  t.equal(lines.length, 13)
  t.ok(lines.every(({ text, fields }) => /"before\\*":0/.test(JSON.stringify([text, fields]))))
  t.equal(lines.filter(({ text, fields }) => JSON.stringify([text, fields]).includes('seen')).length, 12, 'what was assigned is there from the next call on')
})

test('an answer that stands is given up when something changes, also in the middle of a call', async (t) => {
  const lines: LogLine[] = []
  const bundle = await bundleOf(`{ name: 'switcher', trigger: { every: '5s' }, rights: ['vm:read', 'vm:operate'],
    async run({ pms, log }) {
      const [pm] = await pms
      const states = async () => (await pm.vms).map(vm => vm.state).join()
      const before = await states(), again = await states()
      const [vm] = await pm.vms
      if (vm.state === 'running') await vm.destroy()
      else await vm.start()
      log.info({ again: before === again, changed: before !== await states() })
      void pm.vms.then(() => {})
    } }`)
  const report = await run([bundle], { forMs: MINUTE, onLine: (line) => { lines.push(line) } })
  t.equal(report.functions[0]?.errors, 0, report.functions[0]?.firstError?.message ?? 'no failure')
  t.equal(lines.length, 13)
  for (const { text, fields } of lines) t.match(JSON.stringify([text, fields]).replaceAll('\\', ''), '"again":true,"changed":true')
})

test('answers that stand are calls all the same: counted, and of every shape', async (t) => {
  const shapes = {
    plain: 'pm => pm.vms.filter(vm => vm.cpuRatio >= 0)', promised: 'pm => pm.vms.filter(async vm => vm.cpuRatio >= 0)',
    awaited: 'async pm => await pm.vms', then: 'pm => pm.vms.then(vms => vms.slice())', mapped: 'pm => pm.vms.map(vm => vm).slice(0, 9)',
  }
  for (const [name, shape] of Object.entries(shapes)) {
    const lines: LogLine[] = []
    const bundle = await bundleOf(`{ name: '${name}', trigger: { every: '5s' }, rights: ['vm:read'], async run({ pms, log }) { log.info((await pms.dmap(${shape}).flat()).map(vm => vm.name + vm.cpuRatio).join()) } }`)
    const report = await run([bundle], { forMs: MINUTE, trace: trace('0,*,0.2\n20s,*,0.8\n'), onLine: (line) => { lines.push(line) } })
    t.equal(report.functions[0]?.errors, 0, report.functions[0]?.firstError?.message ?? 'no failure')
    t.equal(report.verbs.find(({ verb }) => verb === 'vms')?.calls, 13 * 3, name)
    t.ok(lines.every(({ text }) => text.split(',').length === 12), 'three machines with four VMs')
    t.equal(new Set(lines.slice(6, 12).map(({ text }) => text)).size, 1, 'between two readings they show the same')
    t.not(lines[0]?.text, lines[12]?.text, 'and after one, what has been read')
  }
  const thrown = await run([await bundleOf(`{ name: 'thrower', trigger: { every: '5s' }, rights: ['vm:read'], async run({ pms }) { await pms.dmap(pm => pm.vms.filter(() => { throw new Error('no such load') })) } }`)], { forMs: MINUTE })
  t.equal(thrown.functions[0]?.errors, 13)
  t.match(thrown.functions[0]?.firstError?.message, 'no such load')
})

test('it can be stopped, and tells how far it came', async (t) => {
  const stop = new AbortController()
  const report = await run([await bundleOf(HOT)], { forMs: 1_000 * MINUTE, signal: stop.signal, onLine: ({ atMs }) => { if (atMs > START + MINUTE) stop.abort() } })
  t.equal(report.ended, 'stopped')
  t.ok(report.endedAtMs < 2 * MINUTE)
})

test('a machine that is not there cannot crash', async (t) => {
  await t.rejects(run([await bundleOf(HOT)], { faults: [{ host: 'sim9', atMs: 0, forMs: 1 }] }), { code: 'KALI_ERR_SIMULATE_UNKNOWN' })
})

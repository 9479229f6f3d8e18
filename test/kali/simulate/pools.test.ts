// Policies and schedulers over simulated pools: the very functions that would be deployed, through the very pool objects, book
// and agents; what they did, and what came of it.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { test } from 'tap'
import { buildBundle } from '../../../functions/mod.ts'
import type { Built, LogLine } from '../../../functions/mod.ts'
import { parseTrace, reportText } from '../../../kali/mod.ts'
import type { PoolsWish, SimulateOptions, SimulateReport } from '../../../kali/mod.ts'
import { policyFile } from '../../../kali/policies/deploy.ts'
import { simulate } from '../../../kali/simulate/start.ts'

const directory = mkdtempSync(join(tmpdir(), 'kumoi-simulate-pools-'))
t.setTimeout(120_000)
t.teardown(() => rmSync(directory, { recursive: true, force: true }))
const packageRoot = join(import.meta.dirname, '..', '..', '..')
const examples = join(packageRoot, 'kali', 'policies', 'examples')
const MINUTE = 60_000, HOUR = 60 * MINUTE
const START = Date.UTC(2026, 0, 1)

let files = 0
async function bundleOf(source: string): Promise<Built> {
  const file = join(directory, `f${++files}.ts`)
  writeFileSync(file, source)
  return buildBundle({ file, types: 'skip', packageRoot })
}
const example = (name: string): Promise<Built> => bundleOf(readFileSync(join(examples, `${name}.ts`), 'utf8'))
const delivered = (name: string): Promise<Built> => buildBundle({ file: policyFile(name) ?? '', types: 'skip', packageRoot })
const run = (bundles: readonly Built[], pools: Partial<PoolsWish> | undefined, options: Partial<SimulateOptions> = {}): Promise<SimulateReport> =>
  simulate({
    bundles, hosts: 3, vmsPerHost: 2, forMs: 10 * MINUTE, startAtMs: START, seed: 1, cacheDirectory: join(directory, 'cache'), packageDirectories: [],
    ...(pools === undefined ? {} : { pools: { count: 1, cpuOvercommitRatio: 4, protect: false, packageRoot, ...pools } }), ...options,
  })
const trace = (text: string): NonNullable<SimulateOptions['trace']> => ({ rows: parseTrace(`time,target,cpuRatio\n${text}`, { file: 'load.csv', startAtMs: START }), interpolation: 'step' })
const tally = ({ cloud }: SimulateReport, policy: string, action: string): number => cloud?.policies.find((of) => of.policy === policy)?.actions.find((of) => of.action === action)?.done ?? 0
const broken = ({ cloud }: SimulateReport): readonly string[] => (cloud?.violations ?? []).filter((of) => of.broken).map(({ first }) => first.text)

test('a policy of one\'s own: members by the clock, the same seed the same bytes', async (t) => {
  const night = await example('night-shift')
  const day = (): Promise<SimulateReport> => run([night], { group: { max: 3 } }, { startAtMs: START + 7 * HOUR + 50 * MINUTE, forMs: 20 * MINUTE })
  const report = await day()
  t.equal(report.functions[0]?.errors, 0, report.functions[0]?.firstError?.message ?? 'no failure')
  t.equal(tally(report, 'night-shift', 'grow'), 2)
  t.match(report.cloud?.pools, [{ name: 'pool1', machines: 3, vms: 9, scheduler: 'rank', policies: ['night-shift'] }])
  t.ok((report.cloud?.policies[0]?.rounds ?? 0) >= 38, 'a round each 30 s')
  const members = (atMs: number): number | undefined => report.points.find((point) => point.atMs >= atMs)?.cloud?.members
  t.same([members(5 * MINUTE), members(15 * MINUTE)], [1, 3], 'before eight, and after')
  t.same(broken(report), [])
  t.equal(JSON.stringify(await day()), JSON.stringify(report))
})

test('the delivered elasticity: load that is shared out falls when members come, and they go again', async (t) => {
  const report = await run([await delivered('kali-elasticity')], { group: { max: 4, cooldownInMs: MINUTE } }, { forMs: 18 * MINUTE, trace: trace('0,*,0.2\n0,pool1-web,0.1\n2m,pool1-web,0.6\n6m,pool1-web,0.1\n') })
  t.equal(tally(report, 'kali-elasticity', 'grow'), 3, 'all four do the work of 2.4')
  t.ok(tally(report, 'kali-elasticity', 'shrink') >= 2)
  t.same(broken(report), [])
  const late = report.cloud?.violations.find(({ what }) => what.startsWith('member-minutes'))
  t.ok((late?.minutes ?? 0) > 0.5 && (late?.minutes ?? 99) < 8, 'and what was asked for before they were there is told')
})

test('a machine that is lost: its protected VMs run elsewhere once its lease is over, and nothing runs twice', async (t) => {
  const report = await run([], { protect: true, policies: ['kali-ha'] }, { faults: [{ host: 'sim2', atMs: MINUTE, forMs: 3 * MINUTE }], forMs: 6 * MINUTE })
  t.equal(tally(report, 'kali-ha', 'relocate'), 2)
  t.same(broken(report), [])
  t.same(report.points.at(-1)?.states, { running: 6 })
  const down = report.cloud?.violations.find(({ what }) => what.includes('protected VMs were not running'))
  t.equal(down?.first.atMs, MINUTE)
  t.ok((down?.minutes ?? 99) <= 1.5, 'two VMs for at most 25 s and a look each')
})

test('a scheduler of one\'s own places, and one that throws refuses with its line', async (t) => {
  const named = await run([await example('tiers')], { scheduler: 'tiers', group: { max: 2 } }, { forMs: MINUTE })
  t.match(named.cloud?.pools, [{ vms: 7, scheduler: 'function:tiers' }])
  t.equal(named.functions[0]?.calls, 1, 'the original of the group, and never without a VM')
  t.equal(named.functions[0]?.errors, 0)
  const strict = await bundleOf(`import { defineScheduler } from 'kumoi'\nexport default defineScheduler({ name: 'strict',\n  schedule() { throw new RangeError('not today') },\n})\n`)
  await t.rejects(run([strict], { scheduler: 'strict', group: { max: 2 } }), { code: 'KALI_ERR_SCHEDULER_FAILED', message: /RangeError: not today \(.*f\d+\.ts:3/ })
})

test('what a policy should not ask for is refused, counted with the reason, and does no harm', async (t) => {
  const greedy = await bundleOf(`import { defineFunction } from 'kumoi'
export default defineFunction({ name: 'greedy', trigger: { every: '10s' }, singleton: true, rights: ['pool:read', 'pool:operate'],
  async run({ pools }) {
    for (const pool of await pools) {
      const { groups, vms, machines } = await pool.snapshot()
      const round = (await pool.memory('greedy'))?.round ?? 0
      const [vm] = vms
      await pool.act({ policy: 'greedy', round, memory: null, proposals: [
        ...groups.map((group) => ({ action: { do: 'grow', group: group.uuid, member: String(round + 1) }, reason: 'more' })),
        { action: { do: 'relocate', vm: vm.uuid, epoch: vm.epoch, to: machines.find((one) => one.uuid !== vm.machine).uuid }, reason: 'there rather than here' },
      ] })
    }
  } })\n`)
  const report = await run([greedy], { protect: true, group: { max: 2 } }, { forMs: 3 * MINUTE })
  const actions = report.cloud?.policies[0]?.actions ?? []
  t.match(actions.find(({ action }) => action === 'grow'), { done: 1, reasons: [{ reason: /max is #/ }] })
  t.match(actions.find(({ action }) => action === 'relocate'), { done: 0, reasons: [{ times: Number }] })
  t.same(broken(report), [])
  const { head, tables, time, cloudColumns } = reportText(report)
  t.ok(head.some((line) => line === 'pool pool1: 3 machines, 8 VMs, placed by rank; policies: greedy'), head.join('\n'))
  t.match(tables[0]?.rows, [['greedy', 'pool1', /^1\d$/, '1 grow', /^\d+ grow, \d+ relocate$/, /^grow \d+x: /]])
  t.equal(time[0]?.length, 8 + cloudColumns.length)
})

test('pools that a function makes by itself; what pools name and nobody gave is told', async (t) => {
  const lines: LogLine[] = []
  const maker = await bundleOf(`import { defineFunction } from 'kumoi'
export default defineFunction({ name: 'maker', rights: ['global:read', 'global:create', 'pool:read', 'pool:create', 'pm:read', 'pm:administer', 'vm:read', 'vm:create'],
  async run({ globals, pms, log }) {
    const [global] = await globals
    const pool = await global.add(await global.createPool({ name: 'mine', policies: ['kali-ha'] }))
    await pool.add(await pms)
    await pool.add(await pool.createVM({ name: 'one', memoryMiB: 64, image: 'guest' }))
    const { vms, machines } = await pool.snapshot()
    log.info(vms.map((vm) => vm.name + ' on ' + machines.find(({ uuid }) => uuid === vm.machine).name).join())
  } })\n`)
  const report = await run([maker], undefined, { onLine: (line) => { lines.push(line) } })
  t.equal(report.functions[0]?.errors, 0, report.functions[0]?.firstError?.message ?? 'no failure')
  t.match(lines[0]?.text, /^one on sim\d$/)
  t.match(report.cloud, { pools: [{ name: 'mine', machines: 3, vms: 1 }], missing: ['kali-ha'] })
})

test('what is not there cannot be simulated', async (t) => {
  await t.rejects(run([], { policies: ['kali-magic'] }), { code: 'KALI_ERR_SIMULATE_UNKNOWN' })
  await t.rejects(run([], { scheduler: 'function:nothing' }), { code: 'KALI_ERR_SCHEDULER_UNKNOWN' })
})

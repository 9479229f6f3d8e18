// The course of the experiments on virtual time, over a pool that is a script: what is asked of it, in which order, and what
// is measured. With real guests: `kumoi lab figure4`, `kumoi lab figure5`.

import t from 'tap'
import { SimClock } from '../../../fabric/mod.ts'
import type { DataCenter, DecisionRecord, PoolSnapshot, VmView } from '../../../kali/contract.ts'
import type { LabRecord } from '../../../cli/lab/contract.ts'
import type { LabWorld } from '../../../cli/lab/lab.ts'
import { figure5, runAvailability } from '../../../cli/lab/figures/availability.ts'
import { QUICK, figure4, runElasticity } from '../../../cli/lab/figures/elasticity.ts'
import type { Stage } from '../../../cli/lab/figures/stage.ts'
import { decision, machineView, poolSnapshot, vmView } from '../../support/fake-pools.ts'

const HOSTS = ['host1', 'host2', 'host3', 'host4', 'host5']
const record: LabRecord = { version: 1, id: 'none', name: 'none', driver: 'memory', switch: 'linux', createdAtMs: 0, hosts: HOSTS.map((name, i) => ({ name, index: i + 1, address: '127.0.0.1', data: `/nowhere/none/${name}/node` })) }

const REAL_MS = 3
interface Script { vms(nowMs: number): readonly VmView[]; readonly decisions?: readonly DecisionRecord[] }

function stageOf(clock: SimClock, { vms, decisions = [] }: Script): { readonly stage: Stage; readonly said: string[]; readonly over: AbortController } {
  const said: string[] = [], over = new AbortController()
  const snapshot = async (): Promise<PoolSnapshot> => poolSnapshot('figure', { machines: HOSTS.map((name) => machineView(name)), vms: vms(clock.nowMs()) })
  const pool = {
    name: 'figure', uuid: 'uuid-figure', snapshot, decisions: async () => decisions,
    createVM: async (settings: { readonly name: string }) => ({ ...settings, uuid: `uuid-${settings.name}`, type: 'vm' }),
    createElasticity: async (_vm: object, wish: object) => ({ type: 'group', wish }), createHighAvailability: async () => ({ type: 'protection' }),
    add: async (what: { readonly type?: string } | readonly { readonly name: string }[]) => { said.push(`${clock.nowMs()} add ${Array.isArray(what) ? what.map((one: { readonly name: string }) => one.name).join(' ') : (what as { readonly type: string }).type}`); return what },
  }
  const dc = { global: { createPool: async () => pool, add: async () => pool }, pms: Promise.resolve(HOSTS.map((name) => ({ name, uuid: `uuid-${name}` }))) } as unknown as DataCenter
  return { said, over, stage: { world: { clock, directory: '/nowhere/none' } as unknown as LabWorld, record, dc, signal: over.signal, driver: 'memory', tell() {}, pause: async () => {} } }
}

/** Lets virtual time pass until the work is done; slower than the real files that the blow to a host looks at. */
async function run<T>(clock: SimClock, work: Promise<T>): Promise<T> {
  let settled = false
  work.then(() => { settled = true }, () => { settled = true })
  while (!settled) {
    await new Promise((resolve) => { setTimeout(resolve, REAL_MS) })
    clock.advance(250)
  }
  return work
}

t.test('figure 4: the group comes with the load, and it ends when all members are there', async (t) => {
  const clock = new SimClock()
  const start = clock.wallMs()
  const clone = (no: number, atMs: number, nowMs: number): readonly VmView[] => (nowMs < atMs ? [] : [vmView(`web-${no}`, { machine: `uuid-host${no}`, cpuRatio: 0.3, phase: nowMs < atMs + 5_000 ? 'running' : 'ready', phaseSinceMs: start + (nowMs < atMs + 5_000 ? atMs : atMs + 5_000) })])
  const { stage, said } = stageOf(clock, {
    vms: (nowMs) => [vmView('web', { machine: 'uuid-host1', cpuRatio: 0.3, phase: 'ready' }), ...clone(2, 30_000, nowMs), ...clone(3, 60_000, nowMs), ...clone(4, 90_000, nowMs)],
    decisions: [30_000, 60_000, 90_000].map((atMs, i) => decision({ action: 'grow', policy: 'kali-elasticity', atMs: start + atMs - 1_500, about: [`uuid-web-${i + 2}`] })),
  })
  const measured = await run(clock, runElasticity(stage, clock, QUICK, { load: 0.3 }))
  t.same(said, ['0 add host2 host3 host4 host5', '0 add vm', `${QUICK.loadAtSeconds * 1_000} add group`])
  const { complete, seconds, plot } = figure4(measured)
  t.ok(complete)
  t.match(seconds, { load: 20, clone1Asked: 28.5, clone1: 30, clone2: 60, clone3: 90 })
  t.ok(plot.endSeconds > 105 && plot.endSeconds < 120, 'a little after the last one was ready')
})

t.test('figure 4: a group that never grows ends at its time', async (t) => {
  const clock = new SimClock()
  const { stage } = stageOf(clock, { vms: () => [vmView('web', { phase: 'ready' })] })
  const { complete, plot } = figure4(await run(clock, runElasticity(stage, clock, { ...QUICK, endSeconds: 60 }, { load: 0.3, threshold: 0.2 })))
  t.same([complete, plot.endSeconds], [false, 60])
})

t.test('figure 5: armed, then the blow, then on another host', async (t) => {
  const clock = new SimClock()
  const start = clock.wallMs()
  const protection = (armed: boolean) => ({ restarts: 1, relocations: 1, windowMs: 1, onGuestShutdown: 'leave', priority: 0, armed }) as const
  const { stage, said } = stageOf(clock, {
    vms: (nowMs) => [nowMs < 55_000
      ? vmView('db', { machine: 'uuid-host3', protection: protection(nowMs > 33_000), phaseSinceMs: start })
      : vmView('db', { machine: 'uuid-host5', epoch: 2, protection: protection(true), phaseSinceMs: start + 55_000 })],
  })
  const measured = await run(clock, runAvailability(stage, clock, 'host', { killAtSeconds: 30, endSeconds: 180 }))
  t.same(said, ['0 add host2 host3 host4 host5', '0 add vm', '0 add protection'], 'never the host that holds the store')
  t.same([measured.from, measured.to], ['host3', 'host5'])
  t.ok(measured.killedSeconds > 33, 'not before it is armed')
  const { complete, seconds } = figure5(measured)
  t.ok(complete)
  t.equal(seconds['running'], 55)
})

t.test('figure 5: what does not come back is told', async (t) => {
  const clock = new SimClock()
  const { stage } = stageOf(clock, { vms: () => [vmView('db', { machine: 'uuid-host3', protection: { restarts: 1, relocations: 1, windowMs: 1, onGuestShutdown: 'leave', priority: 0, armed: true }, phaseSinceMs: 0 })] })
  const measured = await run(clock, runAvailability(stage, clock, 'host', { killAtSeconds: 5, endSeconds: 40 }))
  t.same([measured.runningSeconds, measured.times.endSeconds], [undefined, 40])
  t.equal(figure5(measured).complete, false)
  const unarmed = stageOf(new SimClock(), { vms: () => [vmView('db', { machine: 'uuid-host3' })] }).stage
  await t.rejects(run(unarmed.world.clock as SimClock, runAvailability(unarmed, unarmed.world.clock, 'host', { killAtSeconds: 5, endSeconds: 40 })), { code: 'CLI_ERR_LAB_FAILED', message: /not armed/ })
})

t.test('an interruption ends it', async (t) => {
  const clock = new SimClock()
  const { stage, over } = stageOf(clock, { vms: () => [] })
  const work = run(clock, runElasticity(stage, clock, QUICK, { load: 0.3 }))
  setImmediate(() => over.abort(new Error('Ctrl-C')))
  await t.rejects(work, { message: 'Ctrl-C' })
  await t.rejects(runAvailability({ ...stage, signal: new AbortController().signal }, clock, 'emulator', { killAtSeconds: 1, endSeconds: 2 }), { code: 'CLI_ERR_LAB_REFUSED' }, 'simulated guests have no emulator')
})

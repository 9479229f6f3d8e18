// A small cloud on four real processes with simulated machines: the paper's Figures 2 and 3 as they stand, a machine
// that dies, a node that stands still past its lease, a drain; and why() answers for each.

import t from 'tap'
import { byRank } from '../../kali/mod.ts'
import type { DataCenter, HighAvailability } from '../../kali/mod.ts'
import type { PhysicalMachine, VM } from '../../rmo/mod.ts'
import { openLab, until } from '../support/fabric-lab.ts'
import type { LabNode } from '../support/fabric-lab.ts'

t.setTimeout(240_000)
const lab = await openLab(t)
/** The store's machine is in no pool: what is killed here is never the witness. */
const store = await lab.up({ name: 'store', driver: 'memory' })
const ticket = await lab.ticket(store)
let hpc = await Promise.all(['hpc1', 'hpc2', 'hpc3'].map((name) => lab.up({ name, join: ticket, driver: 'memory' })))
await lab.settled([store, ...hpc])
const dc: DataCenter = await lab.connect(store)
const { global, pms } = dc
const BOUND_MS = 60_000

const vmNamed = async (name: string): Promise<VM | undefined> => (await dc.vms).find((vm) => vm.name === name)
/** Where a VM of that name runs, and nowhere else. */
const runsOn = (name: string, hosts: readonly string[]): Promise<string> => until(`${name} runs on ${hosts.join(' or ')}`, async () => {
  const { objects } = await dc.list('VM')
  const running = (objects as unknown as readonly VM[]).filter((vm) => vm.name === name && vm.state === 'running')
  if (running.length > 1) throw new Error(`${name} runs on ${running.map(({ host }) => host).join(' and ')}`)
  return running.length === 1 && hosts.includes(running[0]?.host ?? '') ? running[0]?.host : undefined
}, BOUND_MS)
const protection = async (name: string): Promise<HighAvailability | undefined> => (await dc.highAvailabilities).find((ha) => ha.name === name)
const isProtected = (name: string): Promise<unknown> => until(`${name} is protected`, async () => (await protection(name))?.state === 'protected', BOUND_MS)

t.test('Figures 2 and 3 of the paper', async (t) => {
  const p = await global.createPool({ name: 'pool1' }); await global.add(p)
  const pool = global.pools.at(0)
  await pool.add(pms.filter(pm => pm.name.startsWith('hpc')))
  t.equal((await global.pools.at(0)).machinesCount, 3)

  pool.cpuOvercommitRatio = 4      // what is tried here is never room
  const v = await pool.createVM({ name: 'web', memoryMiB: 128, vcpus: 1, image: 'guest', simulate: { cpuRatios: [1], stepMs: 1_000 } })
  const w = await pool.createVM({ name: 'db', memoryMiB: 128, vcpus: 1, image: 'guest' })
  await pool.add(v); await pool.add(w)
  t.same([v.state, w.state], ['running', 'running'], 'cold VMs became live ones')

  await pool.add(pool.createElasticity(v, { out: 0.8, in: 0.3, min: 1, max: 3, hold: 2, periodMs: 1_000, warmUpMs: 1_000, cooldownOutMs: 1_000 }))
  await pool.add(pool.createHighAvailability(w))
  pool.scheduler = (vm, pms) => pms.filter(pm => pm.availableFor(vm)).sort(byRank).at(0)      // Figure 3
  await dc.settled()
  t.match(await pool.scheduler, /^closure/)
  t.match((await global.pools.at(0)).scheduler, /^closure/)

  await until('the group has grown to its greatest size', async () => (await dc.elasticities)[0]?.membersCount === 3, BOUND_MS)
  await until('all members run', async () => (await pool.vms).filter((vm) => vm.name.startsWith('web') && vm.state === 'running').length === 3, BOUND_MS)
  const why = await pool.why(v)
  t.match(why.summary, /web/)
  t.ok((await pool.decisions()).some(({ policy, action }) => policy === 'kali-elasticity' && action === 'grow'), 'the journal says why it grew')
})

t.test('a machine that dies: its VM runs elsewhere, once its lease is over', async (t) => {
  await isProtected('db')
  const before = await runsOn('db', ['hpc1', 'hpc2', 'hpc3'])
  const lost = hpc.find(({ name }) => name === before) as LabNode
  await lab.kill(lost)
  const others = hpc.filter((node) => node !== lost).map(({ name }) => name)
  const after = await runsOn('db', others)
  t.not(after, before)
  const pool = global.pools.at(0)
  const why = await pool.why('db')
  t.equal(why.intent?.machine?.name, after)
  t.ok(why.decisions.some(({ action, outcome }) => action === 'relocate' && outcome === 'done'), why.summary)
  hpc = [...hpc.filter((node) => node !== lost), await lab.up({ name: lost.name, driver: 'memory' })]
  await lab.settled([store, ...hpc])
  t.equal(await runsOn('db', [after]), after, 'and stays there when the machine is back')
})

t.test('a node that stands still past its lease has lost its VM when it wakes', async (t) => {
  await isProtected('db')
  await dc.global.pools.at(0).clear(await vmNamed('db') as VM)
  const before = await runsOn('db', ['hpc1', 'hpc2', 'hpc3'])
  const stopped = hpc.find(({ name }) => name === before) as LabNode
  stopped.signal('SIGSTOP')
  t.teardown(() => { try { stopped.signal('SIGCONT') } catch { /* ended by its watchdog */ } })
  const after = await runsOn('db', hpc.filter((node) => node !== stopped).map(({ name }) => name)).catch(async (error: unknown) => { t.comment(JSON.stringify(await global.pools.at(0).why('db'), null, 1)); throw error })
  t.not(after, before)
  // Its watchdog has ended it, as a reset would; or it wakes, and finds that it has no lease.
  try { stopped.signal('SIGKILL') } catch { /* gone */ }
  await stopped.gone
  hpc = [...hpc.filter((node) => node !== stopped), await lab.up({ name: stopped.name, driver: 'memory' })]
  await lab.settled([store, ...hpc])
  t.equal(await runsOn('db', [after]), after)
})

t.test('drain moves what is there, live', async (t) => {
  const pool = global.pools.at(0)
  const busiest = async (): Promise<PhysicalMachine | undefined> => {
    const hosts = (await pool.vms).map((vm) => vm.host)
    return (await pool.machines).find((pm) => hosts.includes(pm.name) && hpc.some(({ name }) => name === pm.name))
  }
  const machine = await busiest() as PhysicalMachine
  await pool.drain(machine)
  t.same((await pool.vms).filter((vm) => vm.host === machine.name && vm.state === 'running').map(({ name }) => name), [])
  await pool.serve(machine)
})

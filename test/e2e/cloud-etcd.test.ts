// A cloud whose records are in an etcd of its own, not with a node: three nodes with simulated machines, a protected VM on
// each. The node that founded the fabric is killed; what it ran is elsewhere after its lease, everything else stays.

import t from 'tap'
import type { DataCenter } from '../../kali/mod.ts'
import type { VM } from '../../rmo/mod.ts'
import { etcdAbsent, startEtcd } from '../support/etcd.ts'
import { openLab, until } from '../support/fabric-lab.ts'
import type { LabNode } from '../support/fabric-lab.ts'

t.setTimeout(150_000)
const NAMES = ['alpha', 'beta', 'gamma'] as const
const VMS = ['db1', 'db2', 'db3'] as const
/** Lease, noticing, and a busy machine. */
const BOUND_MS = 60_000

t.test('protected VMs over etcd, and the founder is lost', { skip: etcdAbsent }, async (t) => {
  const lab = await openLab(t)
  const etcd = await startEtcd(t, 1)
  const alpha = await lab.up({ name: 'alpha', store: etcd.url, driver: 'memory' })
  const ticket = await lab.ticket(alpha)
  const [beta, gamma] = await Promise.all(NAMES.slice(1).map((name) => lab.up({ name, join: ticket, driver: 'memory' }))) as [LabNode, LabNode]
  await lab.settled([alpha, beta, gamma])
  const dc: DataCenter = await lab.connect(beta)
  t.match(await dc.store.status(), { kind: 'etcd', reachable: true })

  const pool = await dc.global.createPool({ name: 'pool1', scheduler: 'striping' })
  await dc.global.add(pool)
  await pool.add(dc.pms)
  for (const name of VMS) {
    const vm = await pool.createVM({ name, memoryMiB: 128, vcpus: 1, image: 'guest' })
    await pool.add(vm)
    await pool.add(pool.createHighAvailability(vm))
  }
  const unprotected = async (): Promise<readonly string[]> => (await dc.highAvailabilities).filter(({ state }) => state !== 'protected').map(({ name, state }) => `${name} ${state}`)
  await until('all are protected', async () => (await dc.highAvailabilities).length === VMS.length && (await unprotected()).length === 0, BOUND_MS)

  /** The machine of each VM that runs; one that runs twice is a failure at any time. */
  const places = async (): Promise<ReadonlyMap<string, string>> => {
    const { objects } = await dc.list('VM')
    const found = new Map<string, string>()
    for (const vm of (objects as unknown as readonly VM[]).filter(({ state }) => state === 'running')) {
      if (found.has(vm.name)) throw new Error(`${vm.name} runs on ${found.get(vm.name)} and ${vm.host}`)
      found.set(vm.name, vm.host)
    }
    return found
  }
  const before = await until('all run', async () => { const now = await places(); return now.size === VMS.length ? now : undefined }, BOUND_MS)
  t.same([...before.values()].sort(), [...NAMES], 'one on each machine')
  const epochs = async (): Promise<ReadonlyMap<string, number>> => new Map(await Promise.all(VMS.map(async (name) => [name, (await dc.global.pools.at(0).why(name)).intent?.epoch ?? 0] as const)))
  const lives = await epochs()
  const [lost] = [...before].find(([, host]) => host === 'alpha') ?? []
  if (lost === undefined) return

  const killedMs = performance.now()
  await lab.kill(alpha)
  const after = await until(`${lost} runs elsewhere`, async () => { const now = await places(); return now.get(lost) !== undefined && now.get(lost) !== 'alpha' ? now : undefined }, BOUND_MS)
  t.comment(`founder killed to ${lost} running elsewhere: ${Math.round(performance.now() - killedMs)} ms`)
  const livesAfter = await epochs()
  for (const [name, host] of before) t.same([after.get(name) === host, (livesAfter.get(name) ?? 0) - (lives.get(name) ?? 0)], name === lost ? [false, 1] : [true, 0], `${name} ${name === lost ? 'was taken over once' : 'stays'}`)
  const why = await dc.global.pools.at(0).why(lost)
  t.ok(why.decisions.some(({ action, outcome }) => action === 'relocate' && outcome === 'done'), why.summary)
  await until('all are protected again', async () => (await unprotected()).length === 0, BOUND_MS)

  // The founder comes back, with another boot: nothing is moved back, nothing runs twice.
  const again = await lab.up({ name: 'alpha', driver: 'memory' })
  await lab.settled([again, beta, gamma])
  t.same(await places(), after, 'all stay when it is back')
})

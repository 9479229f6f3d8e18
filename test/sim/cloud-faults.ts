// What goes wrong in a simulated cloud, and what its users do meanwhile. Each fault is a deed and its healing; which, to whom,
// when and for how long comes from the seed.

import type { NodeId, Random } from '../../fabric/base.ts'
import type { SimClock } from '../../fabric/sim-clock.ts'
import type { ReferenceRecord } from '../../functions/mod.ts'
import type { IntentRecord, Protection } from '../../kali/cloud/contract.ts'
import type { Network, SimStore } from './cloud-link.ts'
import type { SimNode } from './cloud-node.ts'
import type { Truth } from './cloud-truth.ts'

export interface Ground {
  readonly sim: SimClock
  readonly random: Random
  readonly network: Network
  readonly store: SimStore
  readonly truth: Truth
  readonly pool: string
  nodes(): SimNode[]
  /** A new life on the machine of the node at that place. */
  restart(at: number): void
  note(text: string): void
  nextNumber(): number
  uuid(number: number): string
}
export interface Fault {
  readonly name: string
  /** Of all nodes at once: whatever happens anywhere may have its reason in it. */
  readonly wide?: boolean
  readonly weight: number
  /** What heals it; undefined: nothing needs to. */
  readonly strike: (ground: Ground, at: number) => (() => void | Promise<void>) | undefined
}

const others = ({ nodes }: Ground, at: number): NodeId[] => nodes().filter((_, i) => i !== at).map(({ life }) => life.id)
const nodeAt = (ground: Ground, at: number): SimNode => ground.nodes()[at] as SimNode
const bothWays = (cut: (from: NodeId | 'store', to: NodeId | 'store') => void, one: NodeId, all: readonly (NodeId | 'store')[]): void => { for (const other of all) { cut(one, other); cut(other, one) } }

export const FAULTS: readonly Fault[] = [
  { name: 'host dies', weight: 4, strike(ground, at) {
    const { life, machine } = nodeAt(ground, at)
    life.die()
    void machine.powerOff()
    return () => ground.restart(at)
  } },
  { name: 'node process dies', weight: 4, strike(ground, at) {
    nodeAt(ground, at).life.die()
    return () => ground.restart(at)
  } },
  { name: 'node goes down', weight: 1, strike(ground, at) {
    const { life, down } = nodeAt(ground, at)
    void down()
    return () => { life.die(); ground.restart(at) }
  } },
  { name: 'stands still', weight: 4, strike(ground, at) {
    const { life } = nodeAt(ground, at)
    life.stop()
    return () => life.wake()
  } },
  { name: 'all stand still', wide: true, weight: 1, strike(ground) {
    const lives = ground.nodes().map(({ life }) => life)
    for (const life of lives) life.stop()
    return () => { for (const life of lives) life.wake() }
  } },
  { name: 'cut off from all', weight: 4, strike(ground, at) {
    const { life: { id } } = nodeAt(ground, at)
    const all = [...others(ground, at), 'store'] as const
    bothWays(ground.network.cut, id, all)
    return () => bothWays(ground.network.mend, id, all)
  } },
  { name: 'cut off from the store', weight: 4, strike(ground, at) {
    const { life: { id } } = nodeAt(ground, at)
    bothWays(ground.network.cut, id, ['store'])
    return () => bothWays(ground.network.mend, id, ['store'])
  } },
  { name: 'cut off from the nodes', weight: 2, strike(ground, at) {
    const { life: { id } } = nodeAt(ground, at)
    const all = others(ground, at)
    bothWays(ground.network.cut, id, all)
    return () => bothWays(ground.network.mend, id, all)
  } },
  { name: 'is not heard', weight: 2, strike(ground, at) {
    const { life: { id } } = nodeAt(ground, at)
    const all = [...others(ground, at), 'store'] as const
    for (const to of all) ground.network.cut(id, to)
    return () => { for (const to of all) ground.network.mend(id, to) }
  } },
  { name: 'hears nobody', weight: 2, strike(ground, at) {
    const { life: { id } } = nodeAt(ground, at)
    const all = [...others(ground, at), 'store'] as const
    for (const from of all) ground.network.cut(from, id)
    return () => { for (const from of all) ground.network.mend(from, id) }
  } },
  { name: 'store out of reach', wide: true, weight: 2, strike({ network }) {
    network.storeUp = false
    return () => { network.storeUp = true }
  } },
  { name: 'store restarts', wide: true, weight: 2, strike({ store }) {
    store.stop()
    return () => store.start()
  } },
  { name: 'slow network', wide: true, weight: 2, strike({ network, random }) {
    network.latencyMs = 200 + random.int(1_500)
    return () => { network.latencyMs = 20 }
  } },
  { name: 'answers are late', weight: 2, strike(ground, at) {
    const { life: { id } } = nodeAt(ground, at)
    ground.network.answerLagMs.set(id, 1_000 + ground.random.int(6_000))
    return () => { ground.network.answerLagMs.delete(id) }
  } },
  { name: 'answers are lost', wide: true, weight: 2, strike({ network, random }) {
    network.lostRatio = 0.1 + random.next() * 0.4
    return () => { network.lostRatio = 0 }
  } },
  { name: 'slow hypervisor', weight: 2, strike(ground, at) {
    const { machine } = nodeAt(ground, at)
    machine.commandMs = 1_000 + ground.random.int(8_000)
    return () => { machine.commandMs = 20 }
  } },
  { name: 'hypervisor fails', weight: 2, strike(ground, at) {
    const { machine } = nodeAt(ground, at)
    machine.failRatio = 0.5
    return () => { machine.failRatio = 0 }
  } },
  { name: 'watchdog dies', weight: 2, strike(ground, at) { nodeAt(ground, at).machine.watchdogDies(); return undefined } },
  { name: 'guest crashes', weight: 5, strike(ground, at) {
    const { machine } = nodeAt(ground, at)
    const here = [...ground.truth.running()].filter(([, on]) => on.has(machine.name)).map(([vm]) => vm)
    const vm = here[ground.random.int(Math.max(1, here.length))]
    if (vm !== undefined) machine.driver.faults.crash(vm)
    return undefined
  } },
  { name: 'guest shuts down', weight: 2, strike(ground, at) {
    const { machine } = nodeAt(ground, at)
    const here = [...ground.truth.running()].filter(([, on]) => on.has(machine.name)).map(([vm]) => vm)
    const vm = here[ground.random.int(Math.max(1, here.length))]
    if (vm !== undefined) void machine.driver.domains.shutdown(vm, { remainingMs: () => 10_000 }).catch(() => {})
    return undefined
  } },
]

/** What users of the simulation ask for; and as kali/service writes it. */
const WISH: Protection = { restarts: 2, relocations: 8, windowMs: 60_000, onGuestShutdown: 'restart', priority: 0 }
export const protectedBy = (wish: Partial<Protection> = {}): NonNullable<IntentRecord['protection']> => ({ ...WISH, ...wish, armed: false })

/** One wish of a user's, at some node that serves; what was acknowledged is told to the truth. */
export async function userActs(ground: Ground): Promise<void> {
  const { random, truth, sim, note, pool } = ground
  const all = [...truth.intents().values()].filter(({ desired, group }) => desired !== 'absent' && group === undefined)
  const intent = all[random.int(Math.max(1, all.length))]
  const serving = ground.nodes().filter(({ life }) => life.state === 'running')
  const node = serving[random.int(Math.max(1, serving.length))]
  if (node === undefined || intent === undefined) return
  const { service } = node
  const askedAtMs = sim.nowMs(), number = ground.nextNumber(), by = node.authority('user', 30_000)
  const { uuid: vm, name } = intent
  const reference: ReferenceRecord = { kind: 'VM', uuid: vm, home: intent.machine?.node ?? node.life.id, name, attributes: {} }
  const WISHES: readonly (readonly [string, number, () => Promise<unknown>])[] = [
    ['start or stop', 4, async () => {
      const host = ground.nodes().find(({ machine }) => machine.uuid === intent.machine?.uuid)
      const there = host?.host.vms.get(vm)
      // On a node that has not read the intents yet the guard does not know that it is managed (Q7G report).
      if (host === undefined || there === undefined || host.life.state !== 'running' || host.view.intent(vm)?.machine?.uuid !== host.machine.uuid) return
      const by = host.authority('user', 30_000)
      if (intent.desired === 'running') await there.stop({ force: true, timeoutMs: 2_000 }, by); else await there.start({}, by)
      // An old copy was stopped, and the VM had been taken over meanwhile: nothing was said about that one.
      if (truth.intents().get(vm)?.machine?.uuid !== host.machine.uuid) return
      truth.acknowledged(vm, { desired: intent.desired === 'running' ? 'stopped' : 'running' }, askedAtMs)
    }],
    ['protect or unprotect', 3, async () => {
      const isProtected = intent.protection === undefined
      if (isProtected) await service.protect(pool, reference, WISH, by); else await service.unprotect(vm, by)
      truth.acknowledged(vm, { isProtected }, askedAtMs)
    }],
    ['remove', 1, async () => { await service.removeVm(pool, vm, { destroy: true }, by); truth.acknowledged(vm, { desired: 'absent' }, askedAtMs) }],
    ['add', 2, async () => {
      const added = await service.addVm(pool, { ...reference, uuid: ground.uuid(number), name: `more${number}`, cold: true, attributes: { memoryMiB: 256 * (1 + random.int(4)), vcpus: 1, devices: [] } }, {}, by)
      truth.acknowledged(added.vm, { desired: 'running' }, askedAtMs)
    }],
    ['clear', 1, () => service.clear(vm, {}, by)],
    ['migrate', 3, () => service.migrateVm(pool, vm, undefined, by)],
    ['drain', 1, async () => {
      const { machine: { uuid, name: drained } } = node
      const back = (): void => { void service.setMachineMode(uuid, 'in-service', node.authority('user', 30_000)).catch(() => {}) }
      node.life.clock.after(25_000, back)
      note(`user: drain ${drained}`)
      await service.setMachineMode(uuid, 'draining', node.authority('user', 20_000))
    }],
  ]
  let left = random.int(WISHES.reduce((sum, [, weight]) => sum + weight, 0))
  const [what, , work] = WISHES.find(([, weight]) => (left -= weight) < 0) as (typeof WISHES)[number]
  note(`user at ${node.life.name}: ${what} ${name}`)
  try { await work(); note(`user: ${what} ${name} is done`) } catch (error) { note(`user: ${what} ${name}: ${error instanceof Error ? error.message : String(error)}`) }
}

// A fabric of simulated machines on one virtual clock, in one process: the hosts, gate, verbs and objects of a real node
// (kali/hosts.ts) over memory drivers, without wires.
//
//   loads (trace or scenario) --> memory drivers --> hosts --> objects --> capabilities --> gate of the function's rights
//
// Figures are read at the steps of the loads, and 0 and 5 s (the window of a cpuRatio) after something happened on a
// machine: between two readings nothing about an object changes, so that its record, and what is encoded of it, stay the same.

import { FABRIC, LIMITS, seededRandom } from '../../fabric/base.ts'
import type { Clock, NodeId, Random } from '../../fabric/base.ts'
import { createMemoryStore } from '../../fabric/mod.ts'
import type { Member } from '../../fabric/mod.ts'
import { REFERENCE, encodeValue } from '../../functions/mod.ts'
import type { Authority, HostCall, Kept, ReferenceRecord } from '../../functions/mod.ts'
import { createAccessPolicy, createCapabilities, createGate, createHost, createLedger, createLocalEvents, createLocalObjects, createMemoryDriver, createNetworkRoom, createSimulatedMachine, createStorageRoom, createValueCodec, namedUuid, NO_USERS, rmoKinds } from '../../rmo/mod.ts'
import type { FunctionRules, Host, Ledger, LoadTrace, LocalEvents, LocalObjects, MemoryDriver, NodeCapabilities, VmGuard } from '../../rmo/mod.ts'
import { AGENT } from '../agent/steps.ts'
import { kumoiKinds } from '../kinds/index.ts'
import { changesOf, sameElements } from './changes.ts'
import type { Attributes } from './changes.ts'

export interface WorldOptions {
  readonly clock: Clock
  readonly random: Random
  readonly seed: number
  readonly self: NodeId
  readonly hosts: number
  readonly vmsPerHost: number
  readonly rules: FunctionRules
  /** Asked once a VM, before anything runs; undefined: its own gentle load. */
  readonly load: (vm: { readonly uuid: string; readonly name: string; readonly host: string }) => LoadTrace | undefined
  /** What each host asks before it sets anything going; left out: nobody. */
  readonly guardOf?: (machine: string, name: string) => VmGuard
  /** Figures of all machines are read this often. */
  readonly sampleMs: number
  readonly warn: (text: string, details: Readonly<Record<string, unknown>>) => void
}

export interface SimulatedHost {
  readonly name: string
  readonly uuid: string
  readonly driver: MemoryDriver
  readonly host: Host
  down: boolean
}

export interface World {
  readonly hosts: readonly SimulatedHost[]
  readonly capabilities: NodeCapabilities
  readonly objects: LocalObjects
  readonly events: LocalEvents
  /** Resolves when all objects are there; needs the clock to move. */
  readonly ready: Promise<unknown>
  /** The same while nothing about any object has changed. */
  readonly revision: number
  /** Machines as the elements of a job, made again only when their figures have been; undefined: there are others among them. */
  keptMachines(references: readonly ReferenceRecord[]): readonly Kept[] | undefined
  /** As the capabilities'; asked again about the same machines while nothing has changed, it answers the same. */
  refresh: NodeCapabilities['refresh']
  /** pm.vms from what is known, once the gate has let it pass. */
  knownAnswer(call: HostCall, principal: string): Kept | undefined
  /** As the capabilities', but nothing of a machine that is down is there. */
  resolve(kind: string, authority: Authority, want?: 'names' | 'attributes'): Promise<readonly ReferenceRecord[]>
  invokeEncoded(target: { readonly kind: string; readonly uuid: string; readonly home: NodeId }, verb: string, args: Uint8Array, authority: Authority): Promise<Uint8Array>
  crash(name: string, forMs: number): void
  /** A machine has gone down with its VMs, or is there again. */
  onFault(listener: (host: SimulatedHost) => void): void
  stop(): Promise<void>
}

/** Namespace of the uuids of simulated machines. */
const NAMESPACE = '6b756d6f-6920-4d61-a57e-740000000000'
const VM_MEMORY_MIB = 256
/** VMs of the start and as many again fit on a machine. */
const CAPACITY = { cores: 8, memoryMiB: 16_384, storageMiB: 102_400 }
const SPARE = 2
/** As a node grants its agent (kali/node.ts). */
const AGENT_RIGHTS = ['read', 'create', 'operate', 'update', 'delete'] as const

export const hostNames = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => numbered('sim', i, count))
export const vmNames = (host: string, count: number): readonly string[] => Array.from({ length: count }, (_, i) => numbered(`${host}-vm`, i, count))
const numbered = (prefix: string, index: number, count: number): string => prefix + String(index + 1).padStart(String(count).length, '0')

export function createWorld(options: WorldOptions): World {
  const { clock, random, seed, self, rules, load, sampleMs, warn } = options
  const member = { id: self, name: 'simulation', state: 'alive', addresses: [], version: '', startedAtMs: clock.wallMs() } as unknown as Member
  const objects = createLocalObjects({ forwardsMax: LIMITS.movedForwardsMax })
  const store = createMemoryStore()
  let revision = 0
  const changed = (): void => { revision++ }
  const kept = createLedger({ store, clock })
  const ledger: Ledger = { ...kept, async setRules(of, to) { await kept.setRules(of, to); changed() } }
  const access = createAccessPolicy({ kinds: kumoiKinds, rulesOf: (of) => ledger.rules(of), ancestors: (of) => [of], trust: NO_USERS, grants: { [AGENT]: AGENT_RIGHTS } })
  const policy = rules.policy((request) => access.judge(request))
  const codec = createValueCodec()
  const nobody = async (): Promise<never> => { throw FABRIC.UNREACHABLE({ node: 'another node', reason: 'the simulation has one node' }) }
  const capabilities = createCapabilities({
    self, members: () => [member], callPeer: nobody, openPeer: nobody, objects, codec, ledger, clock, random, kinds: kumoiKinds,
    gate: createGate({ policy, clock, log: () => {} }),
  })
  const byMachine = new Map<string, SimulatedHost>()
  const byName = new Map<string, SimulatedHost>()
  const loads = new Map<string, LoadTrace | undefined>()
  const unwatch: (() => void)[] = [objects.onChange(changed)]

  const add = (name: string, index: number): SimulatedHost => {
    const uuid = namedUuid(NAMESPACE, `${seed}/${index}`)
    const own = seededRandom(seed * 65_537 + index + 1)
    const guests = vmNames(name, options.vmsPerHost).map((vm, number) => {
      const vmUuid = namedUuid(uuid, `vm/${number}`)
      loads.set(vmUuid, load({ uuid: vmUuid, name: vm, host: name }))
      return { uuid: vmUuid, settings: { name: vm, memoryMiB: VM_MEMORY_MIB, vcpus: 1, devices: [] } }
    })
    const memoryMiB = Math.max(CAPACITY.memoryMiB, options.vmsPerHost * VM_MEMORY_MIB * SPARE)
    const driver = createMemoryDriver({
      name, uuid, clock, random: own, guests, capacity: { ...CAPACITY, memoryMiB, cores: Math.max(CAPACITY.cores, options.vmsPerHost) },
      load: (vmUuid, settings) => {
        if (!loads.has(vmUuid)) loads.set(vmUuid, settings.simulate === undefined ? load({ uuid: vmUuid, name: settings.name, host: name }) : undefined)
        return loads.get(vmUuid)
      },
    })
    const host: Host = createHost({
      self, machineUuid: uuid, hostName: () => name, driver, objects, kinds: rmoKinds, clock, random: own, directory: '/simulated', store, ledger, readings: 'asked', changed,
      log: { info: () => {}, warn }, ...(options.guardOf === undefined ? {} : { guard: options.guardOf(uuid, name) }),
      admit: (authority) => capabilities.pass(capabilities.find({ kind: 'VMM', uuid: host.vmm.uuid, home: self }), 'add', 'create', authority),
      peers: {
        call: nobody, nameOf: () => member.name, sibling: (machine) => byMachine.get(machine)?.host,
        invoke: (target, verb, args, authority) => capabilities.invoke(target, verb, args, authority),
        async holder(kind, vmUuid) { return objects.get(kind, vmUuid) === undefined ? undefined : self },
      },
      parts(context) {
        const storage = createStorageRoom(context), network = createNetworkRoom(context)
        return { rooms: [storage, network], disks: storage.disks, createPool: (pool, by) => storage.createPool(pool, by), createNetwork: (wish, by) => network.createNetwork(wish, by) }
      },
    })
    // Its clock stands still between two readings, and so do its figures.
    let readAtMs = clock.nowMs()
    const still: Clock = { nowMs: () => readAtMs, wallMs: () => clock.wallMs(), after: (ms, callback) => clock.after(ms, callback) }
    const listeners = new Set<(atMs: number) => void>()
    const machine = createSimulatedMachine({ name, uuid, driver, clock: still, self: () => member, onTick: (listener) => { listeners.add(listener); return () => { listeners.delete(listener) } } })
    const made: SimulatedHost = { name, uuid, driver, host, down: false }
    objects.add({ kind: 'PhysicalMachine', uuid, local: { ...machine, related: (kind: string) => (made.down ? [] : kind === 'VMM' ? [host.reference('VMM', host.vmm.uuid)] : host.vmm.related(kind as Parameters<typeof host.vmm.related>[0])) } })
    byMachine.set(uuid, made)
    byName.set(name, made)

    const read = (how: 'shown' | 'silent' = 'shown'): void => {
      if (how === 'silent') return void host.sample(how)
      readAtMs = clock.nowMs()
      changed()
      void host.sample().then(() => { for (const listener of [...listeners]) listener(clock.wallMs()) })
    }
    let late = false
    /** What happened changes the figures now, and once the window of the ratio is full. */
    const happened = (): void => {
      if (late) return
      late = true
      clock.after(0, () => read())
      clock.after(LIMITS.hostCpuWindowMs, () => { late = false; read() })
    }
    unwatch.push(driver.onEvent(happened))
    readers.push(read)
    return made
  }
  const readers: ((how: 'shown' | 'silent') => void)[] = []
  const hosts = hostNames(options.hosts).map(add)

  let stopped = false
  const readAll = (how: 'shown' | 'silent'): void => { if (!stopped) for (const read of readers) read(how) }
  // At the beginning of a step, silently, and when a whole window lies in it.
  const step = (): void => {
    if (stopped) return
    const whole = sampleMs <= LIMITS.hostCpuWindowMs
    readAll(whole ? 'shown' : 'silent')
    if (!whole) clock.after(LIMITS.hostCpuWindowMs, () => readAll('shown'))
    clock.after(sampleMs, step)
  }
  clock.after(0, step)

  // ---------------------------------------------------------------- encoded once a change

  const machines = new Map<string, { kept: Kept }>()
  const slots = new Map<string, number>()
  const slotOf = (key: string): number => {
    const present = slots.get(key)
    if (present !== undefined) return present
    slots.set(key, slots.size + 1)
    return slots.size
  }
  const keptMachine = (uuid: string): Kept => {
    const local = objects.get('PhysicalMachine', uuid)
    if (local === undefined) throw FABRIC.UNREACHABLE({ node: uuid, reason: 'there is no such simulated machine' })
    const attributes = rmoKinds.kindOf('PhysicalMachine').observe(local.local)
    const present = machines.get(uuid)?.kept
    if (present?.version === attributes) return present
    const kept: Kept = { slot: slotOf(uuid), version: attributes, bytes: () => encodeValue([{ [REFERENCE]: { kind: 'PhysicalMachine', uuid, home: self, name: String(attributes['name']), attributes } }]) }
    machines.set(uuid, { kept })
    return kept
  }

  const isMachine = ({ kind }: ReferenceRecord): boolean => kind === 'PhysicalMachine'
  let last: { readonly references: readonly ReferenceRecord[]; readonly revision: number; readonly kept: readonly Kept[] | undefined } | undefined
  const keptMachines = (references: readonly ReferenceRecord[]): readonly Kept[] | undefined => {
    if (last === undefined || last.revision !== revision || !sameElements(last.references, references)) {
      last = { references, revision, kept: references.every(isMachine) ? references.map(({ uuid }) => keptMachine(uuid)) : undefined }
    }
    return last.kept
  }
  type Fresh = Awaited<ReturnType<NodeCapabilities['refresh']>>
  let refreshed: { readonly references: readonly ReferenceRecord[]; readonly principal: string; readonly revision: number; readonly fresh: Fresh } | undefined

  interface Listed { readonly attributes: readonly Attributes[]; readonly kept: Kept }
  const lists = new Map<string, Listed>()
  /** Made apart: what is kept would keep the one before it otherwise, and so on to the first. */
  const answerOf = (made: SimulatedHost, vms: readonly { readonly uuid: string }[], attributes: readonly Attributes[]): Kept => ({
    slot: slotOf(`${made.uuid}/vms`), version: attributes,
    bytes: () => encodeValue(vms.map(({ uuid }) => ({ [REFERENCE]: made.host.reference('VM', uuid) }))),
    changes: (since) => changesOf(since as readonly Attributes[], attributes),
  })
  /** The VMs of a machine; the same while the same VMs have the same attributes. */
  const keptVms = (made: SimulatedHost): Kept => {
    // One that has just gone to another machine is that machine's, also while this one still forgets it.
    const vms = made.host.vms.list().filter((vm) => objects.get('VM', vm.uuid)?.local === vm)
    const present = lists.get(made.uuid)
    if (present !== undefined && present.attributes.length === vms.length && vms.every((vm, i) => Object.is(vm.attributes(), present.attributes[i]))) return present.kept
    const attributes = vms.map((vm) => vm.attributes() as unknown as Attributes)
    const kept = answerOf(made, vms, attributes)
    lists.set(made.uuid, { attributes, kept })
    return kept
  }
  const passes = new Map<string, boolean>()
  /** The policy's answer where no rules of the object have a say. */
  const mayReadVms = (principal: string, { uuid, name }: SimulatedHost): boolean => {
    if (ledger.rules({ kind: 'PhysicalMachine', uuid }).length > 0) return false
    const present = passes.get(principal)
    if (present !== undefined) return present
    const decision = policy({ principal, trace: '', node: self, kind: 'PhysicalMachine', uuid, name, verb: 'vms', acl: 'read' })
    const allowed = !(decision instanceof Promise) && decision.allowed
    passes.set(principal, allowed)
    return allowed
  }

  // ---------------------------------------------------------------- machines that are down

  const hostOf = (kind: string, uuid: string): SimulatedHost | undefined =>
    kind === 'PhysicalMachine' ? byMachine.get(uuid) : kind === 'VM' ? hosts.find(({ host }) => host.vms.get(uuid) !== undefined) : hosts.find(({ host }) => host.objects.list(kind).some((object) => object.uuid === uuid))
  const faultListeners: ((host: SimulatedHost) => void)[] = []
  const anyDown = (): boolean => hosts.some(({ down }) => down)
  /** In their order; machines come and go by going down only. */
  const machineNames: readonly ReferenceRecord[] = hosts.map(({ name, uuid }) => ({ kind: 'PhysicalMachine', uuid, home: self, name, attributes: { name, uuid } }))
  const unreachable = (name: string): Error => FABRIC.UNREACHABLE({ node: name, reason: 'the simulated machine is down' })

  return {
    hosts, capabilities, objects, keptMachines,
    get revision() { return revision },
    async refresh(references, authority) {
      const { principal } = authority
      if (refreshed?.revision === revision && refreshed.principal === principal && sameElements(refreshed.references, references)) return refreshed.fresh
      const asOf = revision
      const fresh = await capabilities.refresh(references, authority)
      if (references.every(isMachine)) refreshed = { references, principal, revision: asOf, fresh }
      return fresh
    },
    events: createLocalEvents({ objects, kinds: kumoiKinds, clock, onError: (error) => warn('a watch failed', { reason: String(error) }) }),
    ready: Promise.all(hosts.map(({ host }) => host.ready)),
    knownAnswer({ target, verb, args }, principal) {
      if (target?.kind !== 'PhysicalMachine' || verb !== 'vms' || args.byteLength !== 1) return undefined
      const made = byMachine.get(target.uuid)
      return made === undefined || made.down || !mayReadVms(principal, made) ? undefined : keptVms(made)
    },
    async resolve(kind, authority, want) {
      const hidden = rules.unreadable(kind, authority.principal)
      if (hidden !== undefined) throw hidden
      if (kind === 'PhysicalMachine' && want === 'names' && !anyDown()) return machineNames
      const all = capabilities.listHere(kind)
      return anyDown() ? all.filter(({ uuid }) => hostOf(kind, uuid)?.down !== true) : all
    },
    async invokeEncoded(target, verb, args, authority) {
      const made = anyDown() ? hostOf(target.kind, target.uuid) : undefined
      if (made?.down === true) throw unreachable(made.name)
      return capabilities.invokeEncoded(target, verb, args, authority)
    },
    crash(name, forMs) {
      const made = byName.get(name)
      if (made === undefined || made.down) return
      for (const vm of made.host.vms.list()) if (vm.record.state === 'running' || vm.record.state === 'paused' || vm.record.state === 'stopping') made.driver.faults.crash(vm.uuid)
      const turn = (down: boolean): void => {
        made.down = down
        changed()
        for (const listener of faultListeners) listener(made)
      }
      turn(true)
      clock.after(Math.max(1, forMs), () => turn(false))
    },
    onFault(listener) { faultListeners.push(listener) },
    async stop() {
      stopped = true
      for (const off of unwatch) off()
      await Promise.all(hosts.map(({ host }) => host.stop()))
    },
  }
}

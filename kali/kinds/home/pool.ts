// One pool, as each node offers it: figures of the node's view, verbs of its CloudService.
//
// add() and remove() take machines, VMs, groups and protections alike; what is there already is left as it is, so that a
// call that failed half way can be repeated.

import type { Authority, ReferenceRecord } from '../../../functions/mod.ts'
import { RMO, coldVm, namedDisks, randomUuid } from '../../../rmo/base.ts'
import type { MachineRecord, PoolRecord, Stored } from '../../cloud/contract.ts'
import { KALI } from '../../errors.ts'
import { protectionUuidOf } from '../high-availability-settings.ts'
import type { LocalPool } from '../pool.ts'
import { changeOfPool, settingsOfPool } from '../pool-settings.ts'
import { schedulerText } from '../types.ts'
import { poolFigures } from './capacity.ts'
import { bareRecord, cachedBy, eachAtOnce, machineRecords, vmRecords } from './context.ts'
import type { CloudHome, EventSource } from './context.ts'
import { draftOf, protectionOf, specOf, vmOf } from './drafts.ts'
import { recordHere } from './records.ts'

export function createPool(home: CloudHome, uuid: string, events: EventSource): LocalPool {
  const { service, book, clock, self, random } = home
  const { view } = service
  let last = view.pool(uuid)
  const present = (): Stored<PoolRecord> => {
    const found = view.pool(uuid)
    if (found !== undefined) last = found
    if (last === undefined) throw RMO.GONE({ kind: 'Pool', name: uuid, reason: 'it was removed' })
    return last
  }
  const attributes = cachedBy(() => view.revision, () => {
    const record = present()
    const { name, description, cpuOvercommitRatio, memoryOvercommitRatio, reserveVcpus, reserveMemoryMiB, survivesHosts, migrationsPerHost, migrationsPerPool, policies } = settingsOfPool(record)
    const machines = view.machines(uuid)
    const { freeVcpus, freeMemoryMiB, bookedRatio } = poolFigures(record, machines)
    return {
      name, uuid, description, cpuOvercommitRatio, memoryOvercommitRatio, reserveVcpus, reserveMemoryMiB, survivesHosts, migrationsPerHost, migrationsPerPool, policies,
      state: view.mode().mode === 'armed' ? 'in-service' as const : 'frozen' as const, scheduler: schedulerText(record.scheduler),
      machinesCount: machines.length, vmsCount: view.intents({ pool: uuid }).length, freeVcpus, freeMemoryMiB, bookedRatio,
    }
  })
  const protectedVm = (ha: string): string | undefined => view.intents({ pool: uuid }).find(({ uuid: vm, protection }) => protection !== undefined && protectionUuidOf(vm) === ha)?.uuid
  const vmHere = async (vm: string, authority: Authority): Promise<ReferenceRecord> => {
    const intent = view.intent(vm)
    const [record] = intent === undefined ? [] : await vmRecords(home, [intent], authority)
    if (record === undefined) throw KALI.VM_UNKNOWN({ vm })
    return record
  }

  /** A pool's rules hold for what it manages, and its agents work as root: neither lets anybody reach what he could not before. */
  const mayTake = async (vm: ReferenceRecord, authority: Authority): Promise<void> => {
    if (view.intent(vm.uuid)?.pool === uuid) return
    if (vm.cold !== true) return home.administers(vm, authority)
    // It may be placed on any of them.
    if (namedDisks(vm.attributes.devices).length > 0) for (const { uuid: machine, node, name } of view.machines(uuid)) await home.executes(bareRecord('PhysicalMachine', machine, node, name), authority)
  }
  /** Verbs about one of its own; who may operate a pool may not operate another. */
  const ownMachine = (machine: ReferenceRecord): string => {
    if (view.machine(machine.uuid)?.pool !== uuid) throw KALI.MACHINE_UNKNOWN({ machine: machine.name, where: `pool ${present().name}` })
    return machine.uuid
  }
  const ownVm = (vm: ReferenceRecord): string => {
    if (view.intent(vm.uuid)?.pool !== uuid) throw KALI.VM_UNKNOWN({ vm: vm.name })
    return vm.uuid
  }

  const addOne = async (what: ReferenceRecord, options: { readonly start?: boolean }, authority: Authority): Promise<ReferenceRecord> => {
    switch (what.kind) {
      case 'PhysicalMachine':
        if (view.machine(what.uuid)?.pool === uuid) return what
        await home.administers(what, authority)
        await service.addMachine(uuid, what, authority)
        return what
      case 'VM': {
        if (what.cold !== true && view.intent(what.uuid)?.pool === uuid) return what
        await mayTake(what, authority)
        const { vm } = await service.addVm(uuid, what, options, authority)
        return vmHere(vm, authority)
      }
      case 'Elasticity':
        if (view.group(what.uuid) === undefined) {
          const vm = vmOf(what, 'Pool.add')
          await mayTake(vm, authority)
          await service.addGroup(uuid, { uuid: what.uuid, name: what.name, vm, spec: specOf(what) }, authority)
        }
        return recordHere(home, 'Elasticity', what.uuid)
      default: {
        if (protectedVm(what.uuid) === undefined) {
          const vm = vmOf(what, 'Pool.add')
          await mayTake(vm, authority)
          if (vm.cold === true && view.intent(vm.uuid) === undefined) await service.addVm(uuid, vm, { start: true }, authority)
          await service.protect(uuid, vm, protectionOf(what), authority)
        }
        return recordHere(home, 'HighAvailability', what.uuid)
      }
    }
  }
  const removeOne = async (what: ReferenceRecord, { destroy, keepMembers }: { readonly destroy?: boolean; readonly keepMembers?: boolean }, authority: Authority): Promise<void> => {
    // Removing twice is removing once.
    switch (what.kind) {
      case 'PhysicalMachine': return view.machine(what.uuid)?.pool === uuid ? service.removeMachine(uuid, what.uuid, authority) : undefined
      case 'VM': return view.intent(what.uuid)?.pool === uuid ? service.removeVm(uuid, what.uuid, destroy === undefined ? {} : { destroy }, authority) : undefined
      case 'Elasticity': return view.group(what.uuid)?.pool === uuid ? service.removeGroup(what.uuid, keepMembers === undefined ? {} : { keepMembers }, authority) : undefined
      default: {
        const vm = protectedVm(what.uuid)
        return vm === undefined ? undefined : service.unprotect(vm, authority)
      }
    }
  }

  return {
    uuid, attributes,
    settings: () => settingsOfPool(present()),
    async apply(change, authority) { await service.changePool(uuid, changeOfPool(change), authority) },
    info() {
      const { name, scheduler, createdBy, createdAtMs } = present()
      return { name, uuid, scheduler, rules: view.rules(uuid), createdBy, createdAtMs }
    },
    stats() {
      const machines = view.machines(uuid), intents = view.intents({ pool: uuid })
      const { capacity, booked } = poolFigures(present(), machines)
      const count = (mode: MachineRecord['mode']): number => machines.filter((machine) => machine.mode === mode).length
      const wanted = intents.filter(({ desired }) => desired === 'running')
      const runs = wanted.filter(({ uuid: vm, epoch }) => { const status = view.status(vm); return status?.epoch === epoch && (status.phase === 'running' || status.phase === 'ready') })
      return {
        atMs: Math.round(clock.wallMs()), capacity, booked, machines: { 'in-service': count('in-service'), draining: count('draining'), maintenance: count('maintenance') },
        running: runs.length, inFlight: wanted.length - runs.length, pending: wanted.filter(({ machine }) => machine === undefined).length, failed: intents.filter(({ error }) => error !== undefined).length,
      }
    },
    onEvent: (listener) => events.on(listener),
    async related(kind, authority) {
      switch (kind) {
        case 'PhysicalMachine': return machineRecords(home, view.machines(uuid), authority)
        case 'VM': return vmRecords(home, view.intents({ pool: uuid }), authority)
        case 'Elasticity': return view.groups(uuid).map((group) => recordHere(home, kind, group.uuid))
        default: return view.intents({ pool: uuid }).filter(({ protection }) => protection !== undefined).map((intent) => recordHere(home, kind, protectionUuidOf(intent.uuid)))
      }
    },
    createVM: (settings) => coldVm(settings, { call: 'Pool.createVM', home: self, random }),
    createElasticity(vm, { name, ...spec }) {
      const called = name ?? `${vm.name}-group`
      return { kind: 'Elasticity', uuid: randomUuid(random), home: self, name: called, attributes: { name: called, pool: present().name, ...spec, ...draftOf(vm) }, cold: true }
    },
    createHighAvailability: (vm, protection) =>
      ({ kind: 'HighAvailability', uuid: protectionUuidOf(vm.uuid), home: self, name: vm.name, attributes: { name: vm.name, pool: present().name, ...protection, ...draftOf(vm) }, cold: true }),
    add: (what, options, authority) => eachAtOnce(what, (each) => addOne(each, options, authority)),
    async remove(what, options, authority) { await eachAtOnce(what, (each) => removeOne(each, options, authority)) },
    place: (vm, scheduler, authority) => service.tryPlace(uuid, vm, scheduler, authority),
    why: (about, authority) => service.why(uuid, typeof about === 'object' ? (about.kind === 'HighAvailability' ? protectedVm(about.uuid) : about.uuid) : about, authority),
    async setMode(machine, mode, authority) { await service.setMachineMode(ownMachine(machine), mode, authority) },
    rule: (rule, authority) => service.putRule({ ...rule, hard: rule.hard ?? true, pool: uuid }, authority),
    removeRule: (name, authority) => service.removeRule(uuid, name, authority),
    rules: () => view.rules(uuid),
    async clear(vm, options, authority) { await service.clear(ownVm(vm), options, authority) },
    async migrate(vm, to, authority) {
      await service.migrateVm(uuid, vm.uuid, to?.uuid, authority)
      return vmHere(vm.uuid, authority)
    },
    decisions: (options, authority) => service.decisions(uuid, options, authority),
    snapshot: (authority) => service.snapshot(uuid, authority),
    memory: (policy) => book.memory(policy, uuid),
    act: (request, authority) => service.act(uuid, request, authority),
  }
}

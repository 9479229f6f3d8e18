// VMM: the virtual machine monitor of one machine (Table I of the paper: create, add, read, update, delete, index).
//
// One a host, always there: while the hypervisor is away its state is 'disconnected' and its verbs give
// RMO_ERR_DRIVER_UNAVAILABLE. Implemented by rmo/host/vm/vmm.ts.

import { LIMITS } from '../../fabric/base.ts'
import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import { MACHINE_FILES, diskRights } from '../further-rights.ts'
import type { FurtherRight } from '../further-rights.ts'
import { defineKind, parameter } from '../kind.ts'
import type { AclVerb } from '../gate.ts'
import type { ObjectEvent } from '../object.ts'
import { anything, bareReference, boolean, integer, number, oneOf, optional, record, reference, referenceRecord, text, uuid } from '../schema.ts'
import type { Type } from '../schema.ts'
import { linkName, newVm, vmName } from '../vm-schema.ts'
import type { NewVm, Network, StoragePool, Switch, VM, VMM, VmmInfo, VmmStats } from './interfaces.ts'
import { column } from './room-object.ts'

// ---------------------------------------------------------------- for the node

export type NewPool = Parameters<VMM['createPool']>[0]
export type NewNetwork = Parameters<VMM['createNetwork']>[0]
export type NewSwitch = Parameters<VMM['createSwitch']>[0]
export type VmmAttributes = Pick<VMM, 'name' | 'uuid' | 'driver' | 'uri' | 'state' | 'hypervisor' | 'version' | 'vmsCount' | 'vcpusUsed' | 'memoryTotalMiB' | 'memoryFreeMiB'>

export interface LocalVmm {
  readonly uuid: string
  attributes(): VmmAttributes
  info(): VmmInfo
  stats(): VmmStats
  onEvent(listener: (event: ObjectEvent) => void): () => void
  createVM(settings: NewVm): ReferenceRecord
  add(vm: ReferenceRecord, options: { readonly start?: boolean }, authority: Authority): Promise<ReferenceRecord>
  remove(vm: ReferenceRecord, options: { readonly force?: boolean; readonly keepDisks?: boolean }, authority: Authority): Promise<void>
  adopt(vm: ReferenceRecord, authority: Authority): Promise<ReferenceRecord>
  createPool(pool: NewPool, authority: Authority): Promise<ReferenceRecord>
  createNetwork(network: NewNetwork, authority: Authority): Promise<ReferenceRecord>
  createSwitch(wish: NewSwitch, authority: Authority): Promise<ReferenceRecord>
  /** Every object of that kind on this host. */
  related(kind: 'VM' | 'Image' | 'StoragePool' | 'Network' | 'Switch'): readonly ReferenceRecord[]
  pm(): ReferenceRecord
}

// ---------------------------------------------------------------- declaration

/** References arrive as their records; the interface shows users the object. */
const aVm = reference('VM') as unknown as Type<VM>
const recordOf = (object: unknown): ReferenceRecord => object as ReferenceRecord
const answer = <T>(kind: string, doc: string): { doc: string; type: Type<T> } => ({ doc, type: reference(kind) as unknown as Type<T> })
/** Of a VM that is there, whatever its reference says of being cold. Whoever may work on all VMs of a machine may not thereby on one that is closed to him. */
const onVm = (local: LocalVmm, vm: unknown, verb: string, acl: AclVerb): readonly FurtherRight[] => {
  const record = referenceRecord(vm)
  return record === undefined || !local.related('VM').some(({ uuid }) => uuid === record.uuid) ? [] : [{ on: 'object', kind: 'VM', uuid: record.uuid, name: record.name, verb, acl }]
}
const shortName = text({ charsMax: 255, pattern: /^[^\p{Cc}/]+$/u, expected: 'a name without control characters and "/"' })
const count = integer({ unit: 'count' })

export const vmm = defineKind<VMM, LocalVmm>({
  kind: 'VMM',
  plural: 'vmms',
  doc: 'The virtual machine monitor of one machine.',
  residence: 'hosted',
  example: 'vmms.dmap(vmm => vmm.vmsCount)',
  observe: (local) => local.attributes(),
  attributes: {
    state: { doc: 'Whether the hypervisor can be reached.', type: oneOf('connected', 'disconnected'), column: column('STATE') },
    driver: { doc: 'How it is reached.', type: oneOf('libvirt', 'memory'), column: column('DRIVER') },
    uri: { doc: 'What the driver is connected to.', type: text(), column: column('URI') },
    hypervisor: { doc: 'Its name; "" until the first connection.', type: text(), column: column('HYPERVISOR', 'text', true) },
    version: { doc: 'Its version; "" until the first connection.', type: text(), column: column('VERSION', 'text', true) },
    vmsCount: { doc: 'VMs, in any state.', type: count, column: column('VMS', 'number') },
    vcpusUsed: { doc: 'Vcpus of the VMs that run.', type: count, column: column('VCPUS', 'number') },
    memoryTotalMiB: { doc: 'Memory of the machine.', type: number({ unit: 'mebibytes' }), column: column('MEMORY', 'mebibytes') },
    memoryFreeMiB: { doc: 'What is not given to VMs that run.', type: number({ unit: 'mebibytes' }), column: column('FREE', 'mebibytes') },
  },
  common: {
    info: (local) => local.info(),
    stats: (local) => local.stats(),
  },
  verbs: {
    createVM: {
      doc: 'A cold VM with defaults filled in; nothing exists until add().', acl: 'create', idempotent: true,
      parameters: [parameter('settings', optional(newVm), 'name, memoryMiB, vcpus, image, devices, context, ...')],
      result: answer<VM>('VM', 'The VM, cold.'),
      run: (local, [settings]) => bareReference(local.createVM(settings ?? {})),
    },
    add: {
      doc: 'Makes the VM: disks, seed, definition; all or nothing.', acl: 'create', idempotent: true,
      parameters: [parameter('vm', aVm, 'A cold VM, of createVM() or load().'), parameter('options', optional(record({ start: optional(boolean()) })), 'start: also starts it.')],
      result: answer<VM>('VM', 'The VM, live.'),
      budgetMs: () => LIMITS.callTimeoutMs * 4,
      also: ([vm, options], local) => [...diskRights(referenceRecord(vm)?.attributes.devices), ...((options as { readonly start?: unknown } | undefined)?.start === true ? onVm(local, vm, 'start', 'operate') : [])],
      run: async (local, [vm, options], authority) => bareReference(await local.add(recordOf(vm), options ?? {}, authority)),
    },
    remove: {
      doc: 'Removes a stopped VM with the disks that Kumoi made for it.', acl: 'delete', idempotent: true,
      parameters: [parameter('vm', aVm, 'Which.'), parameter('options', optional(record({ force: optional(boolean()), keepDisks: optional(boolean()) })), 'force: also a running one; keepDisks.')],
      result: { doc: 'nothing', type: anything() },
      also: ([vm], local) => onVm(local, vm, 'remove', 'delete'),
      run: (local, [vm, options], authority) => local.remove(recordOf(vm), options ?? {}, authority),
    },
    adopt: {
      doc: 'A VM that somebody else defined becomes one of ours.', acl: 'create', idempotent: true,
      parameters: [parameter('vm', aVm, 'Which.')],
      result: answer<VM>('VM', 'The VM.'),
      also: ([vm], local) => onVm(local, vm, 'patch', 'update'),
      run: async (local, [vm], authority) => bareReference(await local.adopt(recordOf(vm), authority)),
    },
    createPool: {
      doc: 'Makes a storage pool of a directory.', acl: 'create', idempotent: false,
      parameters: [parameter('pool', record({ name: shortName, path: text({ charsMax: 4_096, pattern: /^\/[^\0]*$/, expected: 'an absolute path' }), uuid: optional(uuid()) }), 'name, path, uuid.')],
      result: answer<StoragePool>('StoragePool', 'The pool.'),
      also: () => [MACHINE_FILES],
      run: async (local, [pool], authority) => bareReference(await local.createPool(pool, authority)),
    },
    createNetwork: {
      doc: 'Makes a network of the hypervisor.', acl: 'create', idempotent: false,
      parameters: [parameter('network', record({ name: shortName, bridge: optional(linkName), forward: optional(oneOf('none', 'nat', 'route', 'bridge')), address: optional(text({ charsMax: 64, pattern: /^[0-9a-fA-F.:]+\/\d+$/, expected: 'an address with prefix length' })) }), 'name, bridge, forward, address (CIDR).')],
      result: answer<Network>('Network', 'The network.'),
      run: async (local, [network], authority) => bareReference(await local.createNetwork(network, authority)),
    },
    createSwitch: {
      doc: 'Makes a switch: a Linux bridge or an Open vSwitch.', acl: 'create', idempotent: false,
      parameters: [parameter('options', record({ name: linkName, type: optional(oneOf('linux', 'openvswitch')) }), 'name, type.')],
      result: answer<Switch>('Switch', 'The switch.'),
      run: async (local, [wish], authority) => bareReference(await local.createSwitch(wish, authority)),
    },
  },
  collections: {
    vms: { kind: 'VM', doc: 'Its VMs.', list: async (local) => local.related('VM') },
    images: { kind: 'Image', doc: 'Images of its host.', list: async (local) => local.related('Image') },
    storagePools: { kind: 'StoragePool', doc: 'Storage pools of its host.', list: async (local) => local.related('StoragePool') },
    networks: { kind: 'Network', doc: 'Networks of the hypervisor.', list: async (local) => local.related('Network') },
    switches: { kind: 'Switch', doc: 'Switches of its host.', list: async (local) => local.related('Switch') },
  },
  references: {
    pm: { kind: 'PhysicalMachine', doc: 'Its machine.', get: async (local) => local.pm() },
  },
  events: {
    connected: { doc: 'The hypervisor is there.', fields: { reason: text() } },
    disconnected: { doc: 'The hypervisor went away; it is tried again.', fields: { reason: text() } },
    vmAdded: { doc: 'A VM appeared.', fields: { uuid: uuid(), name: vmName } },
    vmRemoved: { doc: 'A VM is gone.', fields: { uuid: uuid(), name: vmName } },
    vm: { doc: 'Any event of any VM.', fields: { uuid: uuid(), name: vmName, event: text(), state: oneOf('running', 'paused', 'stopping', 'stopped', 'crashed', 'saved', 'gone') } },
  },
  watch: { options: record({}), start: (local, _options, emit) => local.onEvent(emit) },
})

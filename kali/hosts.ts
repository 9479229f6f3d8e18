// The hosts of a node: which hypervisor, which switches, put together for rmo/host. One, of the machine the node runs on;
// or, with the memory driver, a fleet of simulated ones.
//
// 'auto' is decided by what is installed, never by what happens to answer: a machine with libvirt whose daemon is down is
// a machine with a hypervisor that is down, and must not turn into a simulated one.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { uuidOfNode } from '../fabric/base.ts'
import { systemClock, systemRandom } from '../fabric/mod.ts'
import type { FabricNode, LocalStore } from '../fabric/mod.ts'
import type { ReferenceRecord } from '../functions/mod.ts'
import { RMO, createFleet, createHost, createMemoryDriver, createMemorySwitches, createNetworkRoom, createStorageRoom, createSwitchDriver, createSwitchRoom, rmoKinds, serveMigrations } from '../rmo/mod.ts'
import type { Host, HostOptions, HostPeers, HypervisorDriver, Ledger, LocalObjects, NodeCapabilities, SwitchDriver, VmGuard } from '../rmo/mod.ts'
import type { HypervisorOptions } from './contract.ts'

export interface HostsOptions {
  readonly fabric: FabricNode
  readonly capabilities: NodeCapabilities
  readonly objects: LocalObjects
  readonly store: LocalStore
  readonly ledger: Ledger
  readonly data: string
  readonly hypervisor: HypervisorOptions
  /** Asked before a VM of that machine is set going, and of users' verbs. */
  readonly guardOf?: (machineUuid: string, hostName: string) => VmGuard
}

const LIBVIRT_URI = 'qemu:///system'
const SONAME = 'libvirt.so.0'
const LIBRARY_FOLDERS = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib', '/lib64', '/lib', '/usr/local/lib']

export const libvirtInstalled = (): boolean => LIBRARY_FOLDERS.some((folder) => existsSync(join(folder, SONAME)))

/** What 'auto' means on this machine. */
export const driverOf = (hypervisor: HypervisorOptions | undefined): 'libvirt' | 'memory' | 'none' =>
  hypervisor === undefined ? 'none' : hypervisor.driver === 'auto' ? (libvirtInstalled() ? 'libvirt' : 'memory') : hypervisor.driver

/** What a driver is started with, beside what all hosts of a node share. */
interface Site { readonly machineUuid: string; hostName(): string; readonly driver: HypervisorDriver; readonly switches: SwitchDriver | undefined; readonly directory: string }

/** The room of the switches opens by itself: it needs no hypervisor. */
function partsOf(switches: SwitchDriver | undefined): NonNullable<HostOptions['parts']> {
  return (context) => {
    const storage = createStorageRoom(context), network = createNetworkRoom(context)
    const bridges = switches === undefined ? undefined : createSwitchRoom(context, switches)
    void bridges?.open()
    return {
      rooms: [storage, network, ...(bridges === undefined ? [] : [bridges])],
      disks: storage.disks,
      createPool: (pool, authority) => storage.createPool(pool, authority),
      createNetwork: (wish, authority) => network.createNetwork(wish, authority),
      ...(bridges === undefined ? {} : {
        createSwitch: (wish, authority) => bridges.createSwitch(wish, authority),
        typeOfBridge: (name) => bridges.typeOf(name),
      }),
    }
  }
}

export interface Hosts {
  /** By the uuid of their PhysicalMachine. */
  readonly hosts: ReadonlyMap<string, Host>
  /** What of that kind the machine of the node has. */
  related(kind: string): readonly ReferenceRecord[]
  /** Lets go of the hypervisors; guests go on. */
  stop(): Promise<void>
}
const NO_HOSTS: Hosts = { hosts: new Map(), related: () => [], stop: async () => {} }

const relatedTo = ({ vmm, reference }: Host) => (kind: string): readonly ReferenceRecord[] =>
  kind === 'VMM' ? [reference('VMM', vmm.uuid)] : vmm.related(kind as Parameters<typeof vmm.related>[0])

export async function startHosts({ fabric, capabilities, objects, store, ledger, data, hypervisor, guardOf }: HostsOptions): Promise<Hosts> {
  const driverName = driverOf(hypervisor)
  if (driverName === 'none') return NO_HOSTS

  const peers: HostPeers = {
    call: async (node, method, body, authority) => {
      const { principal, trace, hop, signal } = authority
      return (await fabric.peer(node)).call(method, body, { parent: { principal, trace, hop, signal, remainingMs: () => authority.remainingMs() } })
    },
    invoke: (target, verb, args, authority) => capabilities.invoke(target, verb, args, authority),
    nameOf: (node) => fabric.membership.member(node)?.name ?? node.slice(0, 8),
    async holder(kind, uuid, authority) {
      const { references, failures } = await capabilities.list(kind, { withAttributes: false }, authority)
      const found = references.find((record) => record.uuid === uuid)
      const [silent] = failures
      if (found === undefined && silent !== undefined) throw RMO.LIST_INCOMPLETE({ kind, failed: failures.map(({ name }) => name), first: silent.error.message })
      return found?.home
    },
    sibling: (machineUuid) => hosts.get(machineUuid),
  }
  /** By machine. */
  const hosts = new Map<string, Host>()
  const start = ({ switches, ...site }: Site): Host => {
    const host: Host = createHost({
      ...site, self: fabric.id, objects, kinds: rmoKinds, clock: systemClock, random: systemRandom, store, ledger, peers, log: fabric.log, parts: partsOf(switches),
      // A VM that comes is one more in its VMM, as by add(), on behalf of whoever moves it.
      admit: (authority) => capabilities.pass(capabilities.find({ kind: 'VMM', uuid: host.vmm.uuid, home: fabric.id }), 'add', 'create', authority),
      ...(hypervisor.migrationUri === undefined ? {} : { migrationUri: hypervisor.migrationUri }),
      ...(guardOf === undefined ? {} : { guard: guardOf(site.machineUuid, site.hostName()) }),
    })
    hosts.set(site.machineUuid, host)
    return host
  }
  const ownUuid = uuidOfNode(fabric.id)
  const hostName = (): string => fabric.membership.self.name
  const directory = join(data, 'host')

  if (driverName === 'libvirt') {
    const { createLibvirtDriver } = await import('../rmo/libvirt.ts')
    const driver = createLibvirtDriver({
      uri: hypervisor.libvirtUri ?? LIBVIRT_URI, clock: systemClock, random: systemRandom,
      ...(hypervisor.migrationUri === undefined ? {} : { migrationUri: hypervisor.migrationUri }),
    })
    const switches = hypervisor.switches === 'none' ? undefined
      : createSwitchDriver({ clock: systemClock, machineUuid: ownUuid, hostName, ...(hypervisor.ovsSocket === undefined ? {} : { ovsSocket: hypervisor.ovsSocket }) })
    const host = start({ machineUuid: ownUuid, hostName, driver, switches, directory })
    host.serve(fabric.registry)
    return {
      hosts, related: relatedTo(host),
      async stop() {
        await host.stop()
        await switches?.close()
      },
    }
  }

  if ((hypervisor.hosts ?? 1) > 1 || hypervisor.vmsPerHost !== undefined) return { ...await startFleet({ fabric, objects, hypervisor, start, directory }), hosts }
  const name = hostName()
  const driver = createMemoryDriver({ name, uuid: ownUuid, clock: systemClock, random: systemRandom, state: join(directory, 'simulated.json') })
  const switches = createMemorySwitches({ machineUuid: ownUuid, random: systemRandom, hostName })
  const host = start({ machineUuid: ownUuid, hostName, driver, switches, directory })
  host.serve(fabric.registry)
  return { hosts, related: relatedTo(host), stop: () => host.stop() }
}

const FLEET_SEED = 1

/** Many simulated machines on one node; the first of them takes the node's own place, so that `pms` are exactly these. */
async function startFleet({ fabric, objects, hypervisor, start, directory }: Pick<HostsOptions, 'fabric' | 'objects' | 'hypervisor'> & { readonly start: (site: Site) => Host; readonly directory: string }): Promise<Omit<Hosts, 'hosts'>> {
  const fleet = createFleet({
    hosts: hypervisor.hosts ?? 1, ...(hypervisor.vmsPerHost === undefined ? {} : { vmsPerHost: hypervisor.vmsPerHost }),
    seed: FLEET_SEED, clock: systemClock, self: () => fabric.membership.self, firstUuid: uuidOfNode(fabric.id),
  })
  const hosts = fleet.hosts.map(({ name, uuid, driver, machine }) => {
    const host = start({ machineUuid: uuid, hostName: () => name, driver, switches: undefined, directory: join(directory, name) })
    objects.add({ kind: 'PhysicalMachine', uuid, local: { ...machine, related: relatedTo(host) } })
    return host
  })
  serveMigrations(fabric.registry, hosts)
  await Promise.all(hosts.map((host) => host.ready))
  return {
    related: () => [],
    async stop() {
      fleet.stop()
      await Promise.all(hosts.map((host) => host.stop()))
    },
  }
}

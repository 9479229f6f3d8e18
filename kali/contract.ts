// What a program and the shell hold: `const dc = await connect()`, and what a node offers.

import type { Manifest, Outcome } from '../functions/mod.ts'
import type { Member, MembershipEvent, NodeInfo } from '../fabric/mod.ts'
import type { AdmissionRules, Collection, CollectionOptions, FunctionsApi, InvokeOptions, StoreApi } from '../functions/mod.ts'
import type { Elasticity, Global, HighAvailability, Pool } from './kinds/interfaces.ts'
import type { AccountApi } from './account-wire.ts'
import type { AuditApi } from './audit-client.ts'
import type { AclApi } from './acl-wire.ts'
import type { TrustApi } from './trust/client.ts'
import type { Image, LoadOptions, Network, ObjectDump, PhysicalMachine, Port, ResourceObject, Snapshot, StoragePool, Switch, VM, VMM, Volume } from '../rmo/mod.ts'
import type { Pipelined } from '../rmo/mod.ts'

export interface ConnectOptions {
  /** The node's data directory; default KUMOI_DATA, else ~/.kumoi. */
  readonly data?: string
  /** A users' socket instead of the node's own: there one is nobody until one has logged in. Default KUMOI_SOCKET, else none. */
  readonly socket?: string
  /** Default: the login that `kumoi login` left for this fabric is shown, if there is one. false: none is, so that whoever holds the node's own socket is its machine's administrator. */
  readonly login?: boolean
  /** Where logins lie; default KUMOI_CONFIG, else XDG_CONFIG_HOME/kumoi, else ~/.config/kumoi. */
  readonly config?: string
  /** Default options of every call ('timeoutMs', ...). */
  readonly defaults?: CollectionOptions
  /** Runs functions in a cell of its own: principal "local:<uid>/<as>". */
  readonly as?: string
  /** Receives console output of shipped functions; default writes to this process's stderr as "name| text". */
  readonly onConsole?: (line: { readonly nodeName: string; readonly level: string; readonly text: string }) => void
}

export interface NodeRow extends Member {
  readonly cpuRatio: number | undefined
  readonly memoryTotalBytes: number | undefined
  readonly memoryFreeBytes: number | undefined
}

/** Objects of a kind, with attributes as of now, and the nodes that could not answer for theirs. */
export interface ObjectListing<T = ResourceObject> {
  readonly objects: readonly T[]
  readonly failures: readonly { readonly name: string; readonly code: string; readonly message: string }[]
}

/** One collection per kind that this program knows: everything of it in the data center. */
export interface ObjectCollections {
  readonly pms: Collection<PhysicalMachine>
  readonly vmms: Collection<VMM>
  readonly vms: Collection<VM>
  readonly images: Collection<Image>
  readonly volumes: Collection<Volume>
  readonly storagePools: Collection<StoragePool>
  readonly networks: Collection<Network>
  readonly switches: Collection<Switch>
  readonly ports: Collection<Port>
  readonly snapshots: Collection<Snapshot>
  readonly pools: Collection<Pool>
  readonly elasticities: Collection<Elasticity>
  readonly highAvailabilities: Collection<HighAvailability>
}

export interface DataCenter extends ObjectCollections {
  /** The data center as one object: pools, quotas, mode (the paper's `global`). Its attributes are promises, read anew at each use. */
  readonly global: Pipelined<Global>
  from<T>(items: Iterable<T> | AsyncIterable<T>): Collection<T>
  range(n: number): Collection<number>
  range(from: number, to: number, step?: number): Collection<number>
  /** All objects of a kind ("VM"); what a node could not say is told in `failures`, not thrown. */
  list(kind: string): Promise<ObjectListing>
  /** A cold object from what dump() answered; add it somewhere to make it again. */
  load<T extends ResourceObject = VM>(dump: ObjectDump, options?: LoadOptions): T
  /** Resolves when everything assigned to objects (`vm.name = ...`) is done; rejects with what failed and nobody was told. */
  settled(): Promise<void>
  /** What would travel; nothing is sent. */
  explain(fn: (...args: never[]) => unknown): Manifest
  /** A deployed function as a function: `await dc.fn('hot-machines')(payload)`; "name@alias" and "name@hash" too. */
  fn(reference: string, options?: InvokeOptions): (payload?: unknown) => Promise<unknown>
  readonly functions: FunctionsApi
  readonly store: StoreApi
  /** Who one is, and who may do what: users, roles, the directory. */
  readonly trust: TrustApi
  /** Why somebody may do what with an object, and which rules stand over it. */
  readonly acl: AclApi
  /** What was done, by whom, on all nodes: records before and after each privileged act. */
  readonly audit: AuditApi
  /** Who used what, when, on all nodes. */
  readonly account: AccountApi
  node(): Promise<NodeInfo>
  /** Members as the connected node knows them; no machine is asked. */
  members(): Promise<readonly Member[]>
  /** Members with figures asked of each live one; a member that does not answer keeps undefined figures. */
  nodes(options?: { readonly timeoutMs?: number }): Promise<readonly NodeRow[]>
  ticket(options?: { readonly lifetimeMs?: number }): Promise<string>
  watchMembers(signal?: AbortSignal): AsyncIterable<MembershipEvent>
  /** Asks the connected node to leave and stop; resolves when it has. */
  down(): Promise<void>
  /** Waits for what was assigned to objects, and closes; then rejects as settled() does. */
  close(): Promise<void>
}

export interface StartNodeOptions {
  readonly data: string
  readonly name?: string
  /** "host" or "host:port"; default: the first non-internal address, any free port. */
  readonly listen?: string
  /** Ticket text; without one, and without an identity of a fabric in the data directory, the node founds a fabric. */
  readonly join?: string
  readonly onLog?: (line: string) => void
  /** Global store of the fabric: "etcd://host:port,..."; left out: what the fabric uses already, else the founder's own. */
  readonly store?: string
  /** Timings of leases and restarts elsewhere (kali/lease/timings.ts): 'fast' (default) about 25 s after a host is lost, 'calm' about 65 s. The same on all nodes. */
  readonly highAvailability?: 'fast' | 'calm'
  /** "host:port" of the HTTP door; left out: none. */
  readonly http?: string
  /** Files of its certificate (PEM, with its chain) and key: then it speaks TLS. Without them it listens on this machine only, unless httpPlain. */
  readonly httpTls?: { readonly cert: string; readonly key: string }
  /** Lets it listen on the network without TLS. */
  readonly httpPlain?: boolean
  /** Path of a socket for other users of this machine: who comes there is nobody until he has logged in; left out: none. */
  readonly usersSocket?: string
  /** What this node refuses to run, whoever asks; left out: nothing. */
  readonly admission?: AdmissionRules
  /** The machine's virtual machines; left out: none. */
  readonly hypervisor?: HypervisorOptions
}

export interface HypervisorOptions {
  /** 'auto': libvirt where its library is installed, else memory (a simulated host). 'none': the machine has no VMM. */
  readonly driver: 'auto' | 'libvirt' | 'memory' | 'none'
  /** Default qemu:///system. */
  readonly libvirtUri?: string
  /** libvirt URI under which other hosts reach this one's libvirtd, for migrations to it. */
  readonly migrationUri?: string
  /** 'auto': Open vSwitch where its database answers, and Linux bridges. */
  readonly switches?: 'auto' | 'none'
  /** Socket of ovsdb-server; default /var/run/openvswitch/db.sock. */
  readonly ovsSocket?: string
  /** Memory driver: this many simulated machines on this one node, a fleet for research; default 1. */
  readonly hosts?: number
  /** Fleet: VMs that run on each simulated machine from the start; default 0. */
  readonly vmsPerHost?: number
}

export interface RunningNode {
  readonly info: NodeInfo
  /** Path of the local Unix socket, mode 0600. */
  readonly socket: string
  /** Leaves cleanly and stops everything. */
  stop(): Promise<void>
  readonly stopped: Promise<void>
}

export type * from './cloud/contract.ts'
export type { AccountAnswer, AccountApi, AccountQuery, AccountRow } from './account-wire.ts'
export type { Prices } from './account-prices.ts'
export type { AuditApi, AuditListOptions, AuditRow } from './audit-client.ts'
export type { AclAnswer, AclApi, AclLevel, AclQuestion } from './acl-wire.ts'
export type { LoginOptions, TrustApi } from './trust/client.ts'
export type { LdapSettings, RoleRecord } from './trust/contract.ts'
export type { AdmitNodeAnswer, RevokedNodeRow } from './trust/node-wire.ts'
export type { LoginAnswer, RoleRow, TrustShown, UserRow, WhoAmI } from './trust/wire.ts'
export type * from './kinds/interfaces.ts'
export type { RuleAnswer } from './cloud/parts.ts'
export type { Manifest, MembershipEvent, NodeInfo, Outcome }

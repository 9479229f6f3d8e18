// Records of the cloud in the global store: pools, machines, virtual machines, groups, leases, decisions. Types only; every
// part of the cloud imports this, contract.ts and parts.ts, and no other part's internals.
//
//   user --pool.add, vm.stop--> book/ --one transaction--> global store --watch--> every node's CloudView
//                                                             |                        |
//   policy function (singleton) --pool.snapshot()--> decide --pool.act()--> acts/ ------'
//                                                                             | one transaction an action: booking, epoch, lease gone
//   agent on each node: intents of its machines --> hypervisor; status back; lease and watchdog; guard before every start
//
// Invariants (cloud.md section 5, 6; reliability.md section 6):
//   - one record per VM, its *intent*, says what is wanted: users, HA and elasticity all write it, by compare-and-swap on
//     its store revision; the agent of the machine it names is the only one that carries it out
//   - machine and epoch change together, and the epoch only grows; a host starts a VM only in its present epoch, asked of
//     the store right before
//   - a protected VM runs on a host only while that host holds its lease; another host gets it only when the lease key is
//     gone from the store (or death is proven), in the same transaction that raises the epoch
//   - what is booked on a machine, a pool, an account is counted in the transaction that books

import type { NodeId } from '../../fabric/base.ts'
import type { AclRule, VmSettings } from '../../rmo/mod.ts'
import type { Choice, CloudAction } from './contract.ts'

// ---------------------------------------------------------------- store keys

// Keys stand below by what they name; in the store they are what kali/cloud/keys.ts makes of them (`lease/NODE` is
// CLOUD_KEYS.lease(node) = `cloud/lease/NODE`): never spell one out. Everything is JSON in UTF-8.

/** Amounts, of what is there, booked or allowed. */
export interface Amounts { readonly vms: number; readonly vcpus: number; readonly memoryMiB: number }

// ---------------------------------------------------------------- pools and machines

/** Key `pool/UUID`; `pool-name/NAME` holds the uuid, so that names are unique. */
export interface PoolRecord {
  readonly uuid: string
  readonly name: string
  readonly description: string
  /** Vcpus per core and memory per memory that may be booked; 1 is none over. */
  readonly overcommit: { readonly cpuRatio: number; readonly memoryRatio: number }
  /** Kept free on each machine, for the host itself. */
  readonly reserve: { readonly vcpus: number; readonly memoryMiB: number }
  /** Refuse what would leave no room for the VMs of this many of its largest machines; 0: no promise. */
  readonly survivesHosts: number
  readonly scheduler: SchedulerRef
  /** Live migrations at once that leave or reach one machine, and in the pool in all. */
  readonly migrations: { readonly perHost: number; readonly perPool: number }
  /** Policies that act on this pool, by function name; default ['kali-ha', 'kali-elasticity']. */
  readonly policies: readonly string[]
  readonly createdBy: string
  readonly createdAtMs: number
}

/** Key `machine/UUID`: in one pool at a time, because there is one key. */
export interface MachineRecord {
  readonly uuid: string
  readonly name: string
  readonly node: NodeId
  readonly pool: string
  /** 'draining': its VMs are being moved off; 'maintenance': nothing is placed there. */
  readonly mode: 'in-service' | 'draining' | 'maintenance'
  /** Of the hardware. */
  readonly cores: number
  readonly memoryMiB: number
  /** Of the VMs with an intent to run there. */
  readonly booked: Amounts
  /** Simulated power: consolidation put it to sleep (`sleep`, `wake`); nothing is placed there. */
  readonly asleep?: boolean
}

/** What decides where a VM goes. 'closure': a function as captured in a shell, ready for a sandbox. */
export type SchedulerRef =
  | { readonly type: 'builtin'; readonly name: string; readonly options?: Readonly<Record<string, number | string | boolean>> }
  /** A deployed function: payload { vm, pms }, answers a machine (or its uuid or name), or a list, best first. */
  | { readonly type: 'function'; readonly name: string }
  | { readonly type: 'closure'; readonly name: string; readonly text: string; readonly codeHash: string; /** Base64. */ readonly environment: string; readonly environmentHash: string }

/** Key `booked/pool/UUID`, `booked/account/PRINCIPAL`, `booked/user/NAME`, `booked/group/NAME`; limit at `quota/...`: counted in the transaction that books. */
export type QuotaScope = `pool/${string}` | `account/${string}` | `user/${string}` | `group/${string}`
/** Whose quotas a booking counts in: the user, and his groups when it began (owners.ts). */
export interface OwnerRecord { readonly user: string; readonly groups: readonly string[] }
export interface QuotaRecord { readonly scope: QuotaScope; readonly limit: Partial<Amounts> }

/** Key `rule/POOL/NAME`. Hard rules bind every scheduler; infeasible ones are refused when made. */
export interface RuleRecord {
  readonly name: string
  readonly pool: string
  /** 'together'/'apart': the VMs among each other, by host. 'on'/'not-on': the VMs and these machines. */
  readonly type: 'together' | 'apart' | 'on' | 'not-on'
  readonly hard: boolean
  /** VM names, "label=value" for labels, or "group:NAME" for the members of an elastic group. */
  readonly vms: readonly string[]
  /** Machine names, of 'on' and 'not-on'. */
  readonly machines?: readonly string[]
}

// ---------------------------------------------------------------- virtual machines

export interface Protection {
  /** Restarts in place after a crash, then on other machines, within `windowMs`, before it is given up ('error'). Default 1, 1, one hour. */
  readonly restarts: number
  readonly relocations: number
  readonly windowMs: number
  /** The guest shut itself down: leave it off (default) or start it again. */
  readonly onGuestShutdown: 'leave' | 'restart'
  /** Biggest-first when room is short: higher first. Default 0. */
  readonly priority: number
}

/** Key `vm/UUID` (names: `vm-name/POOL/NAME`): what is wanted of one VM. Changed by compare-and-swap only. */
export interface IntentRecord {
  readonly uuid: string
  readonly name: string
  readonly pool: string
  /** Whose quota it counts in. */
  readonly account: string
  readonly desired: 'running' | 'stopped' | 'absent'
  /** Where; undefined: pending, there was no room (see `reason`). */
  readonly machine?: { readonly uuid: string; readonly name: string; readonly node: NodeId }
  /** Grows with each change of machine and with each takeover; 0: never placed. */
  readonly epoch: number
  /** How it comes to be on its machine: it is there; made from `settings`; or defined again on disks that are there. */
  readonly origin: 'present' | 'create' | 'restore' | 'migrate'
  /** As last known: what another machine needs to define it again. */
  readonly settings: VmSettings
  /** Booked on machine, pool and account while desired is 'running', and from there until it is gone ('absent'). */
  readonly booked: boolean
  /** The user behind `account` while it is booked; none: it is no user's. Written by the book, never by callers. */
  readonly owner?: OwnerRecord
  /** Highly available; `armed` by its host, once watchdog and lease stand in this epoch: from then on only a lost lease moves it. */
  readonly protection?: Protection & { readonly armed: boolean }
  /** Elastic group that it is a member of. */
  readonly group?: string
  /** Counted against Protection: reset after `windowMs` of running. */
  readonly tries: { readonly restarts: number; readonly relocations: number; readonly sinceMs: number }
  /** Set when tries are used up, or it cannot be placed: nobody acts until a human clears it (`kumoi ha clear`). */
  readonly error?: string
  /** The decision that wrote this. */
  readonly decision: string
  readonly decidedBy: string
  readonly decidedAtMs: number
  readonly reason: string
}

/** Key `status/UUID`: written by the agent of its machine when the phase changes. Of an older epoch than the intent: not yet taken up. */
export interface StatusRecord {
  readonly uuid: string
  readonly machine: string
  readonly epoch: number
  /** 'ready': the guest said so, or has run for the group's warm-up. 'failed': see error; the agent tries again with back-off. */
  readonly phase: 'creating' | 'starting' | 'running' | 'ready' | 'stopping' | 'stopped' | 'crashed' | 'shut-down' | 'migrating' | 'failed'
  readonly sinceMs: number
  readonly attempts: number
  readonly error?: string
}

// ---------------------------------------------------------------- elastic groups

export interface ElasticSpec {
  /** Add above, take away below; ratios 0 to 1 of the metric. */
  readonly out: number
  readonly in: number
  readonly min: number
  /** Mandatory: load that does not spread never falls (rule 13). */
  readonly max: number
  /** Mean CPU of the ready members (default), or a deployed function: payload { group, members }, answers a number. */
  readonly metric: { readonly type: 'cpu' } | { readonly type: 'function'; readonly name: string }
  /** Evaluations in a row; period of one. */
  readonly hold: number
  readonly periodMs: number
  readonly warmUpMs: number
  /** From completion of a change. */
  readonly cooldownOutMs: number
  readonly cooldownInMs: number
  readonly stepOut: number
  readonly stepIn: number
  /** Projected load after a removal stays this far under `out`. */
  readonly margin: number
  /** In flight longer than this is replaced. */
  readonly flightMs: number
  /** Between asking a member to stop and pulling the plug. */
  readonly drainMs: number
  /** Text on its serial console that says a member is ready; left out: it has run for warmUpMs. */
  readonly readyText?: string
  /** Wishes by the clock, before the metric: [{ cron or from/to, min?, max? }]; see kali/policies/elasticity.ts. */
  readonly schedule?: readonly { readonly from: string; readonly to: string; readonly min?: number; readonly max?: number }[]
}
/** Key `group/UUID`. */
export interface GroupRecord {
  readonly uuid: string
  readonly name: string
  readonly pool: string
  readonly spec: ElasticSpec
  /** Members are made from these: an image, overlays, identity of their own. */
  readonly template: VmSettings
  /** The VM it was made from, a member that is never taken away; undefined: none. */
  readonly original?: string
  readonly paused: boolean
  readonly account: string
  readonly createdAtMs: number
}

// ---------------------------------------------------------------- leases, mode, memory, decisions

/** One T sets all (cloud.md section 5.1): checked at start, F + max(K, W) + S < L and 3R <= F. */
export interface HaTimings {
  readonly preset: 'fast' | 'calm' | 'custom'
  /** R */ readonly renewMs: number
  /** F: age of the last renewal at which a host gives up its protected VMs. */ readonly giveUpMs: number
  /** K: to kill an emulator. */ readonly killMs: number
  /** W: the hardware watchdog, when there is one. */ readonly watchdogMs: number
  /** S: clock rate error and scheduling. */ readonly slackMs: number
  /** L */ readonly leaseMs: number
}
/** Key `lease/NODE`, on a store lease of `leaseMs`: there while the node may run protected VMs. */
export interface LeaseRecord { readonly node: NodeId; readonly name: string; /** New at each start of the agent. */ readonly boot: string; readonly timings: HaTimings }

/** Key `cloud/mode`: 'freeze': nothing is restarted or moved by policies; hosts fence themselves as ever. */
export interface ModeRecord { readonly mode: 'armed' | 'freeze'; readonly by: string; readonly atMs: number; readonly reason: string }

/** Key `access/KIND/UUID`: who may do what with an object of the cloud; none: only what the node itself allows. */
export interface AccessRecord { readonly rules: readonly AclRule[] }

/** Key `memory/POLICY/POOL`: what a policy remembers between two rounds; changed with its decisions, by compare-and-swap on `round`. */
export interface MemoryRecord { readonly round: number; readonly atMs: number; readonly memory: unknown }

/** Key `decision/POOL/<number, padded>`: why something was done or left. */
export interface DecisionRecord {
  readonly id: string
  readonly pool: string
  readonly policy: string
  readonly atMs: number
  /** VM or group it is about. */
  readonly about: readonly string[]
  readonly action: CloudAction['do'] | 'none'
  readonly reason: string
  readonly outcome: 'done' | 'refused' | 'nothing'
  /** Of a placement. */
  readonly choice?: Choice
  readonly details?: Readonly<Record<string, unknown>>
}

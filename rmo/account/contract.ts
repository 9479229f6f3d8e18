// Contract of accounts: who used what, when. One row is what one owner used of one object in one hour on one node.
//
//   VMs, volumes --tick--> meter --+
//   calls of functions ------------+--> book --one transaction: buckets and mark--> local store
//                                                                                       | account.list, any node
//                                                                     rows of all members, by hour --> kumoi account
//
// Amounts are whole numbers, so that sums are exact: milliseconds of wall time times what was held, microseconds of CPU.

/** What was used; all zero or more. */
export interface Usage {
  /** A VM that was running or paused, and its vcpus and memory for as long. */
  readonly vmMs: number
  readonly vcpuMs: number
  readonly memoryMiBMs: number
  /** Capacity of disks, used or not. */
  readonly storageMiBMs: number
  /** Calls of deployed functions that ran here, those among them that failed, and their CPU time. */
  readonly calls: number
  readonly failures: number
  readonly cpuUs: number
}

export interface UsageKey {
  /** "user:alice", "local:0": who made it, or deployed it; narrowings are left out. "unknown": nobody says. */
  readonly owner: string
  readonly kind: 'VM' | 'Volume' | 'function'
  /** Uuid, or a function's name. */
  readonly id: string
}
export interface UsageRow extends UsageKey, Usage {
  /** Beginning of the hour, since 1970. */
  readonly hourMs: number
  /** As it was called then. */
  readonly name: string
  /** Name of its pool then; '': none. */
  readonly pool: string
}

/** Up to when everything was counted: written with the buckets that say so. */
export interface Mark {
  /** Of the machine's start; times of another start say nothing. */
  readonly boot: string
  /** Since the machine's start. */
  readonly atMs: number
  readonly wallMs: number
  /** VMs that ran then, by uuid; the time up to which each is counted. */
  readonly running: Readonly<Record<string, number>>
  /** Volumes that were there then. */
  readonly stored: readonly string[]
}

export const NO_USAGE: Usage = Object.freeze({ vmMs: 0, vcpuMs: 0, memoryMiBMs: 0, storageMiBMs: 0, calls: 0, failures: 0, cpuUs: 0 })
export const AMOUNTS = Object.keys(NO_USAGE) as readonly (keyof Usage)[]

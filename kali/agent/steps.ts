// What the agent's core is told, remembers and answers, for one VM on one machine. Types only.
//
//   Seen (intent, domain, status, lease) + Memory --observe, decide--> Decision --agent.ts--> the hypervisor, the book
//                                    ^------------------learn(step, outcome)---------------------'

import type { GroupRecord, IntentRecord, StatusRecord, Stored } from '../cloud/contract.ts'
import type { AgentDomain } from '../cloud/parts.ts'

/** What the lease was told of this VM: it is guarded, and which emulator of it. */
export interface Armed { readonly pid?: number }

/** One VM as of now, on this machine. */
export interface Seen {
  /** Uuid of the machine that the agent acts for. */
  readonly self: string
  /** The hypervisor answers; if not, nothing that is not seen is gone. */
  readonly connected: boolean
  readonly intent: Stored<IntentRecord> | undefined
  readonly domain: AgentDomain | undefined
  readonly status: StatusRecord | undefined
  /** Of a member of one. */
  readonly group: GroupRecord | undefined
  /** The node's lease is held and young. */
  readonly held: boolean
  readonly armed: Armed | undefined
  /** Domain and intent have the same settings. */
  readonly sameSettings: boolean
  /** Monotonic. */
  readonly nowMs: number
  /** Wall clock: what records are dated by. */
  readonly wallMs: number
}

/** What no record and no hypervisor knows; lost with the agent's process, and safe to lose. */
export interface Memory {
  /** Decision and epoch of the intent that what follows belongs to. */
  readonly decision: string
  readonly epoch: number
  /** Since when the intent is of this epoch. */
  readonly sinceMs: number
  /** Failures in a row, of whatever step; until when nothing is tried again, and why. */
  readonly pauses: number
  readonly notBeforeMs: number
  readonly error?: string
  /** Failures in a row of making or starting it. */
  readonly failures: number
  /** Restarts since it last ran for LIMITS.agentSteadyMs, and when it was last started by this agent. */
  readonly crashes: number
  readonly startedAtMs?: number
  /** Its domain was seen in this epoch and never gone since: the same copy, whatever epoch it may show (a snapshot brings an old one back). */
  readonly here: boolean
  /** It has run in this epoch: that it is off needs a reason. */
  readonly ran: boolean
  /** The restart that is due is written into the intent. */
  readonly counted: boolean
  /** Somebody has decided since it ended: the next start is no restart. */
  readonly excused: boolean
  /** Destroyed because the lease was given up: no failure of its own. */
  readonly fenced: boolean
  /** Nothing of a start that failed can still come. */
  readonly swept: boolean
  readonly runningSinceMs?: number
  /** Its console said the group's ready text. */
  readonly heard: boolean
  readonly listenAtMs: number
}

export type Step =
  /** Makes it from the intent's settings; defines it again on disks that are there. */
  | { readonly do: 'create' | 'restore' }
  /** Writes the epoch into the domain and takes it out of the hypervisor's own autostart; 0: it is the cloud's no more. */
  | { readonly do: 'stamp'; readonly epoch: number }
  /** Lease and watchdog; then the intent is told that they stand. */
  | { readonly do: 'arm'; readonly pid?: number } | { readonly do: 'disarm' | 'confirm' }
  /** A restart, written into the intent before it is done. */
  | { readonly do: 'count' }
  | { readonly do: 'start'; readonly again: boolean }
  | { readonly do: 'stop'; readonly patienceMs: number }
  | { readonly do: 'destroy' }
  | { readonly do: 'remove'; readonly keepDisks: boolean }
  | { readonly do: 'forget' }
  | { readonly do: 'migrate'; readonly to: NonNullable<IntentRecord['machine']> }
  /** The guest shut itself down: from now on it is meant to be off. */
  | { readonly do: 'leave' }
  | { readonly do: 'give-up'; readonly error: string }
  | { readonly do: 'keep-settings' | 'reset-tries' }
  /** Reads the serial console for the ready text. */
  | { readonly do: 'listen'; readonly text: string }
  /** Nothing until something changes, or until then. */
  | { readonly do: 'rest'; readonly atMs?: number }

export interface Report { readonly phase: StatusRecord['phase']; readonly error?: string }
export interface Decision {
  readonly step: Step
  /** What others shall see of it; undefined: nothing to say, or not this machine's to say. */
  readonly report?: Report
}

/** How a step ended. `counts`: a failure of the VM or of this machine, not of the store, the lease or the connection. */
export type Outcome = { readonly ok: true; readonly heard?: boolean } | { readonly ok: false; readonly error: string; readonly counts: boolean }

/** Who the agent is: to guards, in audits, and in intents that it writes. */
export const AGENT = 'system:agent'
/** Who decided that a VM stays off after its guest shut itself down. */
export const GUEST = 'guest'

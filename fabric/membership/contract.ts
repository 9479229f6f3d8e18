// Membership as the rest of Kumoi sees it. The protocol is a pure core (core.ts); driver.ts gives it
// a clock, a random source and the transport.

import type { NodeId } from '../id.ts'

/** 'left' = said goodbye; 'dead' = declared by suspicion. Only alive and suspect members are called. */
export type MemberState = 'alive' | 'suspect' | 'dead' | 'left'

export interface Member {
  readonly id: NodeId
  readonly name: string
  readonly state: MemberState
  /** Raised by the member itself, to refute suspicion and on each restart. */
  readonly incarnation: number
  readonly addresses: readonly string[]
  readonly version: string
  /** Wall clock of the member's own start; display only. */
  readonly startedAtMs: number
  /** When this node saw the present state begin, on this node's wall clock; display only. */
  readonly sinceMs: number
  /** Small gauges that ride on gossip (cpuRatio, load per core); may be seconds old. For placement, not for people. */
  readonly load: { readonly cpuRatio: number; readonly queued: number }
}

export type MembershipEvent =
  | { readonly type: 'joined' | 'updated' | 'suspected' | 'refuted' | 'died' | 'left'; readonly member: Member }

export interface Membership {
  readonly self: Member
  /** All known members (self too), ordered by name, then id. */
  members(): readonly Member[]
  member(id: NodeId): Member | undefined
  onEvent(listener: (event: MembershipEvent) => void): () => void
  /** New gauges of this node; gossiped lazily. */
  setLoad(load: Member['load']): void
  /** Tells others at once; resolves when enough have acknowledged or after the bound. */
  leave(): Promise<void>
}

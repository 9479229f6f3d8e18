// What the calling and the serving half of a peer need of the connection that they share.

import type { Clock } from '../clock.ts'

export type Lane = 'rpc' | 'bulk'

export interface PeerHost {
  readonly clock: Clock
  /** The other end, for error messages. */
  readonly name: string
  readonly closed: boolean
  /** Sends a whole message of a call, in order with the call's others; `handed` runs when the channel has all of it. */
  post(lane: Lane, call: number, message: Uint8Array, handed?: () => void): void
  /** Forgets what a call (number as this side writes it) still wants to send. */
  drop(lane: Lane, call: number): void
  hasRoom(lane: Lane): boolean
  /** Makes sure that deadlines are looked at soon after this moment. */
  armDeadline(deadlineMs: number): void
}

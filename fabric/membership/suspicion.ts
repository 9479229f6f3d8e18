// How long a suspicion lasts before it becomes a declaration of death: a pure formula.
//
// Weak evidence follows Lifeguard: the timeout shrinks from max to min with the logarithm of the number
// of independent witnesses. Strong evidence (the process is gone) needs one more word, from a second
// witness or from this node's own repeated redial, and then only half a second.

import { MEMBERSHIP, observerCount, weakSuspicionMaxMs, weakSuspicionMinMs } from './config.ts'
import type { Accuser } from './record.ts'

export interface Evidence {
  /** Live members, the suspect included. */
  readonly members: number
  readonly accusers: readonly Accuser[]
  /** Redials that this node's own system saw refused since the suspicion began. */
  readonly ownRefusals: number
}

/** Confirmations that can be hoped for: the other observers of the suspect, capped. */
export const confirmationsExpected = (members: number): number =>
  Math.max(0, Math.min(MEMBERSHIP.confirmationsWanted, observerCount(members) - 1))

/** Is the process gone beyond doubt? Two witnesses with strong evidence, or this node refused twice (once where there is no third member). */
export const isConfirmedGone = (evidence: Evidence): boolean =>
  evidence.ownRefusals >= (evidence.members <= 2 ? 1 : 2) || evidence.accusers.filter((accuser) => accuser.strong).length >= 2

/** Milliseconds from the start of the suspicion (as this node saw it) to the declaration of death. */
export function suspicionTimeoutMs(evidence: Evidence): number {
  if (isConfirmedGone(evidence)) return MEMBERSHIP.strongConfirmMs
  const minMs = weakSuspicionMinMs(evidence.members), maxMs = weakSuspicionMaxMs(evidence.members)
  const expected = confirmationsExpected(evidence.members)
  // Nobody else watches (two members): nobody can confirm, and a refutation has only one, perhaps blocked, way.
  if (expected === 0) return maxMs
  const confirmations = Math.max(0, evidence.accusers.length - 1)
  const shrunk = maxMs - (maxMs - minMs) * (Math.log(confirmations + 1) / Math.log(expected + 1))
  return Math.max(minMs, shrunk)
}

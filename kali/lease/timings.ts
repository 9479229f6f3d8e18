// The times of high availability: one preset sets all, any other set is checked before it is used.
//
//   renewal sent          given up            killed        ended in the store
//   |--------- F ---------|---- max(K, W) ----|--- S ---|   |
//   |------------------------- L -----------------------------|        F + max(K, W) + S < L
//   |- R -|- R -|- R -|                                                3R <= F: two renewals may be lost
//
// A host that is cut off together with others counts from the moment at which it asked them (survival.ts); the last round
// may have been R before its end, and a taker's voters are asked for min(R, K): F + K + S + R < L. Source: cloud.md 5.1 and 5.10; Proxmox 60 + 10 < 120.

import { LIMITS } from '../../fabric/base.ts'
import type { HaTimings } from '../cloud/contract.ts'
import { KALI } from '../errors.ts'

/** A lost host's VMs are free some 20 s after, on a network whose pauses are short. */
const FAST: HaTimings = { preset: 'fast', renewMs: 2_000, giveUpMs: 8_000, killMs: 4_000, watchdogMs: 6_000, slackMs: 2_000, leaseMs: 20_000 }
/** For networks and stores with pauses of many seconds. */
const CALM: HaTimings = { preset: 'calm', renewMs: 5_000, giveUpMs: 25_000, killMs: 10_000, watchdogMs: 10_000, slackMs: 5_000, leaseMs: 60_000 }
export const TIMINGS: Readonly<Record<'fast' | 'calm', HaTimings>> = Object.freeze({ fast: Object.freeze(FAST), calm: Object.freeze(CALM) })

/** Throws KALI_ERR_TIMINGS_UNSAFE, which says which side is how large and what to change. */
export function checkTimings(timings: HaTimings): HaTimings {
  const { renewMs, giveUpMs, killMs, watchdogMs, slackMs, leaseMs } = timings
  const all = { renewMs, giveUpMs, killMs, watchdogMs, slackMs, leaseMs }
  for (const [name, ms] of Object.entries(all)) {
    if (!Number.isFinite(ms) || ms <= 0) throw KALI.TIMINGS_UNSAFE({ reason: `${name} must be milliseconds above 0, and is ${ms}` })
  }
  if (leaseMs < LIMITS.storeLeaseMsMin || leaseMs > LIMITS.storeLeaseMsMax) {
    throw KALI.TIMINGS_UNSAFE({ reason: `leaseMs is ${leaseMs}, and the global store grants leases of ${LIMITS.storeLeaseMsMin} to ${LIMITS.storeLeaseMsMax} ms` })
  }
  if (3 * renewMs > giveUpMs) {
    throw KALI.TIMINGS_UNSAFE({ reason: `3 x renewMs is ${3 * renewMs}, more than giveUpMs, which is ${giveUpMs}, so two lost renewals would stop VMs: renew each ${Math.floor(giveUpMs / 3)} ms or oftener` })
  }
  const goneMs = giveUpMs + Math.max(killMs, watchdogMs) + slackMs
  if (goneMs >= leaseMs) {
    throw KALI.TIMINGS_UNSAFE({ reason: `giveUpMs + max(killMs, watchdogMs) + slackMs is ${goneMs}, not less than leaseMs, which is ${leaseMs}, so a VM could be started elsewhere before it is gone: make leaseMs larger than ${goneMs}` })
  }
  const survivalMs = giveUpMs + killMs + slackMs + renewMs
  if (survivalMs >= leaseMs) {
    throw KALI.TIMINGS_UNSAFE({ reason: `giveUpMs + killMs + slackMs + renewMs is ${survivalMs}, not less than leaseMs, which is ${leaseMs}, so a host that outlives a lost store could give up too late: make leaseMs larger than ${survivalMs}` })
  }
  return timings
}

/** From the loss of a host to the start of its VMs elsewhere, at the longest, when there is room and the store answers: the lease, and noticing. */
export const worstCaseMs = ({ leaseMs }: HaTimings): number => leaseMs + LIMITS.haNoticeMs

/**
 * How long after the give-up age the watchdog ends a guest. Simulated ones end with their whole node, as by a reset, so its agent
 * has half of the time to kill for seeing them off by itself (cloud.md 5.4); an emulator is killed at once.
 */
export const watchdogGraceMs = ({ killMs }: Pick<HaTimings, 'killMs'>, simulated: boolean): number => simulated ? killMs / 2 : 0

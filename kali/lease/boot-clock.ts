// Time since the machine was started, suspend included (CLOCK_BOOTTIME, as /proc/uptime shows it, steps of 10 ms): the age
// of a lease is measured on it, here and in the watchdog, so that a machine that slept knows that it did. The other
// monotonic clock (fabric/clock.ts) stands still meanwhile; what the two differ by is the sleep.

import os from 'node:os'
import type { Clock } from '../../fabric/base.ts'

export interface BootClock { /** Milliseconds; never runs slower than the time in which a lease ends. */ nowMs(): number }

/** Some 3 microseconds a reading. */
export const systemBootClock: BootClock = { nowMs: () => os.uptime() * 1_000 }

/** Answers how long the machine slept since it was asked last; 0: it did not. */
export function suspendMeter(boot: BootClock, clock: Pick<Clock, 'nowMs'>, leastMs: number): () => number {
  let offsetMs = boot.nowMs() - clock.nowMs()
  return () => {
    const nowMs = boot.nowMs() - clock.nowMs()
    const sleptMs = nowMs - offsetMs
    offsetMs = nowMs
    return sleptMs >= leastMs ? Math.round(sleptMs) : 0
  }
}

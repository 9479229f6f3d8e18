// What counts of a VM's tries (cloud.md 5.12): so many restarts and relocations in one window, which begins with the first of
// them. When it is over they begin at none, in a new window: whoever counts one writes both, so that a window always ends, and
// what was tried in it is always counted. Pure; used by the HA policy, the service and the agent alike.

import type { IntentRecord } from './records.ts'

type Tries = IntentRecord['tries']

/** Those that count now. `nowMs`: wall clock, as `sinceMs` is; one that was set back ends no window. */
export const triesNow = (tries: Tries, windowMs: number, nowMs: number): Tries =>
  nowMs - tries.sinceMs > windowMs ? { restarts: 0, relocations: 0, sinceMs: nowMs } : tries

/** With one more. */
export function withTry(tries: Tries, of: 'restarts' | 'relocations', windowMs: number, nowMs: number): Tries {
  const now = triesNow(tries, windowMs, nowMs)
  return { ...now, [of]: now[of] + 1, sinceMs: now.restarts + now.relocations === 0 ? nowMs : now.sinceMs }
}

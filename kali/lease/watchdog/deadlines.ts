// What the watchdog knows: each guest with the moment until which it may run. Pure; loaded by the watchdog's own process,
// so it imports nothing.
//
// Invariants: a deadline moves forward only, never beyond one give-up age from now, and never once it has passed: whoever
// was given up stays given up until it has been seen off, whatever a node that was stalled sends afterwards.

/** A process and when it began (clock ticks since boot, field 22 of /proc/PID/stat): a number alone may be another's by now. */
export interface ProcessName { readonly pid: number; readonly startTicks: number }

export interface Guest {
  readonly uuid: string
  readonly name: string
  /** Its emulator, when known; others are found by "-uuid UUID" on their command line. */
  readonly emulator?: ProcessName
  /** The process whose memory it is simulated in: ended in its place, as a reset of the hardware would. */
  readonly host?: ProcessName
}
interface Watched extends Guest { readonly untilMs: number }
export type Deadlines = ReadonlyMap<string, Watched>

export const NO_DEADLINES: Deadlines = new Map()

/** `refused`: guests whose deadline has passed, or all when this one has, or is further off than any can be. */
export function extend(deadlines: Deadlines, guests: readonly Guest[], untilMs: number, giveUpMs: number, nowMs: number): { readonly deadlines: Deadlines; readonly refused: readonly string[] } {
  if (!(untilMs > nowMs && untilMs <= nowMs + giveUpMs)) return { deadlines, refused: guests.map(({ uuid }) => uuid) }
  const next = new Map(deadlines)
  const refused: string[] = []
  for (const guest of guests) {
    const before = deadlines.get(guest.uuid)
    if (before !== undefined && before.untilMs <= nowMs) refused.push(guest.uuid)
    else next.set(guest.uuid, { ...guest, untilMs: Math.max(untilMs, before?.untilMs ?? untilMs) })
  }
  return { deadlines: next, refused }
}

/** They are off, or protected no more. */
export function drop(deadlines: Deadlines, uuids: readonly string[]): Deadlines {
  const next = new Map(deadlines)
  for (const uuid of uuids) next.delete(uuid)
  return next
}

/** Those that must be off now. */
export const due = (deadlines: Deadlines, nowMs: number): readonly Guest[] => [...deadlines.values()].filter(({ untilMs }) => untilMs <= nowMs)

/** Undefined: nobody is watched. */
export function nextDueMs(deadlines: Deadlines): number | undefined {
  let next: number | undefined
  for (const { untilMs } of deadlines.values()) next = Math.min(next ?? untilMs, untilMs)
  return next
}

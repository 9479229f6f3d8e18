// Usage over an interval of wall time, cut at the hours. Pure.
//
// Invariants: the parts add up to the whole, to the last unit; every part is zero or more. Hours are of the wall clock, which
// may jump: how long something took is never computed from it (meter.ts), only in which hours it lies.

import { AMOUNTS, NO_USAGE } from './contract.ts'
import type { Usage } from './contract.ts'

export const HOUR_MS = 3_600_000
export const hourOf = (wallMs: number): number => Math.floor(wallMs / HOUR_MS) * HOUR_MS

export const sumOf = (a: Usage, b: Partial<Usage>): Usage => {
  const sum = { ...a } as { -readonly [K in keyof Usage]: number }
  for (const what of AMOUNTS) sum[what] += b[what] ?? 0
  return sum
}

/** What runs for `ms` with so much. */
export const heldFor = (ms: number, { vcpus, memoryMiB }: { readonly vcpus: number; readonly memoryMiB: number }): Partial<Usage> => ({ vmMs: ms, vcpuMs: ms * vcpus, memoryMiBMs: ms * memoryMiB })

/** Of whole amounts, used evenly in the last `lastedMs` before `untilMs`: the part of each hour, the oldest first. */
export function byHour(usage: Partial<Usage>, untilMs: number, lastedMs: number): readonly { readonly hourMs: number; readonly usage: Partial<Usage> }[] {
  const fromMs = untilMs - Math.max(0, lastedMs)
  const parts: { hourMs: number; usage: Partial<Usage> }[] = []
  let given: Usage = NO_USAGE
  for (let hourMs = hourOf(fromMs); hourMs + HOUR_MS < untilMs; hourMs += HOUR_MS) {
    const share = (hourMs + HOUR_MS - fromMs) / lastedMs
    // Up to the end of this hour, less what the hours before were given.
    const part = Object.fromEntries(AMOUNTS.map((what) => [what, Math.floor((usage[what] ?? 0) * share) - given[what]]).filter(([, amount]) => amount !== 0)) as Partial<Usage>
    parts.push({ hourMs, usage: part })
    given = sumOf(given, part)
  }
  const last = Object.fromEntries(AMOUNTS.map((what) => [what, (usage[what] ?? 0) - given[what]]).filter(([, amount]) => amount !== 0)) as Partial<Usage>
  // At the stroke of an hour the interval lies in the one before.
  return [...parts, { hourMs: hourOf(lastedMs > 0 ? untilMs - 1 : untilMs), usage: last }]
}

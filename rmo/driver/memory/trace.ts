// CPU load traces: a ratio (0 to 1) per step, repeated for ever. Pure.
//
// The time a guest was busy between two moments is an integral over its trace, so counters are exact at any moment
// and cost nothing in between: no timer, no sampling (10,000 idle VMs are free).

import type { Random } from '../../../fabric/base.ts'

export interface Trace {
  readonly ratios: Readonly<Float64Array>
  readonly stepMs: number
  /** Busy milliseconds up to the start of each step; one longer than `ratios`. */
  readonly busyMs: Readonly<Float64Array>
  /** Begins at 0 of the clock; left out: with each boot of the guest. */
  readonly onClock?: true
}

export function traceOf(ratios: ArrayLike<number>, stepMs: number): Trace {
  const kept = Float64Array.from(ratios.length === 0 ? [0] : ratios, (ratio) => Math.min(1, Math.max(0, ratio)))
  const step = Math.max(1, stepMs)
  const busyMs = new Float64Array(kept.length + 1)
  kept.forEach((ratio, i) => { busyMs[i + 1] = (busyMs[i] ?? 0) + ratio * step })
  return { ratios: kept, stepMs: step, busyMs }
}

const GENTLE_STEPS = 24
const GENTLE_STEP_MS = 2_500
/** The load of a VM about which nothing is said: some percent to a third, drifting, a minute long. */
export function gentleTrace(random: Random): Trace {
  const mean = 0.03 + 0.27 * random.next() ** 2
  let ratio = mean
  return traceOf(Array.from({ length: GENTLE_STEPS }, () => ratio += (mean - ratio) * 0.4 + (random.next() - 0.5) * mean), GENTLE_STEP_MS)
}

export function ratioAt({ ratios, stepMs }: Trace, ms: number): number {
  return ms < 0 ? 0 : ratios[Math.floor(ms / stepMs) % ratios.length] ?? 0
}

/** Busy milliseconds from 0 to `ms`; grows with `ms`. */
export function busyUntil({ ratios, stepMs, busyMs }: Trace, ms: number): number {
  if (ms <= 0) return 0
  const steps = Math.floor(ms / stepMs), step = steps % ratios.length
  const rounds = (steps - step) / ratios.length
  return rounds * (busyMs[ratios.length] ?? 0) + (busyMs[step] ?? 0) + (ms - steps * stepMs) * (ratios[step] ?? 0)
}

// A guest as plain data, for the state file and for migrations. Clock times become wall times on the way out: the
// monotonic clock of one process means nothing to the next.

import type { Clock } from '../../../fabric/base.ts'
import type { Guest } from './guest.ts'
import { traceOf } from './trace.ts'

export type GuestRecord = Omit<Guest, 'trace' | 'sinceMs'> & { readonly cpuRatios: readonly number[]; readonly stepMs: number; readonly sinceWallMs?: number }

export function writeGuest({ trace, sinceMs, ...rest }: Guest, clock: Clock): GuestRecord {
  return {
    ...rest, cpuRatios: [...trace.ratios], stepMs: trace.stepMs,
    ...(sinceMs === undefined ? {} : { sinceWallMs: sinceMs - clock.nowMs() + clock.wallMs() }),
  }
}

export function readGuest({ cpuRatios, stepMs, sinceWallMs, ...rest }: GuestRecord, clock: Clock): Guest {
  return { ...rest, trace: traceOf(cpuRatios, stepMs), sinceMs: sinceWallMs === undefined ? undefined : sinceWallMs - clock.wallMs() + clock.nowMs() }
}

// On whose behalf a trigger calls: the deployer of the function that is called, under a trace of its own.

import type { Clock, Random } from '../../fabric/base.ts'
import type { CallAuthority } from '../deployed.ts'

const TRACE_BYTES = 8

export const tracesFrom = (random: Random) => (): string => Buffer.from(random.bytes(TRACE_BYTES)).toString('hex')

export function authorityFor({ clock, principal, trace, signal, timeoutMs }: { readonly clock: Clock; readonly principal: string; readonly trace: string; readonly signal: AbortSignal; readonly timeoutMs: number }): CallAuthority {
  const endsAtMs = clock.nowMs() + timeoutMs
  return { principal, trace, hop: 0, signal, remainingMs: () => Math.max(0, endsAtMs - clock.nowMs()) }
}

export const reasonOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

// What belongs to every call of a user's: how long it may still wait, and records on the way in and out.

import { LIMITS } from '../../fabric/base.ts'
import type { Authority } from '../../functions/mod.ts'
import type { IntentRecord, StatusRecord, Stored } from '../cloud/contract.ts'
import { KALI } from '../errors.ts'
import type { Desk } from './desk.ts'
import { waitFor } from './waiting.ts'

/** Time left for waiting, so that the answer still reaches the caller. */
export const patienceMs = (by: Authority): number => Math.max(0, by.remainingMs() - LIMITS.cloudAnswerMarginMs)

/** What `look` answers first; KALI_ERR_UNFINISHED when the caller's time is over before. `what` is under way, and ends when `until`. */
export async function awaited<T>(desk: Desk, by: Authority, look: () => T | undefined, { what, until }: { readonly what: string; readonly until: string }): Promise<T> {
  const found = await waitFor(look, { view: desk.view, clock: desk.clock, timeoutMs: patienceMs(by), signal: by.signal })
  if (found === undefined) throw KALI.UNFINISHED({ what, waitedFor: until })
  return found
}

/** What the agent of its machine says in the intent's own epoch. */
export function saidOf({ view }: Pick<Desk, 'view'>, { uuid, epoch }: Pick<IntentRecord, 'uuid' | 'epoch'>): Stored<StatusRecord> | undefined {
  const status = view.status(uuid)
  return status?.epoch === epoch ? status : undefined
}

export const isRunning = (status: StatusRecord | undefined): boolean => status?.phase === 'running' || status?.phase === 'ready'

export const freshTries = (atMs: number): IntentRecord['tries'] => ({ restarts: 0, relocations: 0, sinceMs: atMs })

/** Without some of its properties. */
export function without<T extends object, K extends keyof T>(value: T, ...keys: readonly K[]): Omit<T, K> {
  return Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key as K))) as Omit<T, K>
}

/** Where an intent is to be, of a machine's record. */
export const placeOn = ({ uuid, name, node }: NonNullable<IntentRecord['machine']>): NonNullable<IntentRecord['machine']> => ({ uuid, name, node })

/** Each, at most LIMITS.cloudLettingGoAtOnce together; rejects with the first failure once those under way have ended. */
export async function forEach<T>(items: Iterable<T>, work: (item: T) => Promise<unknown>, atOnce: number = LIMITS.cloudLettingGoAtOnce): Promise<void> {
  const waiting = [...items].values()
  const failures: unknown[] = []
  const lane = async (): Promise<void> => {
    for (const item of waiting) {
      if (failures.length > 0) return
      try { await work(item) } catch (error) { failures.push(error) }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  if (failures.length > 0) throw failures[0]
}

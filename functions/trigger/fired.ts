// What the store remembers of a timer trigger: when it was fired last, and in which reign.
//
//   fired/NAME/every:5000                          a trigger is known by what it says, so a deploy that keeps it keeps its pace
//   fired/NAME/cron:0 3 * * *@Europe/Paris
//
// Written before a run, by the holder in its own epoch only: one transaction compares the holder's key and the last fire.
// A write without an answer is written again as it was, and recognised when it had been made.

import { LIMITS } from '../../fabric/base.ts'
import type { GlobalStore, GlobalStoreEntry } from '../../fabric/mod.ts'
import type { TriggerRecord } from '../deployed.ts'
import { holderKey } from './fence.ts'
import type { Fired } from './schedule-core.ts'

export type TimerRecord = Extract<TriggerRecord, { readonly type: 'every' | 'cron' }>
export const isTimer = (trigger: TriggerRecord): trigger is TimerRecord => trigger.type === 'every' || trigger.type === 'cron'

export const firedPrefix = (name: string): string => `fired/${name}/`
export const timerId = (trigger: TimerRecord): string => trigger.type === 'every' ? `every:${trigger.everyMs}` : `cron:${trigger.pattern}@${trigger.timezone}`

/** A record and the revision that the next write compares with; 0: not there. */
export interface Recorded { readonly fired: Fired | undefined; readonly modRevision: number }

const NUMBERS = ['atMs', 'epoch', 'attempt'] as const
const encodeFired = (fired: Fired): Uint8Array => new TextEncoder().encode(JSON.stringify(fired))

/** Undefined for what no holder wrote. */
function decodeFired(bytes: Uint8Array): Fired | undefined {
  try {
    const read = JSON.parse(new TextDecoder().decode(bytes)) as Partial<Record<string, unknown>> | null
    if (read === null || NUMBERS.some((field) => !Number.isSafeInteger(read[field])) || typeof read.done !== 'boolean') return undefined
    const { atMs, epoch, attempt, done } = read as unknown as Fired
    return { atMs, epoch, attempt, done }
  } catch {
    return undefined
  }
}

const same = (a: Fired | undefined, b: Fired): boolean => a !== undefined && a.atMs === b.atMs && a.epoch === b.epoch && a.attempt === b.attempt && a.done === b.done
const recorded = (entry: GlobalStoreEntry | undefined): Recorded => entry === undefined ? { fired: undefined, modRevision: 0 } : { fired: decodeFired(entry.value), modRevision: entry.modRevision }

/** What there is of a function's timers, by id; what belongs to triggers that it no longer has is removed. */
export async function readFired(store: Pick<GlobalStore, 'range' | 'transact'>, name: string, epoch: number, ids: ReadonlySet<string>, signal: AbortSignal): Promise<Map<string, Recorded>> {
  const prefix = firedPrefix(name)
  const { entries } = await store.range(prefix, { signal, limit: LIMITS.storeRangeMax })
  const old = entries.filter(({ key }) => !ids.has(key.slice(prefix.length))).slice(0, LIMITS.storeOperationsMax / 2)
  if (old.length > 0) await store.transact({ when: [reigns(name, epoch)], then: old.map(({ key }) => ({ do: 'delete', key })) }, { signal })
  return new Map(entries.map((entry) => [entry.key.slice(prefix.length), recorded(entry)]))
}

const reigns = (name: string, epoch: number) => ({ key: holderKey(name), field: 'createRevision', is: '=', than: epoch } as const)

/** 'kept': it is written. 'lost': this reign is over. 'changed': somebody wrote in between (a holder of the same reign never does). Rejects when the store does not say. */
export async function writeFired(store: Pick<GlobalStore, 'transact'>, name: string, id: string, before: Recorded, fired: Fired, signal: AbortSignal): Promise<{ readonly outcome: 'kept' | 'lost' | 'changed'; readonly now: Recorded }> {
  const key = firedPrefix(name) + id
  const answer = await store.transact({
    when: [reigns(name, fired.epoch), { key, field: 'modRevision', is: '=', than: before.modRevision }],
    then: [{ do: 'put', key, value: encodeFired(fired) }],
    otherwise: [{ do: 'get', key: holderKey(name) }, { do: 'get', key }],
  }, { signal })
  if (answer.succeeded) return { outcome: 'kept', now: { fired, modRevision: answer.revision } }
  const [holder, entry] = answer.entries
  const now = recorded(entry)
  if (holder?.createRevision !== fired.epoch) return { outcome: 'lost', now }
  return { outcome: same(now.fired, fired) ? 'kept' : 'changed', now }
}

// Hourly buckets of one node in its local store, and the mark up to which they count.
//
//   usage/HOUR/OWNER/KIND/ID    { name, pool, amounts that are not zero }      usage-mark    Mark
//
// Invariants: a bucket is written as it is, not as what is added, so that writing it again changes nothing; what is written
// goes in one transaction with the newest mark; a write that failed is written again with what came since. Buckets older than
// LIMITS.accountDaysKept go, a few with each write. Source: reliability.md 6 (neither lost nor counted twice).

import { LIMITS } from '../../fabric/base.ts'
import type { Clock, Timer } from '../../fabric/base.ts'
import type { LocalStore, StoreChange } from '../../fabric/mod.ts'
import { AMOUNTS, NO_USAGE } from './contract.ts'
import type { Mark, Usage, UsageKey, UsageRow } from './contract.ts'
import { byHour, HOUR_MS, hourOf, sumOf } from './hours.ts'

export interface UsageBook {
  /** Used in the last `lastedMs` before `untilMs` (wall clock); 0: at that moment. Written within LIMITS.ledgerFlushMs, or with the next mark. */
  add(of: UsageKey & Pick<UsageRow, 'name' | 'pool'>, usage: Partial<Usage>, when: { readonly untilMs: number; readonly lastedMs: number }): void
  /** Everything added is written, with this mark. */
  mark(mark: Mark): Promise<void>
  /** As it was written last; undefined: never. */
  readonly marked: Mark | undefined
  /** Also what is not written yet; the oldest first. */
  rows(between: { readonly sinceMs: number; readonly untilMs: number }): readonly UsageRow[]
  flush(): Promise<void>
}

interface Bucket { name: string; pool: string; usage: Usage }

const MARK_KEY = 'usage-mark'
const PREFIX = 'usage/'
const hourText = (hourMs: number): string => String(hourMs / HOUR_MS).padStart(8, '0')
const ROWS_AT_ONCE = 10_000
const PRUNED_AT_ONCE = 256

const isMark = (value: unknown): value is Mark => typeof value === 'object' && value !== null && 'boot' in value && 'atMs' in value && 'running' in value && 'stored' in value

const encode = ({ name, pool, usage }: Bucket): string => JSON.stringify({ name, pool, ...Object.fromEntries(AMOUNTS.filter((what) => usage[what] !== 0).map((what) => [what, usage[what]])) })
function decode(text: string): Bucket {
  const { name = '', pool = '', ...amounts } = JSON.parse(text) as { readonly name?: string; readonly pool?: string } & Partial<Usage>
  return { name, pool, usage: sumOf(NO_USAGE, amounts) }
}

export function createUsageBook({ store, clock, failed = () => {} }: { readonly store: LocalStore; readonly clock: Clock; readonly failed?: (error: unknown) => void }): UsageBook {
  const buckets = new Map<string, Bucket>()
  const dirty = new Set<string>()
  const stored = store.get(MARK_KEY)
  const first: unknown = stored === undefined ? undefined : JSON.parse(stored)
  const marked = isMark(first) ? first : undefined
  let newest: Mark | undefined
  let timer: Timer | undefined
  let writing: Promise<void> = Promise.resolve()

  const keyOf = (hourMs: number, { owner, kind, id }: UsageKey): string => `${PREFIX}${hourText(hourMs)}/${encodeURIComponent(owner)}/${kind}/${encodeURIComponent(id)}`
  const bucketAt = (key: string): Bucket | undefined => {
    const known = buckets.get(key)
    if (known !== undefined) return known
    const text = store.get(key)
    return text === undefined ? undefined : decode(text)
  }
  let pruned = -1
  /** Looked for once an hour, and again as long as there are more. */
  const outdated = (): readonly StoreChange[] => {
    const hourMs = hourOf(clock.wallMs())
    if (pruned === hourMs) return []
    const oldest = hourText(hourOf(clock.wallMs() - LIMITS.accountDaysKept * 24 * HOUR_MS))
    const gone = store.range({ prefix: PREFIX, limit: PRUNED_AT_ONCE }).filter(({ key }) => key.slice(PREFIX.length, PREFIX.length + oldest.length) < oldest)
    if (gone.length < PRUNED_AT_ONCE) pruned = hourMs
    return gone.map(({ key }) => ({ key, value: undefined }))
  }
  const write = async (): Promise<void> => {
    timer?.cancel()
    timer = undefined
    const keys = [...dirty], mark = newest
    if (keys.length === 0 && mark === undefined) return
    const changes: StoreChange[] = keys.flatMap((key) => {
      const bucket = buckets.get(key)
      return bucket === undefined ? [] : [{ key, value: encode(bucket) }]
    })
    for (const key of keys) dirty.delete(key)
    newest = undefined
    try {
      await store.write([...outdated(), ...changes, ...(mark === undefined ? [] : [{ key: MARK_KEY, value: JSON.stringify(mark) }])])
    } catch (error) {
      for (const key of keys) dirty.add(key)
      newest ??= mark
      failed(error)
      return
    }
    // Past hours are seldom asked for again.
    const present = `${PREFIX}${hourText(hourOf(clock.wallMs()))}`
    for (const key of buckets.keys()) if (!key.startsWith(present) && !dirty.has(key)) buckets.delete(key)
  }
  /** One after the other, each with what has come until it begins. */
  const flush = (): Promise<void> => writing = writing.then(write)

  return {
    marked,
    add({ name, pool, ...key }, usage, { untilMs, lastedMs }) {
      for (const part of byHour(usage, untilMs, lastedMs)) {
        const at = keyOf(part.hourMs, key)
        const sum = sumOf(bucketAt(at)?.usage ?? NO_USAGE, part.usage)
        buckets.set(at, { name, pool, usage: sum })
        dirty.add(at)
      }
      timer ??= clock.after(LIMITS.ledgerFlushMs, () => { timer = undefined; void flush() }, { background: true })
    },
    mark(mark) {
      newest = mark
      return flush()
    },
    rows({ sinceMs, untilMs }) {
      const found = new Map<string, Bucket>()
      // A clock that was set back leaves hours that are still to come.
      const keptMs = LIMITS.accountDaysKept * 24 * HOUR_MS, nowMs = clock.wallMs()
      for (let hourMs = Math.max(hourOf(sinceMs), hourOf(nowMs - keptMs)); hourMs < Math.min(untilMs, nowMs + keptMs); hourMs += HOUR_MS) {
        const prefix = `${PREFIX}${hourText(hourMs)}/`
        for (const { key, value } of store.range({ prefix, limit: ROWS_AT_ONCE })) found.set(key, decode(value))
      }
      for (const [key, bucket] of buckets) {
        const hourMs = Number(key.slice(PREFIX.length).split('/')[0]) * HOUR_MS
        if (hourMs >= hourOf(sinceMs) && hourMs < untilMs) found.set(key, bucket)
      }
      return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, { name, pool, usage }]) => {
        const [hour = '', owner = '', kind = '', id = ''] = key.slice(PREFIX.length).split('/')
        return { hourMs: Number(hour) * HOUR_MS, owner: decodeURIComponent(owner), kind: kind as UsageKey['kind'], id: decodeURIComponent(id), name, pool, ...usage }
      })
    },
    flush,
  }
}

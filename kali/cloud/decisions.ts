// Why something was done or left, per pool: the newest LIMITS.decisionsKept, newest first.
//
// Keys fall with time (keys.ts), so the latest decisions are one short range and the oldest are the end of it. Appending is
// one blind write; now and then a node that appends looks for those that are too many. Never in the way of what a decision
// is about: what cannot be written is logged (cloud.md 8.6).

import { LIMITS } from '../../fabric/base.ts'
import type { Random } from '../../fabric/base.ts'
import type { GlobalStore, Log } from '../../fabric/mod.ts'
import { CLOUD_KEYS, decisionKey } from './keys.ts'
import { decodeRecord, encodeRecord, RECORDS } from './read.ts'
import type { DecisionRecord } from './records.ts'
import type { CloudBook } from './parts.ts'

export interface DecisionsOptions { readonly store: GlobalStore; readonly random: Random; readonly log: Pick<Log, 'warn'> | undefined }
export type Decisions = Pick<CloudBook, 'decided' | 'decisions'>

const TIE_BYTES = 3
const DELETES_AT_ONCE = LIMITS.storeOperationsMax
/** A page without most of what is kept: decisions with their choices are a few KiB each. */
const PAGE = 100

export function createDecisions({ store, random, log }: DecisionsOptions): Decisions {
  const tie = Buffer.from(random.bytes(TIE_BYTES)).toString('hex')
  let count = 0
  // The first look comes anywhere in the first stretch: processes that live shortly prune, too.
  let untilPrune = 1 + random.int(LIMITS.decisionsPruneEach)

  /** Keys of a pool beyond those that are kept, oldest last. */
  const tooMany = async (pool: string): Promise<readonly string[]> => {
    const keys: string[] = []
    for (let after: string | undefined; ;) {
      const page = await store.range(CLOUD_KEYS.decisionsOf(pool), after === undefined ? {} : { after })
      keys.push(...page.entries.map(({ key }) => key))
      after = page.entries.at(-1)?.key
      if (!page.more || after === undefined) return keys.slice(LIMITS.decisionsKept)
    }
  }
  const prune = async (pool: string): Promise<void> => {
    const keys = await tooMany(pool)
    for (let at = 0; at < keys.length; at += DELETES_AT_ONCE) await store.transact({ then: keys.slice(at, at + DELETES_AT_ONCE).map((key) => ({ do: 'delete', key })) })
  }

  return {
    async decided(decision) {
      try {
        await store.transact({ then: [{ do: 'put', key: decisionKey(decision.pool, decision.atMs, count++, tie), value: encodeRecord(RECORDS.decision, decision) }] })
        if (--untilPrune > 0) return
        untilPrune = LIMITS.decisionsPruneEach
        await prune(decision.pool)
      } catch (error) {
        log?.warn('a decision could not be written down', { pool: decision.pool, decision: decision.id, reason: error instanceof Error ? error.message : String(error) })
      }
    },

    async decisions(pool, { about, limit = LIMITS.decisionsKept } = {}) {
      const found: DecisionRecord[] = []
      for (let after: string | undefined; found.length < limit;) {
        const page = await store.range(CLOUD_KEYS.decisionsOf(pool), { limit: about === undefined ? Math.min(PAGE, limit - found.length) : PAGE, ...(after === undefined ? {} : { after }) })
        for (const { value } of page.entries) {
          const decision = readable(value)
          if (decision !== undefined && (about === undefined || decision.about.includes(about)) && found.length < limit) found.push(decision)
        }
        after = page.entries.at(-1)?.key
        if (!page.more || after === undefined) break
      }
      return found
    },
  }
}

/** One that cannot be read says nothing; the others do. */
function readable(value: Uint8Array): DecisionRecord | undefined {
  try { return decodeRecord(RECORDS.decision, value) } catch { return undefined }
}

// Writes that depend on what is there: a body reads keys, then says what to write; it is written only if every key that it
// read is still what it was (compare-and-swap on all of them), else the body runs again on what is there now.
//
//   body --yield keys--> one transaction of gets --> body --yield more ...--> write --one transaction--> done
//                                                     ^                                   | somebody was faster
//                                                     '---- what is there now (otherwise-branch: no further message) ----'
//
// Invariants: serializable, because everything that a body saw is bound; a body has no effects of its own; attempts and
// pauses are bounded (LIMITS.cloudAttempts), with jitter; changes of one pool on one node wait for each other, so that
// they do not make each other try again. Source: software transactional memory as in etcd's clientv3/concurrency STM.

import { FABRIC, LIMITS } from '../../fabric/base.ts'
import type { Clock, Random } from '../../fabric/base.ts'
import { conditionHolds, pause } from '../../fabric/mod.ts'
import type { GlobalStore, GlobalStoreEntry, StoreCompare, StoreOperation } from '../../fabric/mod.ts'
import { KALI } from '../errors.ts'

export type Found = GlobalStoreEntry | undefined
export interface Outcome<T> {
  /** Nothing: nothing is written, and `done` is given revision 0. */
  readonly write: readonly StoreOperation[]
  /** Conditions beyond what was read. One that does not hold is KALI_ERR_CHANGED at once. */
  readonly when?: readonly StoreCompare[]
  done(revision: number): T
}
/** Yields the keys that it wants to see; is given them in that order. */
export type Body<T> = () => Generator<readonly string[], Outcome<T>, readonly Found[]>

export interface Transactions {
  /** `what`: of the error when others were faster each time ("VM web-1"). `lane`: changes that wait for each other on this node. */
  run<T>(what: string, body: Body<T>, options?: { readonly lane?: string; readonly signal?: AbortSignal }): Promise<T>
}

export interface TransactionsOptions { readonly store: Pick<GlobalStore, 'transact'>; readonly clock: Clock; readonly random: Random }

export function createTransactions({ store, clock, random }: TransactionsOptions): Transactions {
  const lanes = createLanes()

  const attempt = async <T>(what: string, body: Body<T>, signal: AbortSignal | undefined): Promise<T> => {
    const options = signal === undefined ? {} : { signal }
    let known = new Map<string, Found>()
    for (let tries = 1; ; tries++) {
      signal?.throwIfAborted()
      const seen = new Map<string, Found>()
      const running = body()
      let step = running.next([])
      while (step.done !== true) {
        const keys = step.value
        const unknown = [...new Set(keys.filter((key) => !seen.has(key) && !known.has(key)))]
        if (unknown.length > 0) {
          const { entries } = await store.transact({ then: unknown.map((key) => ({ do: 'get', key })) }, options)
          unknown.forEach((key, at) => known.set(key, entries[at]))
        }
        for (const key of keys) seen.set(key, known.get(key))
        step = running.next(keys.map((key) => seen.get(key)))
      }
      const { write, when = [], done } = step.value
      if (write.length === 0) return done(0)
      const bound = [...seen].map(([key, entry]): StoreCompare => ({ key, field: 'modRevision', is: '=', than: entry?.modRevision ?? 0 }))
      const watched = [...new Set([...seen.keys(), ...when.map(({ key }) => key)])]
      const answer = await store.transact({ when: [...bound, ...when], then: write, otherwise: watched.map((key) => ({ do: 'get', key })) }, options)
      if (answer.succeeded) return done(answer.revision)
      known = new Map(watched.map((key, at) => [key, answer.entries[at]]))
      if (tries >= LIMITS.cloudAttempts || !when.every((compare) => conditionHolds(compare, known.get(compare.key)))) throw KALI.CHANGED({ what })
      // The first time somebody was just faster; from then on there is a crowd.
      if (tries > 1) await pause(clock, Math.min(LIMITS.cloudRetryMsMax, LIMITS.cloudRetryMs * 2 ** (tries - 2)) * (0.5 + random.next()), signal)
    }
  }

  return {
    run: (what, body, { lane, signal } = {}) => (lane === undefined ? attempt(what, body, signal) : lanes.run(lane, () => attempt(what, body, signal))),
  }
}

function createLanes(): { run<T>(lane: string, work: () => Promise<T>): Promise<T> } {
  const lanes = new Map<string, { last: Promise<unknown>; waiting: number }>()
  return {
    async run(name, work) {
      const lane = lanes.get(name) ?? { last: Promise.resolve(), waiting: 0 }
      if (lane.waiting >= LIMITS.cloudLaneMax) throw FABRIC.BUSY({ what: 'The number of changes of one pool', limit: LIMITS.cloudLaneMax })
      lanes.set(name, lane)
      lane.waiting++
      const mine = lane.last.then(work)
      lane.last = mine.then(() => {}, () => {})
      try { return await mine } finally { if (--lane.waiting === 0) lanes.delete(name) }
    },
  }
}

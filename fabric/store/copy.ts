// Moves a store: everything from one engine to another, and then the mark that all nodes follow.
//
//   mark "copying" (under a lease) -> copy -> compare -> replace "copying" by "moved", on the condition that it is still ours
//
// While the first mark is there nothing else is written, so the copy is of one moment; whoever wants to write waits. A copier
// that dies or stalls loses its lease, the mark goes, and the old store is as it was: nothing was lost, the copy is left to
// itself. Leases keep their ids and begin anew in the copy, never shorter than they were; they are extended once more after
// the second mark, since a holder may have extended its own in the old store until that very moment.

import type { Clock } from '../clock.ts'
import { FABRIC } from '../errors-table.ts'
import { errorCode } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { StoreEntry, StoreOperation } from './contract.ts'
import { COPYING_KEY, MOVED_KEY, RESERVED_PREFIX } from './engine.ts'
import type { StoreEngine } from './engine.ts'
import { decodePlace, encodePlace } from './place.ts'
import type { StorePlace } from './place.ts'
import { pause } from './wait.ts'

export interface CopyOptions {
  readonly from: StoreEngine
  /** An empty store; called once, when nothing else is written to the old one any more. `markedAt` is unlike every attempt's before. */
  readonly make: (markedAt: number) => Promise<{ readonly to: StoreEngine; readonly place: StorePlace }>
  /** 'copy': the nodes stay with the old store. */
  readonly then: 'move' | 'copy'
  readonly clock: Clock
}

/** Answers the number of keys and where they are. Rejects with STORE_INVALID when another copy is under way; then, and on any failure, the old store goes on. */
export async function copyStore({ from, make, then, clock }: CopyOptions): Promise<{ readonly keys: number; readonly place: StorePlace; readonly to: StoreEngine }> {
  const lease = await from.grant(LIMITS.storeCopyLeaseMs)
  const over = new AbortController()
  try {
    const mark = await from.transact({
      when: [{ key: COPYING_KEY, field: 'version', is: '=', than: 0 }, { key: MOVED_KEY, field: 'version', is: '=', than: 0 }],
      then: [{ do: 'put', key: COPYING_KEY, value: new Uint8Array(), lease: lease.id }],
    })
    if (!mark.succeeded) throw FABRIC.STORE_INVALID({ what: 'the store', expected: 'one that is not being copied', got: 'one that is' })
    void keep(lease, clock, over.signal)
    const { to, place } = await make(mark.revision)
    const { keys, leases } = await copyAll(from, to)
    await compareAll(from, to)
    if (then === 'move') {
      await finish(from, place, mark.revision)
      await Promise.all([...leases].map((id) => to.keepAlive(id).catch(() => {})))
    }
    return { keys, place, to }
  } finally {
    over.abort()
    // What is left of the mark goes with it; a store that has moved does not care.
    await lease.revoke().catch(() => {})
  }
}

async function keep(lease: { keepAlive(): Promise<number> }, clock: Clock, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    await pause(clock, LIMITS.storeCopyLeaseMs / 4, over)
    // A lease that is lost is noticed by the condition on the mark.
    if (!over.aborted) await lease.keepAlive().catch(() => {})
  }
}

/** All keys but those about the store itself, in pages. */
async function *pages(engine: StoreEngine): AsyncGenerator<readonly StoreEntry[]> {
  for (let after: string | undefined; ;) {
    const { entries, more } = await engine.range('', after === undefined ? {} : { after })
    yield entries.filter(({ key }) => !key.startsWith(RESERVED_PREFIX))
    after = entries.at(-1)?.key
    if (!more) return
  }
}

async function copyAll(from: StoreEngine, to: StoreEngine): Promise<{ readonly keys: number; readonly leases: ReadonlySet<string> }> {
  const leases = new Set<string>()
  let keys = 0
  let operations: StoreOperation[] = []
  let bytes = 0
  const flush = async (): Promise<void> => {
    if (operations.length > 0) await to.transact({ then: operations })
    operations = []
    bytes = 0
  }
  for await (const page of pages(from)) {
    for (const { key, value, lease } of page) {
      if (lease !== undefined && !leases.has(lease)) {
        const lifetimeMs = await from.lifetimeMs(lease)
        // It ended meanwhile, and its keys with it.
        if (lifetimeMs === undefined) continue
        await to.adopt(lease, lifetimeMs)
        leases.add(lease)
      }
      if (operations.length === LIMITS.storeOperationsMax || bytes + value.byteLength > LIMITS.storeTransactionBytesMax) await flush()
      operations.push({ do: 'put', key, value, ...(lease === undefined ? {} : { lease }) })
      bytes += value.byteLength
      keys++
    }
  }
  await flush()
  return { keys, leases }
}

/** Every key that has no lease is in both, with the same value. */
async function compareAll(from: StoreEngine, to: StoreEngine): Promise<void> {
  const lasting = async function *(engine: StoreEngine): AsyncGenerator<StoreEntry> {
    for await (const page of pages(engine)) for (const entry of page) if (entry.lease === undefined) yield entry
  }
  const copied = lasting(to)
  const differs = (key: string): Error => FABRIC.STORE_FAILED({ path: to.description, reason: `the copy differs from the original at ${key}` })
  for await (const original of lasting(from)) {
    const { value: copy } = await copied.next()
    if (copy === undefined || copy.key !== original.key || Buffer.compare(copy.value, original.value) !== 0) throw differs(original.key)
  }
  const surplus = await copied.next()
  if (surplus.done !== true) throw differs(surplus.value.key)
}

/** The moment of the move. */
async function finish(from: StoreEngine, place: StorePlace, markedAt: number): Promise<void> {
  const attempt = async (): Promise<boolean> => (await from.transact({
    when: [{ key: COPYING_KEY, field: 'modRevision', is: '=', than: markedAt }],
    then: [{ do: 'put', key: MOVED_KEY, value: encodePlace(place) }, { do: 'delete', key: COPYING_KEY }],
  })).succeeded
  let moved: boolean
  try {
    moved = await attempt()
  } catch (error) {
    if (errorCode(error) !== FABRIC.STORE_UNREACHABLE.code) throw error
    // The answer was lost: what the store says now is what happened.
    const entry = await from.get(MOVED_KEY)
    moved = entry !== undefined && decodePlace(entry.value).era === place.era
  }
  if (!moved) throw FABRIC.STORE_UNREACHABLE({ store: from.description, reason: 'the copy took longer than its lease; the fabric stays with this store' }, { outcome: 'not-started' })
}

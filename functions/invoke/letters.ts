// Looking at asynchronous calls and moving them: those that wait or run, and the dead ones. Called by people, on any node;
// everything is a transaction that names the revision it saw, so that a call is never in two places or in none.

import { LIMITS, toErrorRecord } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import type { GlobalStore, GlobalStoreEntry, StoreOperation } from '../../fabric/mod.ts'
import { FUNCTIONS } from '../errors.ts'
import { callKey, causeText, CLAIM_PREFIX, claimKey, deadKey, placeOf, readStored, writeStored } from './call-record.ts'
import type { CallRecordStored, LetterKind } from './call-record.ts'
import { noPayload } from './items.ts'

export interface LettersOptions { readonly store: GlobalStore; readonly clock: Clock }

/** Rows of an answer, and the payload bytes in it. */
const ROWS_MAX = 1_000
const ROWS_BYTES_MAX = 8 * LIMITS.payloadBytesMax
/** Moves in one transaction: two operations and a compare each. */
const MOVES = 32

export class Letters {
  readonly #options: LettersOptions
  constructor(options: LettersOptions) { this.#options = options }

  /** Rows [id, name, state, cause, attempts, enqueuedAtMs, nextAtMs, code, message, payload]; at most `limit` (0: as many as an answer holds). */
  async list(kind: LetterKind, name: string | undefined, limit: number): Promise<readonly unknown[]> {
    const prefix = name === undefined ? `${kind}/` : `${kind}/${name}/`
    const claims = new Set<string>()
    if (kind === 'call') for await (const { key } of this.#entries(name === undefined ? CLAIM_PREFIX : `${CLAIM_PREFIX}${name}/`)) claims.add(key)
    const rows: unknown[] = []
    let bytes = 0
    for await (const { key, value } of this.#entries(prefix)) {
      const place = placeOf(key)
      if (place === undefined) continue
      const { request, attempts, enqueuedAtMs, nextAtMs, error } = unreadable(value) ?? readStored(value)
      bytes += request.payload.length
      if (rows.length >= (limit > 0 ? Math.min(limit, ROWS_MAX) : ROWS_MAX) || bytes > ROWS_BYTES_MAX) break
      const state = kind === 'dead' ? 'dead' : claims.has(claimKey(place)) ? 'running' : 'waiting'
      rows.push([place.id, place.name, state, causeText(request.cause), attempts, enqueuedAtMs, state === 'waiting' ? nextAtMs : null, error?.code ?? null, error?.message ?? null, request.payload])
    }
    return rows
  }

  /** Dead letters wait again, with all their attempts; answers how many. */
  async redrive(name: string, ids: readonly string[] | undefined): Promise<number> {
    const { clock } = this.#options
    const dead = await this.#chosen('dead', name, ids)
    if (ids !== undefined && dead.length < ids.length) this.#unknown(ids, dead)
    return this.#move(dead.filter(({ value }) => unreadable(value) === undefined), (entry) => {
      const place = placeOf(entry.key)
      if (place === undefined) return []
      const { error: _, ...record } = readStored(entry.value)
      return [{ do: 'put', key: callKey(place), value: writeStored({ ...record, attempts: 0, nextAtMs: clock.wallMs(), pauseMs: 0, error: undefined }) }, { do: 'delete', key: deadKey(place) }]
    })
  }

  /** Throws calls away, waiting, running or dead; one that runs may end its run. Left out `ids`: all of the function. */
  async discard(name: string, ids: readonly string[] | undefined): Promise<number> {
    const found = [...await this.#chosen('call', name, ids), ...await this.#chosen('dead', name, ids)]
    if (ids !== undefined && found.length < ids.length) this.#unknown(ids, found)
    return this.#move(found, ({ key }) => [{ do: 'delete', key }])
  }

  #unknown(ids: readonly string[], found: readonly GlobalStoreEntry[]): never {
    const known = new Set(found.map(({ key }) => placeOf(key)?.id))
    throw FUNCTIONS.CALL_UNKNOWN({ id: ids.find((id) => !known.has(id)) ?? '' })
  }

  async *#entries(prefix: string): AsyncGenerator<GlobalStoreEntry> {
    let after: string | undefined
    do {
      const page = await this.#options.store.range(prefix, after === undefined ? {} : { after })
      yield* page.entries
      after = page.more ? page.entries.at(-1)?.key : undefined
    } while (after !== undefined)
  }

  async #chosen(kind: LetterKind, name: string, ids: readonly string[] | undefined): Promise<GlobalStoreEntry[]> {
    if (ids === undefined) return Array.fromAsync(this.#entries(`${kind}/${name}/`))
    const found = await Promise.all(ids.map((id) => this.#options.store.get(kind === 'dead' ? deadKey({ name, id }) : callKey({ name, id }))))
    return found.filter((entry) => entry !== undefined)
  }

  /** In batches; a batch of which one has changed meanwhile is done one by one. */
  async #move(entries: readonly GlobalStoreEntry[], operationsOf: (entry: GlobalStoreEntry) => readonly StoreOperation[]): Promise<number> {
    const { store } = this.#options
    const transact = async (some: readonly GlobalStoreEntry[]): Promise<boolean> => (await store.transact({
      when: some.map(({ key, modRevision }) => ({ key, field: 'modRevision', is: '=', than: modRevision })), then: some.flatMap(operationsOf),
    })).succeeded
    let moved = 0
    for (let at = 0; at < entries.length; at += MOVES) {
      const some = entries.slice(at, at + MOVES)
      if (await transact(some)) { moved += some.length; continue }
      for (const entry of some) if (await transact([entry])) moved++
    }
    return moved
  }
}

/** One record that somebody else wrote, and that nobody can read, must not hide the others: what is shown of it; it can be discarded. */
function unreadable(value: Uint8Array): CallRecordStored | undefined {
  try {
    readStored(value)
    return undefined
  } catch (error) {
    const { code, message } = toErrorRecord(error, FUNCTIONS.BAD_MESSAGE.code)
    return { request: { reference: '', payload: noPayload(), cause: { type: 'call' } }, principal: '', trace: '', attempts: 0, enqueuedAtMs: 0, nextAtMs: 0, pauseMs: 0, error: { code, message } }
  }
}

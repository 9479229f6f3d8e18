// Puts asynchronous calls into the store: one (enqueue), or one for each function that hears a topic (emit). Answers when they are
// there, so that what was answered is never lost. Under a key, once. A running singleton puts calls only while its epoch
// holds: the comparison is part of the transaction, as it is for its state, so a holder that was stopped and wakes up puts none.

import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Clock, Random } from '../../fabric/base.ts'
import type { GlobalStore, StoreCompare, StoreOperation, TransactionAnswer } from '../../fabric/mod.ts'
import type { CallAuthority, Catalog, InvokeRequest, Observer } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { parseFunctionPrincipal } from '../principal.ts'
import { holderKey } from '../trigger/fence.ts'
import { callKey, writeStored } from './call-record.ts'
import { keyOf, queuedRecord } from './idempotency.ts'
import type { Idempotency } from './idempotency.ts'
import { hex } from './run-here.ts'

export interface CallPutsOptions {
  readonly store: GlobalStore
  readonly catalog: Catalog
  readonly observer: Observer
  readonly clock: Clock
  readonly random: Random
  readonly self: { readonly name: string }
  readonly idempotency: Idempotency
  /** Calls of a function that wait, as this node knows, and the bytes of their records. */
  waiting(name: string): { readonly calls: number; readonly bytes: number }
  /** Functions that hear a topic when `deployer` says it. */
  subscribers(topic: string, deployer: string): readonly string[]
}

/** `from`: who says it, for the function; `budget`: nested calls that may come of each. */
export interface EmitOptions { readonly from: string; readonly deployer: string; readonly budget?: number; readonly key?: string }

/** Calls put in one transaction: two keys, two compares each. */
const EMITS = 32

export class CallPuts {
  readonly #options: CallPutsOptions
  /** Bytes on their way to the store, by function: what waits is known only when the watch has told. */
  readonly #underWay = new Map<string, number>()
  constructor(options: CallPutsOptions) { this.#options = options }

  async enqueue(request: InvokeRequest, authority: CallAuthority): Promise<string> {
    const { store, idempotency } = this.#options
    const name = this.#nameOf(request.reference)
    return this.#counted([name], request.payload.byteLength, async () => {
      for (;;) {
        const { id, when, then, otherwise } = await this.#putting(name, request, authority)
        const answer = await fenced(store, { when, then, otherwise }, authority)
        if (answer.succeeded) return id
        const [found] = answer.entries
        if (found !== undefined) return idempotency.callOf(found)
      }
    })
  }

  /** What puts a call, once under its key. Throws FUNCTION_BUSY when too many wait, PAYLOAD_INVALID. */
  async #putting(name: string, request: InvokeRequest, authority: CallAuthority): Promise<{ readonly id: string; readonly when: StoreCompare[]; readonly then: StoreOperation[]; readonly otherwise: StoreOperation[] }> {
    const { random, clock, self, idempotency, observer } = this.#options
    const waiting = this.#options.waiting(name)
    const bytes = waiting.bytes + (this.#underWay.get(name) ?? 0)
    if (waiting.calls >= LIMITS.asyncWaitingMax || bytes > LIMITS.asyncWaitingBytesMax) {
      observer.count(name, 'busy')
      throw FUNCTIONS.FUNCTION_BUSY({ name, node: self.name, running: 0, waiting: waiting.calls })
    }
    const nowMs = clock.wallMs()
    const value = writeStored({ request, principal: authority.principal, trace: authority.trace, attempts: 0, enqueuedAtMs: nowMs, nextAtMs: nowMs, pauseMs: 0, error: undefined })
    if (value.length > LIMITS.storeValueBytesMax) throw FUNCTIONS.PAYLOAD_INVALID({ what: 'the payload of an asynchronous call', expected: `at most ${LIMITS.storeValueBytesMax} bytes with all that is noted about it`, got: `${value.length}` })
    const id = hex(random.bytes(8))
    const key = callKey({ name, id })
    const absent = (of: string): StoreCompare => ({ key: of, field: 'createRevision', is: '=', than: 0 })
    const put: StoreOperation = { do: 'put', key, value }
    if (request.idempotencyKey === undefined) return { id, when: [absent(key)], then: [put], otherwise: [] }
    const stored = keyOf(authority.principal, name, request.idempotencyKey)
    return { id, when: [absent(key), absent(stored)], then: [put, { do: 'put', key: stored, value: queuedRecord(id), lease: await idempotency.lease() }], otherwise: [{ do: 'get', key: stored }] }
  }

  /**
   * One call of each function that hears the topic; answers how many. In one transaction, as long as they fit into one. `key`: said
   * again under it within LIMITS.idempotencyMs, nothing more happens.
   */
  async emit(topic: string, payload: Uint8Array, { from, deployer, budget, key }: EmitOptions, authority: CallAuthority): Promise<number> {
    const names = this.#options.subscribers(topic, deployer)
    for (let at = 0; at < names.length; at += EMITS) {
      const some = names.slice(at, at + EMITS)
      await this.#counted(some, payload.byteLength, async () => {
        const puts = await Promise.all(some.map((name) => this.#putting(name, {
          reference: name, payload, cause: { type: 'topic', topic, from }, ...(budget === undefined ? {} : { budget }), ...(key === undefined ? {} : { idempotencyKey: key }),
        }, authority)))
        await fenced(this.#options.store, { when: puts.flatMap(({ when }) => when), then: puts.flatMap(({ then }) => then), otherwise: [] }, authority)
      })
    }
    return names.length
  }

  async #counted<T>(names: readonly string[], bytes: number, put: () => Promise<T>): Promise<T> {
    const add = (by: number): void => {
      for (const name of names) {
        const sum = (this.#underWay.get(name) ?? 0) + by
        if (sum > 0) this.#underWay.set(name, sum)
        else this.#underWay.delete(name)
      }
    }
    add(bytes)
    try {
      return await put()
    } finally {
      add(-bytes)
    }
  }

  /** A paused function keeps its queue; one that is not there has none. */
  #nameOf(reference: string): string {
    const { catalog, random } = this.#options
    try {
      return catalog.resolve(reference, random.next()).name
    } catch (error) {
      if (errorCode(error) !== FUNCTIONS.FUNCTION_PAUSED.code) throw error
      return reference.split('@')[0] ?? reference
    }
  }
}

interface Put { readonly when: readonly StoreCompare[]; readonly then: readonly StoreOperation[]; readonly otherwise: readonly StoreOperation[] }

/** The transaction, and only while the epoch in which the caller acts, if it is a singleton, is the present one. Throws FUNCTION_FENCED. */
async function fenced(store: GlobalStore, { when, then, otherwise }: Put, { principal, signal }: CallAuthority): Promise<TransactionAnswer> {
  const caller = parseFunctionPrincipal(principal)
  if (caller?.epoch === undefined) return store.transact({ when, then, otherwise }, { signal })
  const { name, epoch } = caller
  const key = holderKey(name)
  const answer = await store.transact({ when: [...when, { key, field: 'createRevision', is: '=', than: epoch }], then, otherwise: [...otherwise, { do: 'get', key }] }, { signal })
  const holder = answer.entries.at(-1)
  if (!answer.succeeded && holder?.createRevision !== epoch) throw FUNCTIONS.FUNCTION_FENCED({ name, epoch, reason: holder === undefined ? 'nobody holds it now' : `epoch ${holder.createRevision} holds it` })
  return { ...answer, entries: answer.succeeded ? answer.entries : answer.entries.slice(0, -1) }
}

// The founder's store, seen from another node: the contract over RPC.
//
// Reads are asked again over new connections until their time is over, and so is what may happen twice without a difference
// (a lease under an id that we drew, its keep-alive, its end). A transaction is sent again only when it is certain that the
// one before did not arrive; else its outcome is unknown, and says so. A watch asks for what follows the last revision that
// it delivered, so a lost connection leaves no gap.

import type { Clock, Random } from '../clock.ts'
import { CodedError, errorCode } from '../errors.ts'
import { FABRIC } from '../errors-table.ts'
import { LIMITS } from '../limits.ts'
import type { RpcPeer } from '../rpc/contract.ts'
import { checkKey, checkLifetime, checkLimit, checkPrefix, checkRevision, checkTransaction } from './check.ts'
import type { StoreBatch, StoreCallOptions, StoreEntry, StoreLease, StoreRange, StoreTransaction, TransactionAnswer } from './contract.ts'
import type { StoreEngine } from './engine.ts'
import { drawLease, leaseOf } from './local.ts'
import { orNull, readAnswer, readBatch, readRange, STORE_METHODS, writeTransaction } from './messages.ts'
import { count, entryOf } from './rows.ts'
import { pause, within } from './wait.ts'

export interface StoreClientOptions {
  /** "embedded at alpha". */
  readonly description: string
  /** Which of the stores that the node has (place.ts). */
  readonly era: number
  /** A connection to the node that has the store. */
  readonly peer: () => RpcPeer | Promise<RpcPeer>
  readonly clock: Clock
  readonly random: Random
}

/** The connection, not the store, said no. */
const CONNECTION = new Set<string | undefined>([FABRIC.UNREACHABLE.code, FABRIC.PEER_GONE.code, FABRIC.LINK_LOST.code, FABRIC.DEADLINE.code, FABRIC.TRANSPORT_CLOSED.code, FABRIC.BUSY.code, FABRIC.UNKNOWN_METHOD.code, FABRIC.CANCELLED.code, FABRIC.STORE_UNREACHABLE.code])
const notStarted = (error: unknown): boolean => error instanceof CodedError && error.outcome === 'not-started'
const messageOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

export function createStoreClient(options: StoreClientOptions): StoreEngine { return new StoreClient(options) }

class StoreClient implements StoreEngine {
  readonly kind = 'embedded'
  readonly description: string
  readonly #options: StoreClientOptions
  readonly #closing = new AbortController()

  constructor(options: StoreClientOptions) {
    this.#options = options
    this.description = options.description
  }

  async get(key: string, options?: StoreCallOptions): Promise<StoreEntry | undefined> {
    checkKey(key)
    return orNull(entryOf)(await this.#call(STORE_METHODS.get, [key], 'repeatable', options))
  }

  async range(prefix: string, options: Parameters<StoreEngine['range']>[1] = {}): Promise<StoreRange> {
    const { limit = LIMITS.storeRangeMax, after } = options
    checkPrefix(prefix)
    checkLimit(limit)
    if (after !== undefined) checkKey(after)
    return readRange(await this.#call(STORE_METHODS.range, [prefix, limit, after ?? null], 'repeatable', options))
  }

  async transact(transaction: StoreTransaction, options?: StoreCallOptions): Promise<TransactionAnswer> {
    checkTransaction(transaction)
    const reads = [...transaction.then, ...transaction.otherwise ?? []].every((operation) => operation.do === 'get')
    return readAnswer(await this.#call(STORE_METHODS.transact, writeTransaction(transaction), reads ? 'repeatable' : 'once', options))
  }

  async grant(lifetimeMs: number, options?: StoreCallOptions): Promise<StoreLease> {
    const id = drawLease(this.#options.random)
    await this.adopt(id, lifetimeMs, options)
    return leaseOf(this, id, lifetimeMs)
  }

  async adopt(lease: string, lifetimeMs: number, options?: StoreCallOptions): Promise<void> {
    checkLifetime(lifetimeMs)
    await this.#call(STORE_METHODS.grant, [lease, lifetimeMs], 'repeatable', options)
  }

  async keepAlive(lease: string, options?: StoreCallOptions): Promise<number> { return count(await this.#call(STORE_METHODS.keepAlive, [lease], 'repeatable', options)) }
  async revoke(lease: string, options?: StoreCallOptions): Promise<void> { await this.#call(STORE_METHODS.revoke, [lease], 'once', options) }
  async lifetimeMs(lease: string, options?: StoreCallOptions): Promise<number | undefined> { return orNull(count)(await this.#call(STORE_METHODS.lifetime, [lease], 'repeatable', options)) }
  async revision(options?: StoreCallOptions): Promise<number> { return count(await this.#call(STORE_METHODS.revision, [], 'repeatable', options)) }
  async count(prefix: string, options?: StoreCallOptions): Promise<number> { return count(await this.#call(STORE_METHODS.count, [prefix], 'repeatable', options)) }

  async *watch(prefix: string, { after, signal }: { readonly after?: number; readonly signal?: AbortSignal } = {}): AsyncGenerator<StoreBatch> {
    checkPrefix(prefix)
    if (after !== undefined) checkRevision(after)
    const ended = AbortSignal.any([this.#closing.signal, ...(signal === undefined ? [] : [signal])])
    let cursor = after
    let pauseMs: number = LIMITS.storeRetryMs
    let started = false
    while (!ended.aborted) {
      try {
        const peer = await this.#options.peer()
        const stream = peer.open(STORE_METHODS.watch, [this.#options.era, prefix, cursor ?? null], { signal: ended, timeoutMs: LIMITS.callTimeoutMsMax })
        stream.result.catch(() => {})
        try {
          for (let message = await stream.read(); message !== undefined; message = await stream.read()) {
            const batch = readBatch(message)
            pauseMs = LIMITS.storeRetryMs
            // A new connection begins with where it goes on from: the watcher has been there.
            const resumed = batch.events.length === 0 && batch.revision === cursor && started
            cursor = batch.revision
            started = true
            if (!resumed) yield batch
          }
        } finally {
          stream.cancel()
        }
        await stream.result
      } catch (error) {
        if (ended.aborted) break
        if (!CONNECTION.has(errorCode(error))) throw error
        await pause(this.#options.clock, pauseMs, ended)
        pauseMs = Math.min(2 * pauseMs, LIMITS.storeRetryMsMax)
      }
    }
    if (signal?.aborted !== true) throw this.#unreachable('it was closed', 'not-started')
  }

  async close(): Promise<void> { this.#closing.abort(this.#unreachable('it was closed', 'not-started')) }

  #unreachable(reason: string, outcome: 'not-started' | 'unknown', cause?: unknown): Error {
    return FABRIC.STORE_UNREACHABLE({ store: this.description, reason }, { outcome, ...(cause === undefined ? {} : { cause }) })
  }

  async #call(method: string, body: readonly unknown[], kind: 'repeatable' | 'once', { signal, timeoutMs = LIMITS.storeCallTimeoutMs }: StoreCallOptions = {}): Promise<unknown> {
    const { clock, era } = this.#options
    const endsAtMs = clock.nowMs() + timeoutMs
    const stop = AbortSignal.any([this.#closing.signal, ...(signal === undefined ? [] : [signal])])
    for (let pauseMs: number = LIMITS.storeRetryMs; ; pauseMs = Math.min(2 * pauseMs, LIMITS.storeRetryMsMax)) {
      stop.throwIfAborted()
      try {
        const late = (): Error => this.#unreachable(`no connection within ${timeoutMs} ms`, 'not-started')
        const peer = await within(clock, Math.max(0, endsAtMs - clock.nowMs()), Promise.resolve(this.#options.peer()), { late, signal: stop })
        return await peer.call(method, [era, ...body], { timeoutMs: Math.max(1, endsAtMs - clock.nowMs()), signal: stop })
      } catch (error) {
        if (stop.aborted && !notStarted(error) && kind === 'once') throw this.#unreachable('the call was given up', 'unknown', error)
        stop.throwIfAborted()
        if (!CONNECTION.has(errorCode(error))) throw error
        const certain = kind === 'repeatable' || notStarted(error)
        if (!certain || clock.nowMs() + pauseMs >= endsAtMs) throw this.#unreachable(messageOf(error), certain ? 'not-started' : 'unknown', error)
        await pause(clock, pauseMs, stop)
      }
    }
  }
}

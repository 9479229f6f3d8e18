// The replicated store: etcd behind the contract.
//
// Reads are linearizable (etcd's default) and go to the next member when one fails or is slow; a transaction goes to another
// member only when it is certain that it was never sent. A watch takes up after the last revision that it delivered, on
// whichever member answers: a member that dies takes no event with it. Our revisions are etcd's, one to one.

import type { Clock, Random } from '../../clock.ts'
import { CodedError } from '../../errors.ts'
import { FABRIC } from '../../errors-table.ts'
import { LIMITS } from '../../limits.ts'
import { checkKey, checkLifetime, checkLimit, checkPrefix, checkRevision, checkTransaction, utf8Bytes } from '../check.ts'
import type { StoreBatch, StoreCallOptions, StoreEntry, StoreLease, StoreRange, StoreTransaction, TransactionAnswer } from '../contract.ts'
import type { StoreEngine } from '../engine.ts'
import { drawLease, leaseOf } from '../local.ts'
import { pause, within } from '../wait.ts'
import { connectEtcd, etcdFailure, isRefusedForGood } from './connection.ts'
import type { EtcdConnection, EtcdMember } from './connection.ts'
import { createTranslator, leaseNumber } from './translate.ts'
import type { Translator } from './translate.ts'
import { parseEtcdUrl } from './url.ts'

export interface EtcdOptions {
  readonly url: string
  /** All keys stand under it; of the fabric's own: "kumoi/0123abcd/". */
  readonly prefix: string
  readonly clock: Clock
  readonly random: Random
}

/** Connects when it is first used. Rejects with FABRIC_ERR_STORE_URL. */
export async function openEtcdStore(options: EtcdOptions): Promise<StoreEngine> {
  const address = parseEtcdUrl(options.url)
  return new EtcdStore(options, address.description, await connectEtcd(address))
}

interface Attempt { readonly kind: 'repeatable' | 'once'; readonly lease?: string }
/** gRPC takes its deadline as a time of the wall clock. */
interface GrpcOptions { readonly deadline: number }

class EtcdStore implements StoreEngine {
  readonly kind = 'etcd'
  readonly description: string
  readonly #clock: Clock
  readonly #random: Random
  readonly #connection: EtcdConnection
  readonly #words: Translator
  readonly #closing = new AbortController()

  constructor({ clock, random, prefix }: EtcdOptions, description: string, connection: EtcdConnection) {
    this.description = description
    this.#clock = clock
    this.#random = random
    this.#connection = connection
    this.#words = createTranslator(prefix)
  }

  async get(key: string, options?: StoreCallOptions): Promise<StoreEntry | undefined> {
    checkKey(key)
    const { kvs } = await this.#read({ key: this.#words.key(key) }, options)
    return kvs[0] && this.#words.entry(kvs[0])
  }

  /** In pages, all of the first one's revision, until the limit or the bound on bytes is reached. */
  async range(prefix: string, options: Parameters<StoreEngine['range']>[1] = {}): Promise<StoreRange> {
    const { limit = LIMITS.storeRangeMax, after } = options
    checkPrefix(prefix)
    checkLimit(limit)
    if (after !== undefined) checkKey(after)
    const entries: StoreEntry[] = []
    let revision: string | undefined
    for (let bytes = 0; ;) {
      const page = await this.#read({ ...this.#words.rangeOf(prefix, entries.at(-1)?.key ?? after), limit: Math.min(LIMITS.storeEtcdPage, limit - entries.length), ...(revision === undefined ? {} : { revision }) }, options)
      revision ??= page.revision
      for (const kv of page.kvs) {
        const entry = this.#words.entry(kv)
        bytes += utf8Bytes(entry.key) + entry.value.byteLength
        // The first one always: else an answer could be empty and say that there is more.
        if (bytes > LIMITS.storeRangeBytesMax && entries.length > 0) return { entries, revision: Number(revision), more: true }
        entries.push(entry)
      }
      if (!page.more || entries.length >= limit) return { entries, revision: Number(revision), more: page.more }
    }
  }

  async transact(transaction: StoreTransaction, options?: StoreCallOptions): Promise<TransactionAnswer> {
    checkTransaction(transaction)
    const { request, nested } = this.#words.transaction(transaction)
    const reads = [...transaction.then, ...transaction.otherwise ?? []].every((operation) => operation.do === 'get')
    const { header, succeeded, responses } = await this.#call((member, grpc) => member.kv.txn(request, grpc), { kind: reads ? 'repeatable' : 'once' }, options)
    if (!nested) return this.#words.answer(transaction, succeeded, responses, header.revision)
    if (!succeeded) throw FABRIC.STORE_MOVED({ store: this.description })
    const inner = responses[0]?.response_txn
    return this.#words.answer(transaction, inner?.succeeded === true, inner?.responses ?? [], header.revision)
  }

  async grant(lifetimeMs: number, options?: StoreCallOptions): Promise<StoreLease> {
    const id = drawLease(this.#random)
    return leaseOf(this, id, await this.#grant(id, lifetimeMs, options))
  }

  async adopt(lease: string, lifetimeMs: number, options?: StoreCallOptions): Promise<void> { await this.#grant(lease, lifetimeMs, options) }

  async keepAlive(lease: string, options?: StoreCallOptions): Promise<number> {
    const seconds = await this.#call(async (member, grpc) => {
      const stream = await member.leaseClient.leaseKeepAlive(grpc)
      const { promise, resolve, reject } = Promise.withResolvers<number>()
      stream.on('data', ({ TTL }) => resolve(Number(TTL)))
      stream.on('error', reject)
      stream.on('end', () => reject(new Error('the stream of keep-alives ended')))
      stream.write({ ID: leaseNumber(lease) })
      return await promise.finally(() => stream.cancel())
    }, { kind: 'repeatable', lease }, options)
    // etcd says of a lease that is not there that it has no time left.
    if (seconds <= 0) throw FABRIC.STORE_LEASE_GONE({ lease })
    // After it: a lease that was extended here only while its copy was made is the copy's to extend (copy.ts).
    await this.revision(options)
    return seconds * 1_000
  }

  async revoke(lease: string, options?: StoreCallOptions): Promise<void> { await this.#call((member, grpc) => member.leaseClient.leaseRevoke({ ID: leaseNumber(lease) }, grpc), { kind: 'once', lease }, options) }

  async lifetimeMs(lease: string, options?: StoreCallOptions): Promise<number | undefined> {
    const { TTL, grantedTTL } = await this.#call((member, grpc) => member.leaseClient.leaseTimeToLive({ ID: leaseNumber(lease) }, grpc), { kind: 'repeatable', lease }, options)
    return Number(TTL) > 0 ? Number(grantedTTL) * 1_000 : undefined
  }

  async revision(options?: StoreCallOptions): Promise<number> { return Number((await this.#read({ key: this.#words.key('.'), count_only: true }, options)).revision) }
  async count(prefix: string, options?: StoreCallOptions): Promise<number> { return (await this.#read({ ...this.#words.rangeOf(prefix), count_only: true }, options)).count }

  async *watch(prefix: string, { after, signal }: { readonly after?: number; readonly signal?: AbortSignal } = {}): AsyncGenerator<StoreBatch> {
    checkPrefix(prefix)
    if (after !== undefined) checkRevision(after)
    const ended = AbortSignal.any([this.#closing.signal, ...(signal === undefined ? [] : [signal])])
    // Asked of the store as a whole: the member that watches may be behind it.
    let cursor = after ?? await this.revision({ signal: ended })
    let started = false
    let pauseMs: number = LIMITS.storeRetryMs
    while (!ended.aborted) {
      const member = this.#connection.member()
      try {
        for await (const batch of this.#watchOn(member, prefix, cursor, ended)) {
          pauseMs = LIMITS.storeRetryMs
          const resumed = batch.events.length === 0 && started
          cursor = batch.revision
          started = true
          if (!resumed) yield batch
        }
      } catch (cause) {
        if (ended.aborted) break
        const error = etcdFailure(cause, { store: this.description })
        if (error.code !== FABRIC.STORE_UNREACHABLE.code || isRefusedForGood(error)) throw error
      }
      this.#connection.leave(member)
      await pause(this.#clock, pauseMs, ended)
      pauseMs = Math.min(2 * pauseMs, LIMITS.storeRetryMsMax)
    }
    if (signal?.aborted !== true) throw this.#gone()
  }

  async close(): Promise<void> {
    this.#closing.abort(this.#gone())
    this.#connection.close()
  }

  #gone(): CodedError { return FABRIC.STORE_UNREACHABLE({ store: this.description, reason: 'it was closed' }, { outcome: 'not-started' }) }

  /** One stream's worth: an empty batch when etcd has made the watch, then what it tells. */
  async *#watchOn(member: EtcdMember, prefix: string, after: number, ended: AbortSignal): AsyncGenerator<StoreBatch> {
    const stream = await within(this.#clock, LIMITS.storeAttemptMs, member.watchStream(), { late: () => this.#late(), signal: ended })
    const stop = (): void => stream.cancel()
    ended.addEventListener('abort', stop, { once: true })
    try {
      stream.write({ create_request: { ...this.#words.rangeOf(prefix), start_revision: String(after + 1) } })
      for await (const response of stream as unknown as AsyncIterable<Parameters<Translator['batches']>[0]>) {
        if (response.compact_revision !== '0') throw FABRIC.STORE_COMPACTED({ revision: after, oldest: Number(response.compact_revision) - 1 })
        if (response.canceled) return
        if (response.created) yield { revision: after, events: [] }
        yield* this.#words.batches(response)
      }
    } finally {
      ended.removeEventListener('abort', stop)
      stream.on('error', () => {})
      stream.cancel()
    }
  }

  async #grant(lease: string, lifetimeMs: number, options?: StoreCallOptions): Promise<number> {
    checkLifetime(lifetimeMs)
    const ttl = Math.ceil(lifetimeMs / 1_000)
    try {
      const { TTL } = await this.#call((member, grpc) => member.leaseClient.leaseGrant({ ID: leaseNumber(lease), TTL: ttl }, grpc), { kind: 'repeatable', lease }, options)
      return Number(TTL) * 1_000
    } catch (error) {
      // Asked twice, or copied twice: it is there, and begins anew.
      if (!(error instanceof CodedError) || !/lease already exists/.test(String(error.details.reason))) throw error
      return await this.keepAlive(lease, options)
    }
  }

  async #read(range: Parameters<Translator['read']>[0], options?: StoreCallOptions): Promise<{ readonly kvs: Parameters<Translator['entry']>[0][]; readonly more: boolean; readonly count: number; readonly revision: string }> {
    const request = this.#words.read(range)
    const { header, succeeded, responses } = await this.#call((member, grpc) => member.kv.txn(request, grpc), { kind: 'repeatable' }, options)
    if (!succeeded) throw FABRIC.STORE_MOVED({ store: this.description })
    const found = responses[0]?.response_range
    return { kvs: found?.kvs ?? [], more: found?.more === true, count: Number(found?.count ?? 0), revision: header.revision }
  }

  #late(): CodedError { return FABRIC.STORE_UNREACHABLE({ store: this.description, reason: 'no answer in time' }, { outcome: 'unknown' }) }

  async #call<T>(run: (member: EtcdMember, grpc: GrpcOptions) => Promise<T>, { kind, lease }: Attempt, { signal, timeoutMs = LIMITS.storeCallTimeoutMs }: StoreCallOptions = {}): Promise<T> {
    const clock = this.#clock
    const endsAtMs = clock.nowMs() + timeoutMs
    const stop = AbortSignal.any([this.#closing.signal, ...(signal === undefined ? [] : [signal])])
    for (let pauseMs: number = LIMITS.storeRetryMs; ; pauseMs = Math.min(2 * pauseMs, LIMITS.storeRetryMsMax)) {
      stop.throwIfAborted()
      const member = this.#connection.member()
      const leftMs = Math.max(1, endsAtMs - clock.nowMs())
      // A read may go to another member meanwhile; a write waits for its answer.
      const attemptMs = kind === 'repeatable' ? Math.min(leftMs, LIMITS.storeAttemptMs) : leftMs
      try {
        return await within(clock, attemptMs, run(member, { deadline: clock.wallMs() + attemptMs }), { late: () => this.#late(), signal: stop })
      } catch (cause) {
        if (stop.aborted && kind === 'repeatable') stop.throwIfAborted()
        const error = stop.aborted ? this.#late() : etcdFailure(cause, { store: this.description, lease })
        if (error.code !== FABRIC.STORE_UNREACHABLE.code) throw error
        this.#connection.leave(member)
        const again = kind === 'repeatable' || error.outcome === 'not-started'
        if (!again || isRefusedForGood(error) || stop.aborted || clock.nowMs() + pauseMs >= endsAtMs) throw error
        await pause(clock, pauseMs, stop)
      }
    }
  }
}

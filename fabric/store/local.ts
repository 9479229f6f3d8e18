// A store in this process: the core, one writer, and, when there is a disk, group commit.
//
//   transact() -> queue -> [ core steps of all that wait -> one write, one fsync ] -> answers, watches
//
// Invariants: nothing is answered, read or told to a watch before it is durable (while a write is under way the core is ahead
// of the disk: reads then queue like writes, so that they see what the write before them did, and none waits for ever); what
// the disk refused is undone before anything else runs. Commands that come while the disk is busy share the next write.

import type { Clock, Random, Timer } from '../clock.ts'
import { FABRIC } from '../errors-table.ts'
import { LIMITS } from '../limits.ts'
import { checkKey, checkLifetime, checkLimit, checkPrefix, checkRevision, checkTransaction } from './check.ts'
import type { StoreBatch, StoreCallOptions, StoreLease } from './contract.ts'
import { StoreCore } from './core.ts'
import type { CoreChange, CoreImage, Step } from './core.ts'
import type { EngineKind, StoreEngine } from './engine.ts'
import { under } from './history.ts'

export interface LocalOptions {
  readonly kind: EngineKind
  readonly description: string
  readonly clock: Clock
  readonly random: Random
  readonly image?: CoreImage
  /** Durable when it resolves; all or nothing. Left out: memory is all there is. */
  readonly persist?: (changes: readonly CoreChange[]) => Promise<void>
  readonly onClose?: () => Promise<void>
  /** Told of what nobody waits for: the end of leases that could not be written. */
  readonly onFault?: (error: unknown) => void
}

interface Job {
  /** A read has no changes; it is asked again when the disk refused what it went with. */
  readonly reads: boolean
  run(nowMs: number): Step<unknown>
  /** Settles its caller, once the step is durable, or with why not. */
  done(step: Step<unknown>): void
  failed(error: unknown): void
}

/** After the disk refused the end of a lease. */
const EXPIRE_RETRY_MS = 1_000
const LEASE_ID_BYTES = 8

export function createLocalStore(options: LocalOptions): StoreEngine { return new LocalStore(options) }

class LocalStore implements StoreEngine {
  readonly kind: EngineKind
  readonly description: string
  readonly #options: LocalOptions
  readonly #core: StoreCore
  readonly #closing = new AbortController()
  #queue: Job[] = []
  /** The write under way, until it has settled. */
  #writing: Promise<void> | undefined
  /** Watches are told up to here. */
  #durableRevision: number
  #expiry: Timer | undefined
  #expiryAtMs = Infinity
  #watches = 0
  #changed = Promise.withResolvers<void>()

  constructor(options: LocalOptions) {
    this.kind = options.kind
    this.description = options.description
    this.#options = options
    this.#core = new StoreCore({ nowMs: options.clock.nowMs(), description: options.description, ...(options.image === undefined ? {} : { image: options.image }) })
    this.#durableRevision = this.#core.revision
    this.#scheduleExpiry()
  }

  async get(key: string, options?: StoreCallOptions): Promise<ReturnType<StoreCore['get']>> {
    checkKey(key)
    return await this.#read(() => this.#core.get(key), options)
  }

  async range(prefix: string, options: Parameters<StoreEngine['range']>[1] = {}): ReturnType<StoreEngine['range']> {
    const { limit = LIMITS.storeRangeMax, after } = options
    checkPrefix(prefix)
    checkLimit(limit)
    if (after !== undefined) checkKey(after)
    return await this.#read(() => this.#core.range(prefix, { limit, after }), options)
  }

  revision(options?: StoreCallOptions): Promise<number> { return this.#read(() => this.#core.revision, options) }

  async count(prefix: string, options?: StoreCallOptions): Promise<number> {
    checkPrefix(prefix)
    return await this.#read(() => this.#core.count(prefix), options)
  }

  async transact(transaction: Parameters<StoreEngine['transact']>[0], options?: StoreCallOptions): ReturnType<StoreEngine['transact']> {
    checkTransaction(transaction)
    return await this.#run(() => this.#core.transact(transaction), options)
  }

  async grant(lifetimeMs: number, options?: StoreCallOptions): Promise<StoreLease> {
    const id = drawLease(this.#options.random)
    await this.adopt(id, lifetimeMs, options)
    return leaseOf(this, id, lifetimeMs)
  }

  async adopt(id: string, lifetimeMs: number, options?: StoreCallOptions): Promise<void> {
    checkLifetime(lifetimeMs)
    await this.#run((nowMs) => this.#core.grant(id, lifetimeMs, nowMs), options)
  }

  keepAlive(id: string, options?: StoreCallOptions): Promise<number> { return this.#run((nowMs) => this.#core.keepAlive(id, nowMs), options) }
  revoke(id: string, options?: StoreCallOptions): Promise<void> { return this.#run(() => this.#core.revoke(id), options) }

  lifetimeMs(id: string, options?: StoreCallOptions): Promise<number | undefined> { return this.#read(() => this.#core.lifetimeMs(id), options) }

  async *watch(prefix: string, { after, signal }: { readonly after?: number; readonly signal?: AbortSignal } = {}): AsyncGenerator<StoreBatch> {
    checkPrefix(prefix)
    if (after !== undefined) checkRevision(after)
    if (this.#watches >= LIMITS.storeWatchesMax) throw FABRIC.BUSY({ what: 'The number of watches of the global store', limit: LIMITS.storeWatchesMax })
    this.#watches++
    const wake = Promise.withResolvers<void>()
    const stop = (): void => wake.resolve()
    const ended = (): boolean => signal?.aborted === true || this.#closing.signal.aborted
    signal?.addEventListener('abort', stop, { once: true })
    this.#closing.signal.addEventListener('abort', stop, { once: true })
    try {
      let cursor = after ?? await this.revision()
      let told = cursor
      // Throws when it is too old, before the watcher believes that it is watching.
      this.#core.history.next(cursor)
      yield { revision: cursor, events: [] }
      while (!ended()) {
        const batch = this.#core.history.next(cursor)
        if (batch === undefined || batch.revision > this.#durableRevision) { await Promise.race([this.#changed.promise, wake.promise]); continue }
        cursor = batch.revision
        const mine = under(batch, prefix)
        if (mine.events.length === 0 && cursor - told < LIMITS.storeProgressRevisions) continue
        told = cursor
        yield mine
      }
    } finally {
      this.#watches--
      signal?.removeEventListener('abort', stop)
      this.#closing.signal.removeEventListener('abort', stop)
    }
    if (signal?.aborted !== true) throw this.#gone()
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    this.#expiry?.cancel()
    while (this.#writing !== undefined) await this.#writing
    await this.#options.onClose?.()
  }

  #gone(): Error { return FABRIC.STORE_UNREACHABLE({ store: this.description, reason: 'it was closed' }, { outcome: 'not-started' }) }

  /** What the core says, once that is durable. */
  #read<A>(read: () => A, options?: StoreCallOptions): Promise<A> {
    return this.#enqueue({ reads: true, run: () => ({ answer: read(), changes: [], undo() {} }) }, options)
  }

  #run<A>(run: (nowMs: number) => Step<A>, options?: StoreCallOptions): Promise<A> { return this.#enqueue({ reads: false, run }, options) }

  #enqueue<A>({ reads, run }: { readonly reads: boolean; run(nowMs: number): Step<A> }, { signal }: StoreCallOptions = {}): Promise<A> {
    if (this.#closing.signal.aborted) return Promise.reject(this.#gone())
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error)
    if (this.#queue.length >= LIMITS.storeQueueMax) return Promise.reject(FABRIC.BUSY({ what: 'The queue of the global store', limit: LIMITS.storeQueueMax }))
    return new Promise((resolve, reject) => {
      this.#queue.push({ reads, run, done: (step) => resolve(step.answer as A), failed: reject })
      this.#pump()
    })
  }

  #pump(): void {
    if (this.#writing !== undefined || this.#queue.length === 0) return
    const jobs = this.#queue.splice(0, LIMITS.storeCommitMax)
    const steps: Step<unknown>[] = []
    const outcomes = jobs.map((job): (() => void) => {
      try {
        const step = job.run(this.#options.clock.nowMs())
        steps.push(step)
        return () => job.done(step)
      } catch (error) {
        return () => job.failed(error)
      }
    })
    const changes = steps.flatMap((step) => step.changes)
    if (changes.length === 0 || this.#options.persist === undefined) return this.#finish(outcomes, steps)
    this.#writing = this.#options.persist(changes).then(() => {
      this.#writing = undefined
      this.#finish(outcomes, steps)
    }, (error: unknown) => {
      this.#writing = undefined
      for (const step of steps.reverse()) step.undo()
      // A refusal may have rested on a step that is undone: all writes get the disk's error.
      for (const job of jobs) if (!job.reads) job.failed(error)
      this.#queue.unshift(...jobs.filter((job) => job.reads))
      this.#pump()
    })
  }

  #finish(outcomes: readonly (() => void)[], steps: readonly Step<unknown>[]): void {
    this.#durableRevision = this.#core.revision
    for (const settle of outcomes) settle()
    if (steps.some(({ batch }) => batch !== undefined)) {
      this.#changed.resolve()
      this.#changed = Promise.withResolvers()
    }
    this.#scheduleExpiry()
    this.#pump()
  }

  #scheduleExpiry(): void {
    const nextMs = this.#core.nextEndMs
    if (nextMs === undefined || nextMs >= this.#expiryAtMs || this.#closing.signal.aborted) return
    this.#expiry?.cancel()
    this.#expireAt(nextMs)
  }

  #expireAt(atMs: number): void {
    const { clock, onFault } = this.#options
    this.#expiryAtMs = atMs
    // Rounded up: a timer that fires a moment early would find nothing and set itself again and again.
    this.#expiry = clock.after(Math.max(0, Math.ceil(atMs - clock.nowMs())), () => {
      this.#expiryAtMs = Infinity
      if (this.#closing.signal.aborted) return
      this.#run((nowMs) => this.#core.expire(nowMs)).then(() => this.#scheduleExpiry(), (error: unknown) => {
        onFault?.(error)
        this.#expireAt(clock.nowMs() + EXPIRE_RETRY_MS)
      })
    }, { background: true })
  }
}

/** A new id: a positive 63-bit number in hex, as etcd's, so that a copy to etcd keeps it. */
export function drawLease(random: Random): string {
  const bytes = random.bytes(LEASE_ID_BYTES)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01
  return Buffer.from(bytes).toString('hex')
}

/** The lease as its holder has it. */
export const leaseOf = (engine: Pick<StoreEngine, 'keepAlive' | 'revoke'>, id: string, lifetimeMs: number): StoreLease => ({
  id, lifetimeMs, keepAlive: () => engine.keepAlive(id), revoke: () => engine.revoke(id),
})

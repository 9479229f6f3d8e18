// Calls that are certain to be made: enqueue() answers when the call is in the store, and a worker on every node carries them
// out, at least once.
//
//   enqueue --put--> call/NAME/ID --watch--> queue.ts --claim: put on this node's lease, attempts + 1--> attempt
//                       ^                                                                                  |
//                       +--- back-off, claim gone --- failed, attempts left <------------------------------+
//   deleted, outcome kept for its key <--- value                    failed for good ---> dead/NAME/ID
//
// Every step is one transaction that names the claim: a worker whose lease has ended changes nothing. A worker that dies
// leaves its claim to the lease; the attempt it began counts. What ran nowhere (busy, paused, broken) costs no attempt.

import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Clock, ErrorRecord, NodeId, Random, Timer } from '../../fabric/base.ts'
import type { GlobalStore, GlobalStoreEntry, StoreOperation } from '../../fabric/mod.ts'
import type { CallAuthority, Catalog, InvokeOutcome, InvokeRequest, Observer } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { encodeValue } from '../value/mod.ts'
import { CALL_PREFIX, callKey, CLAIM_PREFIX, claimKey, DEAD_PREFIX, deadKey, placeOf, readStored, writeStored } from './call-record.ts'
import type { CallPlace, CallRecordStored } from './call-record.ts'
import { failed } from './contract.ts'
import { follow } from './follow.ts'
import { doneRecord, keyOf } from './idempotency.ts'
import type { Idempotency } from './idempotency.ts'
import { CallPuts } from './put-calls.ts'
import type { EmitOptions } from './put-calls.ts'
import { CallQueue } from './queue.ts'
import type { WaitingCall } from './queue.ts'
import { hex, plainRecord } from './run-here.ts'
import { WorkerLease } from './worker-lease.ts'

export interface AsyncCallsOptions {
  readonly store: GlobalStore
  readonly catalog: Catalog
  readonly observer: Observer
  readonly clock: Clock
  readonly random: Random
  readonly self: { readonly id: NodeId; readonly name: string }
  readonly idempotency: Idempotency
  /** Alive members. */
  nodes(): readonly { readonly id: NodeId }[]
  /** Functions that hear a topic when `deployer` says it. */
  subscribers(topic: string, deployer: string): readonly string[]
  /** One attempt, wherever it is best made; rejects for what concerns the request itself. */
  attempt(request: InvokeRequest, authority: CallAuthority, attempt: number): Promise<InvokeOutcome>
}

const CLAIM_RETRY_MS = 1_000
const FINISH_RETRIES = 3
const FINISH_RETRY_MS = 200
/** Dead letters thrown away for one more: they go in its transaction. */
const DROPS_MAX = 64

/** Nothing ran and it is nobody's fault: no attempt is used up. */
const UNCOUNTED: ReadonlySet<string> = new Set([FUNCTIONS.FUNCTION_BUSY, FUNCTIONS.FUNCTION_PAUSED, FUNCTIONS.FUNCTION_BROKEN, FUNCTIONS.FUNCTION_UNHELD, FUNCTIONS.FUNCTION_CODE_MISSING, FUNCTIONS.FUNCTION_UNKNOWN, FUNCTIONS.NODE_GONE].map(({ code }) => code))

export class AsyncCalls {
  readonly #options: AsyncCallsOptions
  readonly #queue: CallQueue
  readonly #puts: CallPuts
  readonly #stopping = new AbortController()
  readonly #under = new Map<string, AbortController>()
  readonly #work = new Set<Promise<void>>()
  #timer: Timer | undefined
  readonly #lease: WorkerLease
  #unlisten: (() => void) | undefined

  constructor(options: AsyncCallsOptions) {
    this.#options = options
    this.#puts = new CallPuts({ ...options, waiting: (name) => ({ calls: this.#queue.count(name), bytes: this.#queue.bytes(name) }) })
    this.#lease = new WorkerLease({
      ...options, used: () => this.#under.size > 0,
      lost: () => { for (const control of this.#under.values()) control.abort(FUNCTIONS.RUN_CANCELLED({})) },
    })
    this.#queue = new CallQueue({ lagMs: (id) => this.#rank(id) * LIMITS.asyncStepMs })
  }

  /** Calls of a function that wait or run, as this node knows. */
  count(name: string): number { return this.#queue.count(name) }
  get claims(): number { return this.#under.size }

  start(): void {
    this.#unlisten = this.#options.catalog.onChange(() => this.#pump())
    const { store, clock } = this.#options
    const { signal } = this.#stopping
    const changed = (): void => this.#pump()
    this.#track(follow({
      store, clock, signal, changed, prefix: CALL_PREFIX, put: (entry) => this.#seen(entry), gone: (key) => this.#place(key, ({ name, id }) => this.#queue.gone(name, id)),
    }))
    this.#track(follow({
      store, clock, signal, changed, prefix: CLAIM_PREFIX, put: ({ key, modRevision }) => this.#place(key, ({ name, id }) => this.#queue.claimed(name, id, modRevision)),
      gone: (key, revision) => this.#place(key, ({ name, id }) => this.#queue.released(name, id, revision, clock.nowMs())),
    }))
  }

  /** Lets go: attempts under way are cancelled, their claims go with the lease, others take them up. */
  async stop(): Promise<void> {
    this.#unlisten?.()
    this.#stopping.abort(FUNCTIONS.RUN_CANCELLED({}))
    this.#timer?.cancel()
    for (const control of this.#under.values()) control.abort(FUNCTIONS.RUN_CANCELLED({}))
    await Promise.all(this.#work)
    await this.#lease.end()
  }

  #track(work: Promise<void>): void {
    this.#work.add(work)
    void work.finally(() => this.#work.delete(work))
  }

  /** Place of this node in the order in which nodes reach for a call; the same everywhere, another for each call. */
  #rank(id: string): number {
    const mine = mix(id, this.#options.self.id)
    let rank = 0
    for (const node of this.#options.nodes()) if (node.id !== this.#options.self.id && mix(id, node.id) > mine) rank++
    return rank
  }

  /** deployed.ts: Invoker.enqueue. */
  enqueue(request: InvokeRequest, authority: CallAuthority): Promise<string> { return this.#puts.enqueue(request, authority) }
  /** See CallPuts.emit. */
  emit(topic: string, payload: Uint8Array, options: EmitOptions, authority: CallAuthority): Promise<number> { return this.#puts.emit(topic, payload, options, authority) }

  // ---------------------------------------------------------------- seeing

  #place(key: string, use: (place: CallPlace) => void): void {
    const place = placeOf(key)
    if (place !== undefined) use(place)
  }

  #seen({ key, value, modRevision }: GlobalStoreEntry): void {
    this.#place(key, (place) => {
      const { clock } = this.#options
      const { nextAtMs, pauseMs } = readTimes(value)
      this.#queue.put({ ...place, modRevision, nextAtMs, pauseMs, bytes: value.byteLength }, clock.nowMs(), clock.wallMs())
    })
  }

  #pump(): void {
    const { clock, catalog } = this.#options
    this.#timer?.cancel()
    if (this.#stopping.signal.aborted) return
    const eligible = (name: string): boolean => catalog.get(name)?.record.paused === false
    for (const call of this.#queue.take(clock.nowMs(), LIMITS.asyncClaimsMax - this.#under.size, eligible)) this.#track(this.#carryOut(call))
    if (this.#under.size >= LIMITS.asyncClaimsMax) return
    const nextMs = this.#queue.nextDueMs(eligible)
    if (nextMs !== undefined) this.#timer = clock.after(Math.max(1, nextMs - clock.nowMs()), () => this.#pump(), { background: true })
  }

  // ---------------------------------------------------------------- carrying out

  async #carryOut(call: WaitingCall): Promise<void> {
    const { clock } = this.#options
    const control = new AbortController()
    const key = callKey(call)
    this.#under.set(key, control)
    let retryMs = 0
    try {
      const claimed = await this.#claim(call)
      // An answer that took longer than the lease: somebody else may have it, or be done with it.
      if (claimed !== undefined && this.#lease.holds(claimed.lease)) await this.#run(call, claimed, control)
    } catch {
      // The store did not answer: the claim, if there is one, ends with its lease.
      retryMs = CLAIM_RETRY_MS
    } finally {
      this.#under.delete(key)
      this.#queue.settled(call.name, call.id, clock.nowMs(), retryMs)
      this.#pump()
    }
  }

  /** Undefined: somebody else has it, or it is gone. */
  async #claim(call: WaitingCall): Promise<{ readonly record: CallRecordStored; readonly claim: Uint8Array; readonly lease: string } | undefined> {
    const { store, random, self } = this.#options
    const [key, claimed] = [callKey(call), claimKey(call)]
    const entry = await store.get(key)
    if (entry === undefined) { this.#queue.gone(call.name, call.id); return undefined }
    if (entry.modRevision !== call.modRevision) { this.#seen(entry); return undefined }
    const before = readStored(entry.value)
    const record = { ...before, attempts: before.attempts + 1 }
    const claim = encodeValue([self.id, hex(random.bytes(8))])
    const lease = await this.#lease.held()
    const { succeeded, entries } = await store.transact({
      when: [{ key, field: 'modRevision', is: '=', than: entry.modRevision }, { key: claimed, field: 'createRevision', is: '=', than: 0 }],
      then: [{ do: 'put', key, value: writeStored(record) }, { do: 'put', key: claimed, value: claim, lease }],
      otherwise: [{ do: 'get', key }, { do: 'get', key: claimed }],
    })
    if (succeeded) return { record, claim, lease }
    const [present, holder] = entries
    if (present === undefined) this.#queue.gone(call.name, call.id)
    else this.#seen(present)
    if (holder !== undefined) this.#queue.claimed(call.name, call.id, holder.modRevision)
    return undefined
  }

  async #run(call: WaitingCall, { record, claim }: { readonly record: CallRecordStored; readonly claim: Uint8Array }, control: AbortController): Promise<void> {
    const { attempt, clock, catalog, observer } = this.#options
    const retry = catalog.get(call.name)?.manifest.retry ?? { attempts: LIMITS.asyncAttempts, backoffMs: LIMITS.asyncBackoffMs }
    // A worker that died in the last attempt left no error of its own.
    const outcome = record.attempts > retry.attempts
      ? failed('unreachable', record.error ?? plainRecord(FUNCTIONS.NODE_GONE({ node: 'the node that made the last attempt', why: 'it went away with the attempt under way' })), true)
      : await this.#attempt(attempt, record, control, clock)
    if (this.#stopping.signal.aborted && outcome.status === 'cancelled') return
    if (outcome.status === 'value') return this.#finish(call, claim, [{ do: 'delete', key: callKey(call) }, ...await this.#keyDone(record, call, outcome)])
    const { error } = outcome
    const counted = outcome.mayHaveRun || !UNCOUNTED.has(error.code)
    if (counted && record.attempts >= retry.attempts) return this.#bury(call, claim, record, outcome)
    const pauseMs = this.#pause(retry.backoffMs, record.attempts)
    observer.count(call.name, 'retries')
    const next = { ...record, attempts: counted ? record.attempts : record.attempts - 1, nextAtMs: clock.wallMs() + pauseMs, pauseMs, error: bounded(error) }
    await this.#finish(call, claim, [{ do: 'put', key: callKey(call), value: writeStored(next) }])
  }

  async #attempt(attempt: AsyncCallsOptions['attempt'], record: CallRecordStored, control: AbortController, clock: Clock): Promise<InvokeOutcome> {
    const startMs = clock.nowMs()
    const authority: CallAuthority = {
      principal: record.principal, trace: record.trace, hop: 0, signal: control.signal, remainingMs: () => Math.max(1, LIMITS.callTimeoutMsMax - (clock.nowMs() - startMs)),
    }
    // The key has done its work when the call was put: the attempts are one call.
    const { idempotencyKey: _, ...request } = record.request
    try {
      return await attempt(request, authority, record.attempts)
    } catch (error) {
      return failed('error', plainRecord(error), false)
    }
  }

  /** Doubled after each attempt, within bounds; half of it by chance, so that what failed together does not come back together. */
  #pause(backoffMs: number, attempts: number): number {
    const whole = Math.min(LIMITS.asyncBackoffMsMax, backoffMs * 2 ** Math.min(30, Math.max(0, attempts - 1)))
    return Math.round(whole * (0.5 + this.#options.random.next() / 2))
  }

  async #keyDone({ request, principal }: CallRecordStored, call: CallPlace, outcome: InvokeOutcome): Promise<StoreOperation[]> {
    const key = request.idempotencyKey
    if (key === undefined) return []
    return [{ do: 'put', key: keyOf(principal, call.name, key), value: doneRecord(outcome), lease: await this.#options.idempotency.lease() }]
  }

  async #bury(call: WaitingCall, claim: Uint8Array, record: CallRecordStored, outcome: Exclude<InvokeOutcome, { status: 'value' }>): Promise<void> {
    const { clock, observer } = this.#options
    const value = writeStored({ ...record, nextAtMs: clock.wallMs(), pauseMs: 0, error: bounded(outcome.error) })
    const operations: StoreOperation[] = [{ do: 'put', key: deadKey(call), value }, { do: 'delete', key: callKey(call) }, ...await this.#keyDone(record, call, outcome)]
    const dropped = await this.#tooMany(call.name, value.byteLength)
    for (const letter of dropped) operations.push({ do: 'delete', key: letter })
    if (dropped.length > 0) observer.count(call.name, 'dead-dropped', dropped.length)
    await this.#finish(call, claim, operations)
    observer.count(call.name, 'dead')
    const { manifest } = this.#options.catalog.get(call.name) ?? {}
    observer.line({ atMs: clock.wallMs(), name: call.name, version: manifest?.version ?? '', callId: call.id, trace: record.trace, level: 'system', text: `given up after ${record.attempts} attempts: ${outcome.error.message}` })
  }

  /** Dead letters that have to go for one more of so many bytes, the oldest first. A range answers no more than a part of large ones. */
  async #tooMany(name: string, bytes: number): Promise<readonly string[]> {
    const letters: { readonly key: string; readonly bytes: number; readonly revision: number }[] = []
    let whole = bytes
    for (let after: string | undefined; ;) {
      const page = await this.#options.store.range(`${DEAD_PREFIX}${name}/`, after === undefined ? {} : { after })
      for (const { key, value, createRevision } of page.entries) {
        letters.push({ key, bytes: value.byteLength, revision: createRevision })
        whole += value.byteLength
      }
      after = page.entries.at(-1)?.key
      if (!page.more || after === undefined) break
    }
    letters.sort((a, b) => a.revision - b.revision)
    let gone = 0
    while (gone < letters.length && gone < DROPS_MAX && (letters.length - gone >= LIMITS.deadLettersMax || whole > LIMITS.deadLettersBytesMax)) whole -= letters[gone++]?.bytes ?? 0
    return letters.slice(0, gone).map(({ key }) => key)
  }

  /** One transaction that counts only while the claim is this one. A store that does not answer is asked again: the outcome is worth it. */
  async #finish(call: CallPlace, claim: Uint8Array, operations: readonly StoreOperation[]): Promise<void> {
    const { store, clock } = this.#options
    const key = claimKey(call)
    for (let attempt = 1; ; attempt++) {
      try {
        await store.transact({ when: [{ key, field: 'value', is: '=', than: claim }], then: [...operations, { do: 'delete', key }] })
        return
      } catch (error) {
        if (attempt >= FINISH_RETRIES || this.#stopping.signal.aborted) throw error
        if (errorCode(error)?.endsWith('_LEASE_GONE') === true) this.#options.idempotency.forgetLease()
        await new Promise<void>((resolve) => { clock.after(FINISH_RETRY_MS, resolve) })
      }
    }
  }
}

const ERROR_CHARS_MAX = 8_192
/** What a record keeps of an error: enough to see what happened, never as much as a payload. */
const bounded = ({ code, message, name, stack }: ErrorRecord): ErrorRecord => ({
  code, message: message.slice(0, ERROR_CHARS_MAX), ...(name === undefined ? {} : { name }), ...(stack === undefined ? {} : { stack: stack.slice(0, ERROR_CHARS_MAX) }),
})

/** A record that cannot be read is not waited for: whoever reaches for it says so. */
function readTimes(value: Uint8Array): { readonly nextAtMs: number; readonly pauseMs: number } {
  try {
    return readStored(value)
  } catch {
    return { nextAtMs: 0, pauseMs: LIMITS.asyncBackoffMsMax }
  }
}

/** FNV-1a of both, for an order of nodes that differs from call to call. */
function mix(id: string, node: NodeId): number {
  let hash = 0x811c9dc5
  for (const text of [id, node]) for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash ^= hash >>> 15
  return Math.imul(hash, 0x2c1b3c6d) >>> 0
}

// Same caller, function and key: one effect and the same answer, wherever in the fabric it is asked. The key's record is written before
// the run (compare-and-put) and holds the outcome after it; only calls with a key pay for it.
//
//   call-key/NAME/SHA-256(caller, key)   running{node, start} -> done{outcome}       gone when nothing ran, or after the window
//
// A second caller waits for the outcome. When the node that runs the first is gone, nobody knows whether it ran: the
// second is told so, and nothing runs. Records hang on a lease that a node takes anew once a window, twice as long. Keys of
// one caller are nothing to another: who guesses one neither reads the answer behind it nor keeps the call from being made.

import { createHash } from 'node:crypto'
import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Clock, NodeId, Random } from '../../fabric/base.ts'
import type { GlobalStore, GlobalStoreEntry } from '../../fabric/mod.ts'
import type { CallAuthority, InvokeOutcome } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { parseFunctionPrincipal } from '../principal.ts'
import { decodeValue, encodeValue } from '../value/mod.ts'
import { failed } from './contract.ts'
import { hex, plainRecord } from './run-here.ts'
import { readOutcome, writeOutcome } from './wire.ts'

export interface IdempotencyOptions {
  readonly store: GlobalStore
  readonly clock: Clock
  readonly random: Random
  readonly self: { readonly id: NodeId }
  /** Whether a node may still be running what it began. */
  alive(node: NodeId): boolean
}

/** Prefix of the keys of calls of a function: they go with it. */
export const keysPrefix = (name: string): string => `call-key/${name}/`
export const keyOf = (principal: string, name: string, key: string): string => `${keysPrefix(name)}${createHash('sha256').update(`${accountOf(principal)}\n${key}`).digest('hex')}`

/** A function keeps its keys over a deploy and, a singleton, over a change of its holder. */
function accountOf(principal: string): string {
  const caller = parseFunctionPrincipal(principal)
  return caller === undefined ? principal : `fn:${caller.name}/${caller.deployer}`
}

/** `start` tells a node from the same one after a restart. */
type KeyRecord = { readonly state: 'running'; readonly node: NodeId; readonly start: string } | { readonly state: 'queued'; readonly id: string } | { readonly state: 'done'; readonly outcome: InvokeOutcome }

const readKeyRecord = (bytes: Uint8Array): KeyRecord => {
  const [state, first, second] = decodeValue(bytes) as unknown[]
  if (state === 'done') return { state, outcome: readOutcome(first) }
  if (state === 'queued') return { state, id: String(first) }
  return { state: 'running', node: String(first), start: String(second) }
}
export const queuedRecord = (id: string): Uint8Array => encodeValue(['queued', id])
export function doneRecord(outcome: InvokeOutcome): Uint8Array {
  const bytes = encodeValue(['done', writeOutcome(outcome)])
  if (bytes.length <= LIMITS.storeValueBytesMax) return bytes
  const error = FUNCTIONS.VALUE_TOO_LARGE({ path: 'the answer that the first call with this key got', bytes: bytes.length, bytesMax: LIMITS.storeValueBytesMax })
  return encodeValue(['done', writeOutcome(failed('error', plainRecord(error), true))])
}

/** How often a waiting caller looks whether the node that runs the first is still there. */
const ALIVE_CHECK_MS = 500

export class Idempotency {
  readonly #options: IdempotencyOptions
  readonly #start: string
  #lease: Promise<{ readonly id: string; readonly untilMs: number }> | undefined

  constructor(options: IdempotencyOptions) {
    this.#options = options
    this.#start = hex(options.random.bytes(8))
  }

  /** Id of a lease that keeps a record for at least the window. */
  async lease(): Promise<string> {
    const { store, clock } = this.#options
    const present = await this.#lease?.catch(() => undefined)
    if (present !== undefined && clock.nowMs() < present.untilMs) return present.id
    this.#lease = store.grant(LIMITS.idempotencyMs * 2).then(({ id }) => ({ id, untilMs: clock.nowMs() + LIMITS.idempotencyMs }))
    return (await this.#lease).id
  }

  /** The lease has gone before its time (a store that was copied, or lost its clock): take a new one. */
  forgetLease(): void { this.#lease = undefined }

  /** Id of the call that a key stands for, as far as it has one. */
  callOf({ value }: GlobalStoreEntry): string {
    const record = readKeyRecord(value)
    return record.state === 'queued' ? record.id : record.state === 'done' ? record.outcome.call?.callId ?? '' : ''
  }

  async once(name: string, key: string, authority: CallAuthority, run: () => Promise<InvokeOutcome>): Promise<InvokeOutcome> {
    const { self } = this.#options
    const stored = keyOf(authority.principal, name, key)
    const mine = encodeValue(['running', self.id, this.#start])
    for (;;) {
      const { succeeded, entries } = await this.#claim(stored, mine, authority)
      if (succeeded) return this.#first(stored, mine, run)
      const [entry] = entries
      if (entry === undefined) continue
      const outcome = await this.#wait(name, entry, authority)
      if (outcome !== undefined) return outcome
    }
  }

  async #claim(stored: string, mine: Uint8Array, { signal }: CallAuthority): Promise<{ readonly succeeded: boolean; readonly entries: readonly (GlobalStoreEntry | undefined)[] }> {
    const { store } = this.#options
    for (let attempt = 1; ; attempt++) {
      const lease = await this.lease()
      try {
        return await store.transact({ when: [{ key: stored, field: 'createRevision', is: '=', than: 0 }], then: [{ do: 'put', key: stored, value: mine, lease }], otherwise: [{ do: 'get', key: stored }] }, { signal })
      } catch (error) {
        if (attempt > 1 || errorCode(error)?.endsWith('_STORE_LEASE_GONE') !== true) throw error
        this.forgetLease()
      }
    }
  }

  async #first(stored: string, mine: Uint8Array, run: () => Promise<InvokeOutcome>): Promise<InvokeOutcome> {
    const { store } = this.#options
    const when = [{ key: stored, field: 'value', is: '=', than: mine }] as const
    let outcome: InvokeOutcome
    try {
      outcome = await run()
    } catch (error) {
      await store.transact({ when, then: [{ do: 'delete', key: stored }] })
      throw error
    }
    const nothingRan = outcome.status !== 'value' && !outcome.mayHaveRun
    try {
      await store.transact({ when, then: [nothingRan ? { do: 'delete', key: stored } : { do: 'put', key: stored, value: doneRecord(outcome), lease: await this.lease() }] })
    } catch {
      // It ran, and its caller is told how it ended; who comes with the key later is told that it is not known.
    }
    return outcome
  }

  /** Undefined: the first call ran nothing; this one may. */
  async #wait(name: string, found: GlobalStoreEntry, authority: CallAuthority): Promise<InvokeOutcome | undefined> {
    const { store, clock } = this.#options
    const { key } = found
    const end = new AbortController()
    const stop = (): void => end.abort()
    let lost: NodeId | undefined
    let timer = clock.after(0, () => {})
    const look = (record: KeyRecord): void => {
      timer.cancel()
      if (record.state !== 'running') return
      if (this.#gone(record)) { lost = record.node; stop() } else timer = clock.after(ALIVE_CHECK_MS, () => look(record))
    }
    const deadline = clock.after(authority.remainingMs(), stop)
    authority.signal.addEventListener('abort', stop, { once: true })
    try {
      const first = readKeyRecord(found.value)
      if (first.state === 'done') return first.outcome
      look(first)
      if (!end.signal.aborted) {
        for await (const { events } of store.watch(key, { after: found.modRevision, signal: end.signal })) {
          for (const event of events) {
            if (event.type === 'delete' ? event.key !== key : event.entry.key !== key) continue
            if (event.type === 'delete') return undefined
            const record = readKeyRecord(event.entry.value)
            if (record.state === 'done') return record.outcome
            look(record)
          }
        }
      }
    } catch (error) {
      if (!end.signal.aborted) throw error
    } finally {
      timer.cancel()
      deadline.cancel()
      authority.signal.removeEventListener('abort', stop)
      end.abort()
    }
    if (lost !== undefined) return failed('unreachable', plainRecord(FUNCTIONS.NODE_GONE({ node: lost.slice(0, 8), why: `it ran ${name} under this key and went away; whether it did so is not known` })), true)
    const status = authority.signal.aborted ? 'cancelled' : 'timeout'
    const error = status === 'cancelled' ? FUNCTIONS.RUN_CANCELLED({}) : FUNCTIONS.RUN_TIMEOUT({ timeoutMs: 0 })
    return failed(status, plainRecord(error), true)
  }

  #gone({ node, start }: KeyRecord & { state: 'running' }): boolean {
    return node === this.#options.self.id ? start !== this.#start : !this.#options.alive(node)
  }
}

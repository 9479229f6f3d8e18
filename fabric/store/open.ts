// The fabric's store as this node uses it: finds out where it is, follows it when it moves, serves it when it is here.
//
//   the newest of store.json and what members say; on the founder's first start --store, else its own  ->  engine, shifted
//   STORE_MOVED from the engine  ->  read the mark, remember it, open the next engine, ask again
//
// Invariants: a call that was refused because the store moves or has moved did nothing, and is asked again in its new place
// within its own time; watches end with STORE_COMPACTED at a move, their users read again and watch from there (contract);
// the era known only grows. A node that was away during a move hears of it from the old store, or, when that is gone, from
// the other members.

import type { Clock, Random } from '../clock.ts'
import { errorCode } from '../errors.ts'
import { FABRIC } from '../errors-table.ts'
import type { NodeId } from '../id.ts'
import { LIMITS } from '../limits.ts'
import type { Log } from '../log.ts'
import type { RpcPeer, RpcRegistry } from '../rpc/contract.ts'
import { serveStoreAdmin } from './admin.ts'
import { createStoreClient } from './client.ts'
import type { GlobalStore, StoreBatch, StoreCallOptions, StoreLease } from './contract.ts'
import { copyStore } from './copy.ts'
import { MOVED_KEY, RESERVED_PREFIX } from './engine.ts'
import type { EngineKind, StoreEngine } from './engine.ts'
import { openEtcdStore } from './etcd/store.ts'
import { createHostedStores } from './hosted.ts'
import type { HostedStores } from './hosted.ts'
import { leaseOf } from './local.ts'
import { decodePlace, describe, embeddedAt, nodeOf, recallPlace, refuseOther, rememberPlace } from './place.ts'
import type { StorePlace } from './place.ts'
import { serveStore } from './service.ts'
import { shifted } from './shifted.ts'
import { pause } from './wait.ts'
import { askToHost, askWhere, newest, placeFor, serveWhereabouts } from './where.ts'
import type { Member, WhereaboutsOptions } from './where.ts'

export interface OpenStoreOptions {
  /** "etcd://...", as asked for when this node was started. */
  readonly wish?: string
  readonly data: string
  readonly self: NodeId
  readonly fabricId: NodeId
  /** Node that founded the fabric (FabricNode.founder). */
  readonly founder: NodeId
  readonly members: () => readonly Member[]
  readonly peer: (node: NodeId) => RpcPeer | Promise<RpcPeer>
  readonly registry: RpcRegistry
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface StoreStanding { readonly description: string; readonly kind: EngineKind; readonly revision: number; readonly keys: number; readonly reachable: boolean; readonly error?: string; /** The member that holds it. */ readonly host?: NodeId }
export interface FabricStore extends GlobalStore {
  /** Undefined while this node does not know where the store is. */ readonly kind: EngineKind | undefined
  /** Never rejects. */ status(): Promise<StoreStanding>
  /** To "etcd://..." or "node:NAME". */ copy(to: string, options: { readonly keep: boolean }): Promise<{ readonly keys: number; readonly to: string; readonly switched: boolean }>
}

/** `calls` are under way: it is closed when the store has moved and they have heard so. */
interface Present { readonly place: StorePlace; readonly raw: StoreEngine; readonly view: StoreEngine; readonly left: AbortController; calls: number }

/** Above every revision that the store before may still make on its own (ends of leases). */
const SHIFT_MARGIN = 1_000_000

/** Finds and opens it. Rejects with STORE_URL (a wish that cannot be met), STORE_FAILED. It need not be reachable. */
export async function openGlobalStore(options: OpenStoreOptions): Promise<FabricStore> {
  const nameOf = (id: NodeId): string => options.members().find((member) => member.id === id)?.name ?? id.slice(0, 8)
  const hosted = createHostedStores({
    data: options.data, description: describe(embeddedAt(options.self), nameOf), clock: options.clock, random: options.random,
    onFault: (error) => options.log.warn('the end of leases could not be written', { reason: String(error) }),
  })
  try {
    const store = new FoundStore(options, hosted, nameOf)
    await store.start()
    return store
  } catch (error) {
    await hosted.close()
    throw error
  }
}

class FoundStore implements FabricStore {
  readonly #options: OpenStoreOptions
  readonly #hosted: HostedStores
  readonly #nameOf: (id: NodeId) => string
  readonly #closing = new AbortController()
  readonly #where: WhereaboutsOptions
  /** Undefined until somebody has said where the store is. */
  #present: Present | undefined
  /** Moves follow one another. */
  #moving: Promise<void> = Promise.resolve()
  #asking: Promise<void> | undefined

  constructor(options: OpenStoreOptions, hosted: HostedStores, nameOf: (id: NodeId) => string) {
    this.#options = options
    this.#hosted = hosted
    this.#nameOf = nameOf
    this.#where = { ...options, hosted, present: () => this.#present?.place }
  }

  async start(): Promise<void> {
    const { data, wish, self, founder, registry } = this.#options
    const known = await recallPlace(data)
    const first: StorePlace | undefined = self === founder && known === undefined ? { era: 0, shift: 0, at: wish ?? embeddedAt(self) } : undefined
    const place = newest(known ?? first, await askWhere(this.#where))
    if (place !== undefined && place === first && nodeOf(place.at) === self && await this.#hosted.get(0) === undefined) await this.#hosted.make(0, -1)
    if (place !== undefined) {
      if (wish !== undefined) refuseOther(wish, place)
      await this.#begin(wish === undefined ? place : { ...place, at: wish })
    }
    serveStore({ registry, engine: (era) => this.#hosted.get(era) })
    serveWhereabouts(this.#where)
    serveStoreAdmin(registry, this)
    void this.#listen()
  }

  get kind(): EngineKind | undefined { return this.#present?.raw.kind }
  get description(): string { return this.#present?.raw.description ?? 'not found yet' }
  get(...[key, options]: Parameters<GlobalStore['get']>): ReturnType<GlobalStore['get']> { return this.#call((store) => store.get(key, options), options) }
  range(...[prefix, options]: Parameters<GlobalStore['range']>): ReturnType<GlobalStore['range']> { return this.#call((store) => store.range(prefix, options), options) }
  transact(...[transaction, options]: Parameters<GlobalStore['transact']>): ReturnType<GlobalStore['transact']> { return this.#call((store) => store.transact(transaction, options), options) }
  revision(options?: StoreCallOptions): Promise<number> { return this.#call((store) => store.revision(options), options) }

  async grant(lifetimeMs: number, options?: StoreCallOptions): Promise<StoreLease> {
    const lease = await this.#call((store) => store.grant(lifetimeMs, options), options)
    // Kept alive wherever the store is by then.
    return leaseOf({ keepAlive: (id) => this.#call((store) => store.keepAlive(id)), revoke: (id) => this.#call((store) => store.revoke(id)) }, lease.id, lease.lifetimeMs)
  }

  async *watch(prefix: string, { after, signal }: { readonly after?: number; readonly signal?: AbortSignal } = {}): AsyncGenerator<StoreBatch> {
    const { view, left } = await this.#known({ ...(signal === undefined ? {} : { signal }) })
    let told = after ?? 0
    const until = AbortSignal.any([left.signal, this.#closing.signal, ...(signal === undefined ? [] : [signal])])
    for await (const batch of view.watch(prefix, { ...(after === undefined ? {} : { after }), signal: until })) {
      told = batch.revision
      yield batch
    }
    if (signal?.aborted === true) return
    if (this.#closing.signal.aborted) throw this.#gone()
    throw FABRIC.STORE_COMPACTED({ revision: told, oldest: (this.#present?.place.shift ?? 0) + 1 })
  }

  async status(): Promise<StoreStanding> {
    const options = { timeoutMs: LIMITS.storeWhereTimeoutMs }
    try {
      const { view, place: { at } } = await this.#known(options)
      const revision = await this.revision(options)
      const [all, reserved] = await Promise.all([view.count('', options), view.count(RESERVED_PREFIX, options)])
      return { description: view.description, kind: view.kind, revision, keys: all - reserved, reachable: true, ...(nodeOf(at) === undefined ? {} : { host: at.slice('node:'.length) }) }
    } catch (error) {
      return { description: this.description, kind: this.#present?.raw.kind ?? 'embedded', revision: 0, keys: 0, reachable: false, error: error instanceof Error ? error.message : String(error) }
    }
  }

  async copy(to: string, { keep }: { readonly keep: boolean }): Promise<{ readonly keys: number; readonly to: string; readonly switched: boolean }> {
    const at = placeFor(to, this.#options.members())
    // The store may have moved without this node having noticed.
    await this.revision()
    const { place: from, raw } = await this.#known({})
    if (nodeOf(at) !== undefined && at === from.at) throw FABRIC.STORE_INVALID({ what: 'the new store', expected: 'another than the present one', got: to })
    await this.#probe(at)
    const copied = await copyStore({
      from: raw, clock: this.#options.clock, then: keep ? 'copy' : 'move',
      make: async (markedAt) => {
        const era = from.shift + markedAt
        const place = { era, shift: era + SHIFT_MARGIN, at }
        const node = nodeOf(at)
        if (node === this.#options.self) await this.#hosted.make(era, from.era)
        else if (node !== undefined) await askToHost(this.#where, node, era)
        return { place, to: await this.#engine(place) }
      },
    })
    if (nodeOf(at) !== this.#options.self) await copied.to.close()
    if (!keep) await this.#follow(copied.place)
    return { keys: copied.keys, to: describe(at, this.#nameOf), switched: !keep }
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#moving.catch(() => {})
    this.#present?.left.abort()
    await this.#present?.raw.close()
    await this.#hosted.close()
  }

  #gone(): Error { return FABRIC.STORE_UNREACHABLE({ store: this.description, reason: 'this node is stopping' }, { outcome: 'not-started' }) }

  /** Asks the present store, and the next one as long as the answer is that it has moved. */
  async #call<T>(ask: (store: StoreEngine) => Promise<T>, { signal, timeoutMs = LIMITS.storeCallTimeoutMs }: StoreCallOptions = {}): Promise<T> {
    const { clock } = this.#options
    const endsAtMs = clock.nowMs() + timeoutMs
    for (;;) {
      const present = await this.#known({ timeoutMs: Math.max(1, endsAtMs - clock.nowMs()), ...(signal === undefined ? {} : { signal }) })
      present.calls++
      try {
        return await ask(present.view)
      } catch (error) {
        const code = errorCode(error)
        if (code === FABRIC.STORE_UNREACHABLE.code && present === this.#present) void this.#lookAround()
        if (code !== FABRIC.STORE_MOVED.code || clock.nowMs() >= endsAtMs) throw error
        await this.#findMark(present, signal)
      } finally {
        present.calls--
        if (present !== this.#present) await this.#leave(present)
      }
    }
  }

  /** Closes an engine that is not the present one any more; an embedded one stays open here, to tell others that it has moved. */
  async #leave({ raw, place, calls }: Present): Promise<void> {
    if (calls === 0 && nodeOf(place.at) !== this.#options.self) await raw.close()
  }

  /** The store said that it moves: follows it when it has, waits a little when it is being copied. */
  async #findMark(present: Present, signal: AbortSignal | undefined): Promise<void> {
    if (present !== this.#present) return
    const mark = await present.raw.get(MOVED_KEY).catch(() => undefined)
    if (mark !== undefined) return await this.#follow(decodePlace(mark.value))
    signal?.throwIfAborted()
    await pause(this.#options.clock, 2 * LIMITS.storeRetryMs, signal)
  }

  /** The present store; waits until some member has said where it is. Rejects with STORE_UNREACHABLE. */
  async #known({ signal, timeoutMs = LIMITS.storeCallTimeoutMs }: StoreCallOptions): Promise<Present> {
    const { clock } = this.#options
    const endsAtMs = clock.nowMs() + timeoutMs
    for (;;) {
      if (this.#closing.signal.aborted) throw this.#gone()
      if (this.#present !== undefined) return this.#present
      signal?.throwIfAborted()
      await this.#lookAround()
      if (this.#present !== undefined) continue
      if (clock.nowMs() >= endsAtMs) throw FABRIC.STORE_UNREACHABLE({ store: this.description, reason: 'no member that answers knows where it is' }, { outcome: 'not-started' })
      await pause(clock, 4 * LIMITS.storeRetryMs, signal)
    }
  }

  /** Waits for the mark, so that a node that asks nothing follows too. */
  async #listen(): Promise<void> {
    const { clock } = this.#options
    while (!this.#closing.signal.aborted) {
      try {
        const { raw, left } = await this.#known({})
        const until = AbortSignal.any([left.signal, this.#closing.signal])
        for await (const { events } of raw.watch(MOVED_KEY, { signal: until })) {
          const put = events.find((event) => event.type === 'put')
          // The first batch has no events: the mark may have been there before the watch.
          const mark = put?.entry ?? await raw.get(MOVED_KEY, { signal: until })
          if (mark !== undefined) await this.#follow(decodePlace(mark.value))
        }
      } catch (error) {
        if (this.#closing.signal.aborted) return
        this.#options.log.warn('the global store cannot be watched', { reason: String(error) })
        await this.#lookAround()
        await pause(clock, LIMITS.storeRetryMsMax, this.#closing.signal)
      }
    }
  }

  async #begin(place: StorePlace): Promise<void> {
    const present = await this.#open(place)
    await rememberPlace(this.#options.data, place)
    this.#present = present
  }

  #follow(place: StorePlace): Promise<void> {
    const step = async (): Promise<void> => {
      const before = this.#present
      if (this.#closing.signal.aborted || (before !== undefined && place.era <= before.place.era)) return
      await this.#begin(place)
      this.#options.log.info('the global store is', { at: this.description, era: place.era })
      before?.left.abort()
      if (before !== undefined) await this.#leave(before)
    }
    this.#moving = this.#moving.then(step, step)
    return this.#moving
  }

  async #open(place: StorePlace): Promise<Present> {
    const raw = await this.#engine(place)
    return { place, raw, view: shifted(raw, place.shift), left: new AbortController(), calls: 0 }
  }

  async #engine({ at, era }: StorePlace): Promise<StoreEngine> {
    const { clock, random, self, peer, fabricId } = this.#options
    const node = nodeOf(at)
    if (node === undefined) return await openEtcdStore({ url: at, prefix: `kumoi/${fabricId.slice(0, 8)}/${era}/`, clock, random })
    if (node === self) {
      const engine = await this.#hosted.get(era)
      // Made anew it would be empty, and everything that was acknowledged lost without a word.
      if (engine === undefined) throw FABRIC.STORE_FAILED({ path: this.#hosted.pathOf(era), reason: 'it is gone' })
      return engine
    }
    return createStoreClient({ description: describe(at, this.#nameOf), era, clock, random, peer: () => peer(node) })
  }

  /** Before anybody is kept from writing: a mistyped address is told of at once. */
  async #probe(at: string): Promise<void> {
    if (nodeOf(at) !== undefined) return
    const engine = await this.#engine({ era: 0, shift: 0, at })
    await engine.get(MOVED_KEY, { timeoutMs: LIMITS.storeWhereTimeoutMs }).finally(() => engine.close())
  }

  /** The store does not answer: perhaps it is elsewhere by now. One question at a time. */
  #lookAround(): Promise<void> {
    this.#asking ??= askWhere(this.#where).then(async (place) => { if (place !== undefined) await this.#follow(place) }).catch((error: unknown) => this.#options.log.warn('the global store cannot be followed', { reason: String(error) })).finally(() => { this.#asking = undefined })
    return this.#asking
  }
}

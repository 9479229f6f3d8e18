// Event triggers on one node: events of the objects that live here become asynchronous calls.
//
//   object's event -> matches -> may it see this? -> backlog of the function, in order -> [filter] -> enqueue, acknowledged
//
// Each node tells of its own objects only, so an event is taken once however many nodes there are. Once enqueued a call
// is made at least once. What waits for the store is kept up to a bound; beyond it the oldest go, are counted, and the
// function is told by an event { type: 'lost', count }. Events are edges: what happened while the node was down is told
// by nobody; a function that must know how things stand reads them, with `every` beside `on`.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock, NodeId, Random } from '../../fabric/base.ts'
import type { Log } from '../../fabric/mod.ts'
import { REFERENCE } from '../contract.ts'
import type { CallAuthority, Catalog, DeployedFunction, Invoker, InvokeOutcome, InvokeRequest, Observer, ResolvedFunction } from '../deployed.ts'
import { decodeValue, encodeArray } from '../value/mod.ts'
import { authorityFor, reasonOf, tracesFrom } from './authority.ts'
import { Backlog, matches } from './events-core.ts'
import type { EventTrigger, LocalEvent } from './events-core.ts'
import { backoffMs, pause } from './patience.ts'

/** Events of this node's objects, handed in by rmo (rmo/local-events.ts). */
export interface EventSource {
  /** From now on, until the answer is called. Telling never waits. `kind` may be a short name; events carry the full one. */
  onLocalEvent(kind: string, listener: (event: LocalEvent) => void): () => void
}

export interface EventTriggersOptions {
  readonly source: EventSource
  readonly self: NodeId
  readonly clock: Clock
  readonly random: Random
  readonly catalog: Pick<Catalog, 'get' | 'list' | 'resolve' | 'onChange'>
  readonly invoker: Pick<Invoker, 'enqueue'> & {
    /** Asks the filter of trigger number `trigger` of the version; the outcome's value is its answer. Never rejects. */
    filterHere(resolved: ResolvedFunction, trigger: number, request: InvokeRequest, authority: CallAuthority): Promise<InvokeOutcome>
  }
  /** The gate: may this version of the function watch that object? */
  mayWatch(resolved: ResolvedFunction, object: { readonly kind: string; readonly uuid: string; readonly name: string }): Promise<boolean>
  readonly observer: Observer
  readonly log: Pick<Log, 'warn'>
}
export interface EventTriggers { stop(): void }

interface Waiting { readonly of: LocalEvent; readonly trigger: number }

export function startEventTriggers(options: EventTriggersOptions): EventTriggers {
  const { source, self, clock, random, catalog, invoker, mayWatch, observer, log } = options
  const stopping = new AbortController()
  const { signal } = stopping
  const trace = tracesFrom(random)
  const subscriptions = new Map<string, () => void>()
  const backlogs = new Map<string, Backlog<Waiting>>()

  const triggersOf = ({ record, manifest }: DeployedFunction): readonly (readonly [number, EventTrigger])[] =>
    record.paused ? [] : manifest.triggers.flatMap((trigger, index) => trigger.type === 'event' ? [[index, trigger] as const] : [])

  // ---------------------------------------------------------------- in

  /** `kind` as triggers write it. */
  const take = (kind: string, of: LocalEvent): void => {
    for (const deployed of catalog.list()) {
      // Two triggers that want one event are one call.
      const found = triggersOf(deployed).find(([, trigger]) => trigger.kind === kind && matches(trigger, of))
      if (found !== undefined) add(deployed.manifest.name, { of, trigger: found[0] })
    }
  }
  const add = (name: string, waiting: Waiting): void => {
    const present = backlogs.get(name)
    if (present !== undefined) { present.push(waiting); return }
    const backlog = new Backlog<Waiting>(LIMITS.triggerEventsMax)
    backlogs.set(name, backlog)
    backlog.push(waiting)
    void drain(name, backlog)
  }
  /** Subscribed to exactly the kinds that some function wants. */
  const settle = (): void => {
    const wanted = new Set(catalog.list().flatMap((deployed) => triggersOf(deployed).map(([, { kind }]) => kind)))
    for (const [kind, off] of subscriptions) if (!wanted.has(kind)) { off(); subscriptions.delete(kind) }
    for (const kind of wanted) {
      if (subscriptions.has(kind)) continue
      try {
        subscriptions.set(kind, source.onLocalEvent(kind, (of) => take(kind, of)))
      } catch (error) {
        log.warn('events of a kind cannot be had', { kind, reason: reasonOf(error) })
      }
    }
  }

  // ---------------------------------------------------------------- out

  const drain = async (name: string, backlog: Backlog<Waiting>): Promise<void> => {
    for (let next = backlog.take(); next !== undefined && !signal.aborted; next = backlog.take()) {
      const { item, lost } = next
      if (lost > 0) {
        observer.count(name, 'events-lost', lost)
        const { kind, uuid, name: of } = item.of
        await deliver(name, { of: { kind, uuid, name: of, event: { type: 'lost', atMs: Math.round(clock.wallMs()), count: lost } }, trigger: item.trigger }, 'unfiltered')
      }
      await deliver(name, item, 'filtered')
    }
    backlogs.delete(name)
  }

  const deliver = async (name: string, { of, trigger }: Waiting, how: 'filtered' | 'unfiltered'): Promise<void> => {
    // The store may have had it although it did not say so.
    const idempotencyKey = `event/${trace()}`
    const object = { kind: of.kind, uuid: of.uuid, name: of.name }
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const deployed = catalog.get(name)
        if (deployed === undefined || deployed.record.paused) return
        const resolved = catalog.resolve(name, random.next())
        const { timeoutMs } = resolved.manifest.limits
        if (!await mayWatch(resolved, object)) { observer.count(name, 'events-denied'); return }
        const authority = authorityFor({ clock, principal: resolved.deployer, trace: trace(), signal, timeoutMs })
        const request: InvokeRequest = { reference: `${name}@${resolved.alias}`, cause: { type: 'event', event: { ...of.event, object } }, idempotencyKey, payload: payloadOf(of, self) }
        if (how === 'filtered' && filters(resolved, trigger) && !await passes(resolved, trigger, request, authority)) return
        await invoker.enqueue(request, authority)
        return
      } catch (error) {
        if (!mayMend(error)) {
          observer.count(name, 'events-lost')
          log.warn('an event did not become a call', { function: name, kind: of.kind, type: of.event.type, reason: reasonOf(error) })
          return
        }
        if (attempt === 0) log.warn('events wait for the store', { function: name, reason: reasonOf(error) })
        await pause(clock, backoffMs(attempt, LIMITS.triggerRetryMs, LIMITS.triggerRetryMsMax), signal)
      }
    }
  }
  /** A filter that fails lets the event through: the function itself says better what is wrong than silence does. */
  const passes = async (resolved: ResolvedFunction, trigger: number, request: InvokeRequest, authority: CallAuthority): Promise<boolean> => {
    const outcome = await invoker.filterHere(resolved, trigger, request, authority)
    if (outcome.status !== 'value') {
      observer.count(resolved.name, 'filter-failed')
      return true
    }
    return Boolean((decodeValue(outcome.value) as readonly unknown[])[0])
  }

  settle()
  const unsubscribe = catalog.onChange(settle)
  return {
    stop() {
      unsubscribe()
      stopping.abort()
      for (const off of subscriptions.values()) off()
      subscriptions.clear()
    },
  }
}

/** Whether the version that is called has a filter there; another than the one that matched has been deployed meanwhile, perhaps. */
const filters = ({ manifest }: ResolvedFunction, trigger: number): boolean => {
  const record = manifest.triggers[trigger]
  return record?.type === 'event' && record.filtered
}

const mayMend = (error: unknown): boolean => (error as { readonly retryable?: unknown } | null)?.retryable === true

/** What the function gets: the event, with the object as a reference that it can use. */
const payloadOf = ({ kind, uuid, name, event }: LocalEvent, home: NodeId): Uint8Array =>
  encodeArray([{ ...event, object: { [REFERENCE]: { kind, uuid, home, name, attributes: { name, uuid } } } }])

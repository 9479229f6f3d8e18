// Holders of functions on one node: keeps the node's one lease alive, watches who holds what, campaigns for what nobody
// holds, and answers `mine` and `check`. What it does is decided by holders-core.ts; here are the store's calls.
//
//   holder/NAME = { node }   under the node's lease; epoch = createRevision
//
// One lease for all functions of a node: what ends it (death, a stall, a lost store) ends all of them alike, and it costs
// three messages a lifetime however many functions there are. A clean stop revokes it: one transaction, everybody told at
// once. Rejected: a lease a function (a thousand functions: 600 keep-alives a second, nothing gained).

import { LIMITS, errorCode } from '../../fabric/base.ts'
import type { Clock, NodeId } from '../../fabric/base.ts'
import type { GlobalStore, GlobalStoreEntry, Log, StoreLease } from '../../fabric/mod.ts'
import type { Holders } from '../deployed.ts'
import { createFence, holderKey } from './fence.ts'
import { HoldersCore } from './holders-core.ts'
import type { HolderKey, HolderStep } from './holders-core.ts'
import { backoffMs, bounded, pause } from './patience.ts'
import { rankOf } from './rendezvous.ts'

export interface HoldersOptions {
  readonly store: GlobalStore
  readonly clock: Clock
  readonly self: NodeId
  /** Nodes that can hold a function now; with or without this one. */
  nodes(): readonly NodeId[]
  readonly log: Pick<Log, 'info' | 'warn'>
  readonly leaseMs?: number
  /** How long a new holder waits before it acts, and how long an answer about an epoch counts; the second must not be longer (fence.ts). */
  readonly settleMs?: number
  readonly answerMs?: number
}

export interface NodeHolders extends Holders {
  /** The functions that are to be held by somebody; the rest is given back. */
  want(names: Iterable<string>): void
  /** Called with a name when its holder changed, or when this node may, or may no longer, act for it. */
  onChange(listener: (name: string) => void): () => void
  /** Gives everything back; others take over at once. Idempotent. */
  stop(): Promise<void>
}

const PREFIX = holderKey('')
/** A revocation that does not get through is not waited for: the lease ends by itself. */
const REVOKE_TIMEOUT_MS = 1_000

export function startHolders(options: HoldersOptions): NodeHolders {
  const { store, clock, self, nodes, log } = options
  const leaseMs = options.leaseMs ?? LIMITS.holderLeaseMs
  const settleMs = options.settleMs ?? LIMITS.holderSettleMs
  const fence = createFence({ store, clock, answerMs: options.answerMs ?? settleMs })
  const core = new HoldersCore({
    self, settleMs, marginRatio: LIMITS.holderMarginRatio, staggerMs: LIMITS.holderStaggerMs,
    rank: (name) => Math.min(LIMITS.holderRanksMax, rankOf(name, self, nodes())),
  })
  const stopping = new AbortController()
  const { signal } = stopping
  const listeners = new Set<(name: string) => void>()
  const tell = (name: string): void => { for (const listener of [...listeners]) listener(name) }
  /** Those that mine() answered when last looked at. */
  const acting = new Set<string>()
  let lease: StoreLease | undefined

  // ---------------------------------------------------------------- what is known

  const keyOf = ({ value, createRevision, lease: under }: GlobalStoreEntry): HolderKey => ({ node: nodeOf(value), epoch: createRevision, lease: under ?? '' })
  const see = (name: string, key: HolderKey | undefined, revision: number): void => {
    if (key !== undefined) fence.see(name, key.epoch)
    if (core.see(name, key, revision, clock.nowMs())) { look(name); tell(name) }
  }
  /** Tells when this node begins or ceases to act for a function. */
  const look = (name: string): void => {
    const now = core.mine(name, clock.nowMs()) !== undefined
    if (now !== acting.has(name)) {
      if (now) acting.add(name)
      else acting.delete(name)
      tell(name)
    }
    const fromMs = core.actsFromMs(name)
    if (!now && fromMs !== undefined && fromMs > clock.nowMs()) clock.after(Math.ceil(fromMs - clock.nowMs()), () => { if (!signal.aborted) look(name) }, { background: true })
  }
  const lookAtAll = (): void => { for (const name of new Set([...acting, ...core.wanted])) look(name) }

  // ---------------------------------------------------------------- steps

  let timer = clock.after(0, () => {}, { background: true })
  const pump = (): void => {
    if (signal.aborted) return
    for (const step of core.due(clock.nowMs())) void carryOut(step)
    timer.cancel()
    const dueMs = core.nextDueMs(clock.nowMs())
    if (dueMs !== undefined) timer = clock.after(Math.max(0, Math.ceil(dueMs - clock.nowMs())), pump, { background: true })
  }
  const carryOut = async (step: HolderStep): Promise<void> => {
    const key = holderKey(step.name)
    try {
      const answer = await bounded(clock, leaseMs / 3, store.transact(step.do === 'campaign'
        ? { when: [{ key, field: 'createRevision', is: '=', than: 0 }], then: [{ do: 'put', key, value: valueOf(self), lease: step.lease }, { do: 'get', key }], otherwise: [{ do: 'get', key }] }
        : { when: [{ key, field: 'createRevision', is: '=', than: step.epoch }], then: [{ do: 'delete', key }], otherwise: [{ do: 'get', key }] }, { signal, timeoutMs: leaseMs / 3 }))
      const found = answer.entries.find((entry) => entry !== undefined)
      see(step.name, found === undefined ? undefined : keyOf(found), answer.revision)
      if (step.do === 'campaign' && answer.succeeded) log.info('holds a function', { function: step.name, epoch: found?.createRevision ?? 0 })
    } catch (error) {
      if (signal.aborted) return
      if (errorCode(error)?.endsWith('STORE_LEASE_GONE') === true && step.do === 'campaign') core.leaseGone(step.lease)
      core.failed(step.name, clock.nowMs() + LIMITS.triggerRetryMs)
    }
    pump()
  }

  // ---------------------------------------------------------------- lease

  const takeLease = async (attempt: number): Promise<boolean> => {
    const askedAtMs = clock.nowMs()
    try {
      const granted = await bounded(clock, leaseMs, store.grant(leaseMs, { signal, timeoutMs: leaseMs }))
      lease = granted
      core.leased(granted.id, Math.min(leaseMs, granted.lifetimeMs), askedAtMs, clock.nowMs())
      pump()
      return true
    } catch (error) {
      if (attempt === 0 && !signal.aborted) log.warn('no lease could be had: functions are not held here', { reason: reasonOf(error) })
      return false
    }
  }
  const keep = async (held: StoreLease): Promise<'kept' | 'failed' | 'gone'> => {
    const sentAtMs = clock.nowMs()
    try {
      core.kept(held.id, await bounded(clock, leaseMs / 3, held.keepAlive()), sentAtMs)
      return 'kept'
    } catch (error) {
      if (errorCode(error)?.endsWith('STORE_LEASE_GONE') !== true) return 'failed'
      core.leaseGone(held.id)
      return 'gone'
    }
  }
  const runLease = async (): Promise<void> => {
    for (let failures = 0; !signal.aborted;) {
      if (lease === undefined || core.lease !== lease.id) {
        lease = undefined
        failures = await takeLease(failures) ? 0 : failures + 1
      } else {
        const outcome = await keep(lease)
        if (outcome === 'gone') { log.warn('the lease of held functions ended', { lease: lease.id }); lookAtAll(); continue }
        failures = outcome === 'kept' ? 0 : failures + 1
        pump()
      }
      lookAtAll()
      await pause(clock, failures === 0 ? leaseMs / 3 : Math.min(leaseMs / 6, backoffMs(failures - 1, LIMITS.triggerRetryMs, LIMITS.triggerRetryMsMax)), signal)
    }
  }
  /** Wakes when the lease may have ended: whoever acts under it must be told, also when no answer ever comes. */
  const guard = (): void => {
    if (signal.aborted) return
    lookAtAll()
    const leftMs = core.aliveUntilMs - clock.nowMs()
    clock.after(leftMs > 0 && Number.isFinite(leftMs) ? Math.ceil(leftMs) : leaseMs / 3, guard, { background: true })
  }

  // ---------------------------------------------------------------- watch

  const readAll = async (): Promise<number> => {
    const keys = new Map<string, HolderKey>()
    let revision: number | undefined
    for (let after: string | undefined; ;) {
      const page = await store.range(PREFIX, { signal, ...(after === undefined ? {} : { after }) })
      // Of the first page: what changed since is watched.
      revision ??= page.revision
      for (const entry of page.entries) keys.set(entry.key.slice(PREFIX.length), keyOf(entry))
      after = page.entries.at(-1)?.key
      if (!page.more || after === undefined) break
    }
    for (const [name, { epoch }] of keys) fence.see(name, epoch)
    core.load(keys, revision, clock.nowMs())
    for (const name of keys.keys()) tell(name)
    pump()
    return revision
  }
  const runWatch = async (): Promise<void> => {
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const after = await readAll()
        for await (const { revision, events } of store.watch(PREFIX, { after, signal })) {
          attempt = 0
          for (const event of events) {
            const key = event.type === 'put' ? event.entry.key : event.key
            see(key.slice(PREFIX.length), event.type === 'put' ? keyOf(event.entry) : undefined, revision)
          }
          pump()
        }
      } catch (error) {
        if (!signal.aborted && attempt === 0) log.warn('the holders of functions cannot be watched', { reason: reasonOf(error) })
      }
      await pause(clock, backoffMs(attempt, LIMITS.triggerRetryMs, LIMITS.triggerRetryMsMax), signal)
    }
  }

  void runLease()
  void runWatch()
  guard()

  let stopped: Promise<void> | undefined
  return {
    holder(name) {
      const key = core.holder(name)
      return key === undefined ? undefined : { node: key.node, epoch: key.epoch }
    },
    mine: (name) => signal.aborted ? undefined : core.mine(name, clock.nowMs()),
    check: (name, epoch, within) => fence.check(name, epoch, within),
    want(names) {
      core.want(new Set(names), clock.nowMs())
      pump()
      lookAtAll()
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    stop: () => stopped ??= (async () => {
      stopping.abort()
      timer.cancel()
      for (const name of acting) tell(name)
      if (lease !== undefined) await bounded(clock, REVOKE_TIMEOUT_MS, lease.revoke()).catch((error: unknown) => log.warn('held functions were not given back: they wait for the lease to end', { reason: reasonOf(error) }))
    })(),
  }
}

const reasonOf = (error: unknown): string => error instanceof Error ? error.message : String(error)
const valueOf = (node: NodeId): Uint8Array => new TextEncoder().encode(JSON.stringify({ node }))
function nodeOf(value: Uint8Array): NodeId {
  try {
    const read = JSON.parse(new TextDecoder().decode(value)) as { readonly node?: unknown } | null
    return typeof read?.node === 'string' ? read.node : ''
  } catch {
    return ''
  }
}

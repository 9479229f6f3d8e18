// The global store of a simulated cloud, and the network: who reaches whom, how late, and what is lost on the way.
//
//   life --ask--> link (cut? delayed?) --> store (away? restarting?) --> link (cut? answer lost?) --> life
//
// Invariants: what was sent before its sender died or was cut off may still arrive; an answer that is lost was work that
// was done; watches deliver all, in order, however late. A store that restarts begins its leases anew, as etcd does.

import { FABRIC } from '../../fabric/errors-table.ts'
import type { Clock, NodeId, Random } from '../../fabric/base.ts'
import { createMemoryGlobalStore } from '../../fabric/mod.ts'
import type { GlobalStore, StoreBatch, StoreLease } from '../../fabric/mod.ts'
import type { SimClock } from '../../fabric/sim-clock.ts'
import type { Life } from './cloud-life.ts'

/** Default of fabric's client of the store (LIMITS.storeCallTimeoutMs). */
const CALL_TIMEOUT_MS = 10_000
const WATCH_RETRY_MS = 100

export interface Network {
  /** Directed: what `from` sends does not reach `to`. 'store' is a place like any other. */
  cut(from: NodeId | 'store', to: NodeId | 'store'): void
  mend(from: NodeId | 'store', to: NodeId | 'store'): void
  mendAll(): void
  reaches(from: NodeId | 'store', to: NodeId | 'store'): boolean
  /** Of one way. */
  lagMs(): number
  /** At most; usually a tenth of it. */
  latencyMs: number
  /** Of the store's answers to a node, beyond that. */
  readonly answerLagMs: Map<NodeId, number>
  /** Of the store's answers, from 0 to 1. */
  lostRatio: number
  /** Until it is true again the store answers nobody. */
  storeUp: boolean
  /** An embedded one is reached as its node is; undefined: a place of its own. */
  storeAt: NodeId | undefined
  storeRuns(): boolean
}

export function createNetwork(random: Random): Network {
  const cuts = new Set<string>()
  const network: Network = {
    latencyMs: 20, answerLagMs: new Map(), lostRatio: 0, storeUp: true, storeAt: undefined, storeRuns: () => true,
    cut: (from, to) => { cuts.add(`${from}>${to}`) },
    mend: (from, to) => { cuts.delete(`${from}>${to}`) },
    mendAll: () => cuts.clear(),
    reaches(from, to) {
      const { storeAt } = network
      if (cuts.has(`${from}>${to}`)) return false
      if (storeAt === undefined || (from !== 'store' && to !== 'store')) return true
      const [node, other] = from === 'store' ? [storeAt, to] : [from, storeAt]
      return node === other || !cuts.has(`${node}>${other}`)
    },
    lagMs: () => (random.int(8) === 0 ? random.next() * network.latencyMs : random.next() * network.latencyMs / 10),
  }
  return network
}

export interface SimStore {
  readonly engine: ReturnType<typeof createMemoryGlobalStore>
  /** As one life of a node reaches it. */
  reachedBy(life: Life): GlobalStore
  /** Its process ends; nothing of what it knows is lost. */
  stop(): void
  /** And begins again: each lease has its whole time before it. */
  start(): Promise<void>
}

export function createSimStore({ sim, random, network, rate }: { readonly sim: SimClock; readonly random: Random; readonly network: Network; readonly rate: number }): SimStore {
  /** Sum of all pauses, in its own time. */
  let pausedMs = 0
  let pausedAtMs: number | undefined
  const leases = new Map<string, StoreLease>()
  const clock: Clock = {
    nowMs: () => (pausedAtMs ?? sim.nowMs()) * rate - pausedMs,
    wallMs: () => sim.wallMs(),
    after(delayMs, callback) {
      const dueMs = clock.nowMs() + delayMs
      let timer = sim.after(delayMs / rate, look)
      function look(): void {
        const leftMs = dueMs - clock.nowMs()
        if (pausedAtMs === undefined && leftMs <= 1e-6) callback()
        else timer = sim.after(Math.max(leftMs / rate, WATCH_RETRY_MS), look)
      }
      return { cancel: () => timer.cancel() }
    },
  }
  const engine = createMemoryGlobalStore({ clock, random })

  const reachedBy = (life: Life): GlobalStore => {
    const unreachable = (): Error => FABRIC.STORE_UNREACHABLE({ store: 'simulated', reason: 'no answer' })
    const ask = <T>(work: () => Promise<T>, options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {}): Promise<T> => new Promise((resolve, reject) => {
      const { signal, timeoutMs = CALL_TIMEOUT_MS } = options
      const aborted = (): void => { late.cancel(); reject(signal?.reason as Error) }
      const late = life.clock.after(timeoutMs, () => { signal?.removeEventListener('abort', aborted); reject(unreachable()) })
      if (signal?.aborted === true) { aborted(); return }
      signal?.addEventListener('abort', aborted, { once: true })
      sim.after(network.lagMs(), () => {
        if (!network.storeUp || !network.storeRuns() || !network.reaches(life.id, 'store')) return
        work().then((answer) => () => resolve(answer), (error: unknown) => () => reject(error as Error)).then((settle) => {
          if (network.lostRatio > 0 && random.next() < network.lostRatio) return
          sim.after(network.lagMs() + (network.answerLagMs.get(life.id) ?? 0), () => {
            if (network.reaches('store', life.id)) life.run(() => { late.cancel(); signal?.removeEventListener('abort', aborted); settle() })
          })
        }, () => {})
      })
    })
    const leaseOf = (lease: StoreLease): StoreLease => ({
      id: lease.id, lifetimeMs: lease.lifetimeMs, keepAlive: () => ask(() => lease.keepAlive()),
      revoke: () => ask(async () => { leases.delete(lease.id); await lease.revoke() }),
    })
    return {
      description: 'simulated',
      get: (key, options) => ask(() => engine.get(key), options),
      range: (prefix, options) => ask(() => engine.range(prefix, { ...options?.limit === undefined ? {} : { limit: options.limit }, ...options?.after === undefined ? {} : { after: options.after } }), options),
      transact: (transaction, options) => ask(() => engine.transact(transaction), options),
      revision: (options) => ask(() => engine.revision(), options),
      grant: (lifetimeMs, options) => ask(async () => {
        const lease = await engine.grant(lifetimeMs)
        leases.set(lease.id, lease)
        return lease
      }, options).then(leaseOf),
      close: async () => {},
      async *watch(prefix, options): AsyncGenerator<StoreBatch> {
        const ended = new AbortController()
        life.onEnd(() => ended.abort())
        options?.signal?.addEventListener('abort', () => ended.abort(), { once: true })
        for await (const batch of engine.watch(prefix, { ...options?.after === undefined ? {} : { after: options.after }, signal: ended.signal })) {
          await new Promise<void>((resolve) => {
            ended.signal.addEventListener('abort', () => resolve(), { once: true })
            const arrive = (): void => {
              if (life.state === 'dead' || ended.signal.aborted) return
              if (network.storeUp && network.storeRuns() && network.reaches('store', life.id)) life.run(resolve)
              else sim.after(WATCH_RETRY_MS, arrive)
            }
            sim.after(network.lagMs(), arrive)
          })
          if (ended.signal.aborted) return
          yield batch
        }
      },
    }
  }
  return {
    engine, reachedBy,
    stop() { network.storeUp = false; pausedAtMs ??= sim.nowMs() },
    async start() {
      if (pausedAtMs !== undefined) {
        pausedMs += (sim.nowMs() - pausedAtMs) * rate
        pausedAtMs = undefined
        await Promise.all([...leases].map(([id, lease]) => lease.keepAlive().catch(() => leases.delete(id))))
      }
      network.storeUp = true
    },
  }
}

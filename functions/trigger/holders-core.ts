// Who holds which function, as one node knows it, and what that node is to do about it. Pure: (state, event, now) in,
// steps out; holders.ts carries the steps out against the store.
//
//                 wanted, nobody holds it                    won (own lease on the key)
//   idle ------------------------------------> campaign due ---------------------------> held: settling -> acting
//    ^  somebody else holds it | not wanted        at rank * stagger                       |
//    +-------------------------------------------------------------------------------------+ key gone, lease over, not wanted
//
// Invariants:
//   - `mine` answers only while now is before (sending of the last answered keep-alive) + lifetime - margin: the store
//     cannot have ended the lease by then, whatever happened to the answer or to this process meanwhile
//   - it answers nothing in the first LIMITS.holderSettleMs of a reign (see fence.ts for why)
//   - what is known of a key only ever gets newer (by revision), in whatever order answers and watch events come
//
// Source: Gray and Cheriton 1989 (leases); Consul's lock-delay for the settling.

import type { NodeId } from '../../fabric/base.ts'

export interface HolderKey {
  readonly node: NodeId
  /** createRevision of the key: unique, growing. */
  readonly epoch: number
  readonly lease: string
}

export type HolderStep =
  /** Put the key under the lease if nobody has it. */
  | { readonly do: 'campaign'; readonly name: string; readonly lease: string }
  /** Delete the key if it still is of this epoch. */
  | { readonly do: 'resign'; readonly name: string; readonly epoch: number }

export interface HoldersCoreOptions {
  readonly self: NodeId
  readonly settleMs: number
  readonly marginRatio: number
  readonly staggerMs: number
  /** Place of this node among the candidates for a function, 0 first. */
  rank(name: string): number
}

const RESIGN_AGAIN_MS = 1_000

interface Known { readonly revision: number; readonly key: HolderKey | undefined; /** When this node's reign began, as it knows. */ readonly wonAtMs: number }

export class HoldersCore {
  readonly #options: HoldersCoreOptions
  #lease: { readonly id: string; readonly lifetimeMs: number; untilMs: number } | undefined
  #wanted: ReadonlySet<string> = new Set()
  readonly #known = new Map<string, Known>()
  /** When to try, of those that are wanted and that nobody holds. */
  readonly #campaigns = new Map<string, number>()
  /** Epochs that were given back, and when; asked again when nothing came of it. */
  readonly #resigned = new Map<string, { readonly epoch: number; readonly atMs: number }>()
  /** All keys have been read once: that nobody holds something is known, not guessed. */
  #loaded = false

  constructor(options: HoldersCoreOptions) { this.#options = options }

  get lease(): string | undefined { return this.#lease?.id }
  /** Until when this node's lease is certainly alive, on its own clock. */
  get aliveUntilMs(): number { return this.#lease?.untilMs ?? -Infinity }
  get wanted(): ReadonlySet<string> { return this.#wanted }

  // ---------------------------------------------------------------- events

  /** Functions that somebody is to hold. */
  want(names: ReadonlySet<string>, nowMs: number): void {
    this.#wanted = names
    for (const name of this.#campaigns.keys()) if (!names.has(name)) this.#campaigns.delete(name)
    for (const [name, { key }] of this.#known) if (key === undefined && !names.has(name)) this.#known.delete(name)
    for (const name of names) this.#plan(name, nowMs)
  }

  /** A lease was granted; it was asked for at `askedAtMs`. */
  leased(id: string, lifetimeMs: number, askedAtMs: number, nowMs: number): void {
    this.#lease = { id, lifetimeMs, untilMs: askedAtMs + lifetimeMs * (1 - this.#options.marginRatio) }
    for (const name of this.#wanted) this.#plan(name, nowMs)
  }

  /** A keep-alive that was sent at `sentAtMs` was answered. An older lease's answer is of no account. */
  kept(id: string, remainingMs: number, sentAtMs: number): void {
    if (this.#lease?.id !== id) return
    const untilMs = sentAtMs + Math.min(remainingMs, this.#lease.lifetimeMs) - this.#lease.lifetimeMs * this.#options.marginRatio
    this.#lease.untilMs = Math.max(this.#lease.untilMs, untilMs)
  }

  /** The store says that the lease has ended. */
  leaseGone(id: string): void {
    if (this.#lease?.id === id) this.#lease = undefined
  }

  /** All holder keys as of `revision`. */
  load(keys: ReadonlyMap<string, HolderKey>, revision: number, nowMs: number): void {
    this.#loaded = true
    for (const name of this.#known.keys()) if (!keys.has(name)) this.see(name, undefined, revision, nowMs)
    for (const [name, key] of keys) this.see(name, key, revision, nowMs)
    for (const name of this.#wanted) this.#plan(name, nowMs)
  }

  /** The key of one function as of `revision`. Answers whether anything changed. */
  see(name: string, key: HolderKey | undefined, revision: number, nowMs: number): boolean {
    const before = this.#known.get(name)
    if (before !== undefined && before.revision >= revision) return false
    const changed = before?.key?.epoch !== key?.epoch
    const wonAtMs = before !== undefined && !changed ? before.wonAtMs : nowMs
    this.#known.set(name, { revision, key, wonAtMs })
    if (key !== undefined) this.#campaigns.delete(name)
    else {
      this.#resigned.delete(name)
      this.#plan(name, nowMs)
    }
    return changed
  }

  /** A campaign could not be carried through (the store did not answer). */
  failed(name: string, retryAtMs: number): void {
    if (this.#wanted.has(name) && this.#known.get(name)?.key === undefined) this.#campaigns.set(name, retryAtMs)
  }

  // ---------------------------------------------------------------- what to do

  /** Steps that are due; each is answered once. */
  due(nowMs: number): HolderStep[] {
    const steps: HolderStep[] = []
    for (const [name, { key }] of this.#known) {
      if (key?.node !== this.#options.self) continue
      // Of an earlier life of this node, or of a lease of ours that is over: nobody acts under it any more. Or not wanted any more.
      const over = key.lease !== this.#lease?.id || !this.#wanted.has(name)
      const asked = this.#resigned.get(name)
      if (this.#lease === undefined || !over || (asked?.epoch === key.epoch && nowMs < asked.atMs + RESIGN_AGAIN_MS)) continue
      this.#resigned.set(name, { epoch: key.epoch, atMs: nowMs })
      steps.push({ do: 'resign', name, epoch: key.epoch })
    }
    if (this.#lease === undefined || nowMs >= this.#lease.untilMs) return steps
    for (const [name, dueMs] of this.#campaigns) {
      if (dueMs > nowMs) continue
      this.#campaigns.delete(name)
      steps.push({ do: 'campaign', name, lease: this.#lease.id })
    }
    return steps
  }

  /** When due() will have a campaign; undefined: not before something happens (a keep-alive, for one). */
  nextDueMs(nowMs: number): number | undefined {
    if (this.#lease === undefined || nowMs >= this.#lease.untilMs || this.#campaigns.size === 0) return undefined
    return Math.min(...this.#campaigns.values())
  }

  // ---------------------------------------------------------------- answers

  holder(name: string): HolderKey | undefined { return this.#known.get(name)?.key }

  /** This node's epoch while it may act. */
  mine(name: string, nowMs: number): number | undefined {
    const known = this.#known.get(name)
    if (known?.key === undefined || !this.#own(known.key)) return undefined
    if (nowMs < known.wonAtMs + this.#options.settleMs || nowMs >= this.aliveUntilMs) return undefined
    return known.key.epoch
  }

  /** When mine() begins to answer, of a function that this node has won. */
  actsFromMs(name: string): number | undefined {
    const known = this.#known.get(name)
    return known?.key !== undefined && this.#own(known.key) ? known.wonAtMs + this.#options.settleMs : undefined
  }

  #own(key: HolderKey): boolean { return this.#lease !== undefined && key.lease === this.#lease.id && key.node === this.#options.self }

  #plan(name: string, nowMs: number): void {
    if (!this.#loaded || !this.#wanted.has(name) || this.#known.get(name)?.key !== undefined || this.#campaigns.has(name)) return
    this.#campaigns.set(name, nowMs + this.#options.rank(name) * this.#options.staggerMs)
  }
}

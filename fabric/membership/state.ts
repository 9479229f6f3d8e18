// What the core knows, what it is told, what it asks for. The parts (learn, probe, overlay, sync) work
// on one Core object and leave their wishes in `core.out`; core.ts drives them.
//
// Invariants: no part reads a clock or does I/O; every table here is bounded by the number of members
// or by a row of LIMITS; all times are the monotonic milliseconds given to step().

import { LIMITS } from '../limits.ts'
import type { Random } from '../clock.ts'
import type { NodeId } from '../id.ts'
import type { MembershipEvent } from './contract.ts'
import { MEMBERSHIP, retransmitLimit } from './config.ts'
import { NewsQueue } from './gossip.ts'
import type { Beat, Message } from './messages.ts'
import type { Load, MemberRecord, Profile } from './record.ts'
import { View } from './view.ts'

export type LinkEnd = 'closed' | 'reset' | 'lost'

export interface Seed { readonly id: NodeId; readonly addresses: readonly string[] }

export type CoreEvent =
  | { readonly type: 'start'; readonly seeds: readonly Seed[] }
  | { readonly type: 'timer' }
  | { readonly type: 'message'; readonly from: NodeId; readonly message: Message }
  | { readonly type: 'link-up'; readonly peer: NodeId }
  | { readonly type: 'link-down'; readonly peer: NodeId; readonly why: LinkEnd }
  /** `refused`: the peer's system answered that nobody listens. Otherwise nothing was heard. */
  | { readonly type: 'dial-failed'; readonly peer: NodeId; readonly refused: boolean }
  | { readonly type: 'discovered'; readonly peer: NodeId; readonly addresses: readonly string[] }
  | { readonly type: 'load'; readonly load: Load }
  /** New addresses of this node: a new incarnation. */
  | { readonly type: 'profile'; readonly profile: Profile }
  | { readonly type: 'leave' }
  /** Members speak with it no more: it is dead at once, whatever it says. */
  | { readonly type: 'expelled'; readonly peer: NodeId }

export type Output =
  | { readonly type: 'send'; readonly to: NodeId; readonly message: Message }
  | { readonly type: 'dial'; readonly to: NodeId; readonly addresses: readonly string[]; readonly timeoutMs: number }
  | { readonly type: 'event'; readonly event: MembershipEvent['type']; readonly record: MemberRecord }
  /** Call step() with a timer event then; replaces the timer before it. */
  | { readonly type: 'timer'; readonly atMs: number }
  /** leave() is over: enough members have acknowledged, or time is up. */
  | { readonly type: 'left' }

export interface LinkState {
  heardAtMs: number
  /** Since when the peer's view hash has differed from ours without a break. */
  differsSinceMs: number | undefined
  syncedAtMs: number
}

/** One subject under observation: idle -> direct -> indirect -> idle. */
export interface Probe {
  stage: 'idle' | 'direct' | 'indirect'
  /** Idle: when to probe next. Otherwise: when this stage gives up. */
  dueAtMs: number
  seq: number
  helpersAsked: number
  helpersAnswered: number
}

/** A probe made for somebody else. */
export interface Relay { readonly asker: NodeId; readonly askerSeq: number; readonly target: NodeId; readonly dueAtMs: number }

export interface Suspicion { readonly incarnation: number; startedAtMs: number; ownRefusals: number }

export interface Dial {
  readonly id: NodeId
  readonly addresses: readonly string[]
  /** 'wanted' and 'seed' are tried again, 'once' (found or dead members) is not. */
  readonly reason: 'wanted' | 'seed' | 'once'
  attempts: number
  nextAtMs: number
  inFlight: boolean
}

export interface Core {
  readonly self: NodeId
  readonly random: Random
  readonly view: View
  readonly news: NewsQueue
  readonly links: Map<NodeId, LinkState>
  readonly probes: Map<NodeId, Probe>
  readonly relays: Map<number, Relay>
  readonly suspicions: Map<NodeId, Suspicion>
  readonly dials: Map<NodeId, Dial>
  readonly seeds: Map<NodeId, readonly string[]>
  /** Observers and subjects of this node, and the view version they were computed from. */
  wanted: Set<NodeId>
  subjects: Set<NodeId>
  wantedVersion: number
  /** Lifeguard's local health score: 0 = healthy. */
  health: number
  seq: number
  phase: 'new' | 'running' | 'leaving' | 'left'
  /** Links whose ack of our leaving is outstanding. */
  leaveAcks: Set<NodeId>
  leaveBeganAtMs: number
  /** Own news that should not wait for the next round. */
  urgent: boolean
  rotation: NodeId[]
  spreadLoad: Load
  spreadLoadAtMs: number
  gossipAtMs: number
  syncAtMs: number
  healAtMs: number
  wakeAtMs: number
  out: Output[]
}

export interface CoreOptions { readonly self: NodeId; readonly profile: Profile; readonly random: Random; readonly incarnation?: number }

export function createCore(options: CoreOptions): Core {
  const view = new View()
  const load = { cpuRatio: 0, queued: 0 }
  view.apply({
    id: options.self, incarnation: options.incarnation ?? 1, state: 'alive', profile: options.profile, load, loadNumber: 0, accusers: [], ageMs: 0,
  }, 0)
  return {
    self: options.self, random: options.random, view, news: new NewsQueue(),
    links: new Map(), probes: new Map(), relays: new Map(), suspicions: new Map(), dials: new Map(), seeds: new Map(),
    wanted: new Set(), subjects: new Set(), wantedVersion: -1,
    health: 0, seq: 0, phase: 'new', leaveAcks: new Set(), leaveBeganAtMs: 0, urgent: false, rotation: [],
    spreadLoad: load, spreadLoadAtMs: Number.NEGATIVE_INFINITY,
    gossipAtMs: 0, syncAtMs: 0, healAtMs: 0, wakeAtMs: Number.POSITIVE_INFINITY, out: [],
  }
}

export const selfRecord = (core: Core): MemberRecord => (core.view.get(core.self) as { record: MemberRecord }).record

export const send = (core: Core, to: NodeId, message: Message): void => { core.out.push({ type: 'send', to, message }) }

export function beatOf(core: Core): Beat {
  const { incarnation, loadNumber, load } = selfRecord(core)
  return { incarnation, loadNumber, load }
}

/** News that may ride on a probe. */
export const riders = (core: Core): MemberRecord[] => core.news.take(LIMITS.gossipRiderBytesMax, retransmitLimit(core.view.liveCount))

export function ping(core: Core, to: NodeId, news: readonly MemberRecord[] = riders(core)): number {
  const seq = ++core.seq
  send(core, to, { type: 'ping', seq, hash: core.view.hash(), beat: beatOf(core), news })
  return seq
}

/** `ms` spread by a quarter to both sides, so that members do not act in step. */
export const jittered = (core: Core, ms: number): number => ms * (0.75 + 0.5 * core.random.next())

export function worsenHealth(core: Core): void { core.health = Math.min(MEMBERSHIP.healthMax, core.health + 1) }

/** Up to `count` different members of `from`, at random. */
export function pick(core: Core, from: readonly NodeId[], count: number): NodeId[] {
  const pool = [...from]
  const last = Math.min(count, pool.length)
  for (let i = 0; i < last; i++) {
    const j = i + core.random.int(pool.length - i)
    const swapped = pool[i] as NodeId
    pool[i] = pool[j] as NodeId
    pool[j] = swapped
  }
  return pool.slice(0, last)
}

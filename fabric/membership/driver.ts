// The thin edge of membership: gives the pure core a clock, a timer and the transport's 'gossip' lane,
// and shows its view through the Membership contract.
//
// Events are taken one at a time: what happens while outputs are carried out (a transport may call
// back at once) waits in a queue. Frames that do not decode are counted and dropped.

import { Buffer } from 'node:buffer'
import { assert } from '../assert.ts'
import type { Clock, Random, Timer } from '../clock.ts'
import { FABRIC } from '../errors-table.ts'
import { errorCode } from '../errors.ts'
import type { CodedError } from '../errors.ts'
import type { NodeId } from '../id.ts'
import { LIMITS } from '../limits.ts'
import type { Link, Transport } from '../transport/contract.ts'
import { MEMBERSHIP } from './config.ts'
import type { Member, Membership, MembershipEvent } from './contract.ts'
import { step } from './core.ts'
import { decodeMessage, encodeMessage } from './messages.ts'
import type { Message } from './messages.ts'
import { isLive, sameProfile } from './record.ts'
import type { MemberRecord, Profile } from './record.ts'
import { createCore, selfRecord } from './state.ts'
import type { CoreEvent, Output, Seed } from './state.ts'

export interface MembershipOptions {
  readonly transport: Transport
  readonly clock: Clock
  readonly random: Random
  /** `startedAtMs`: wall clock of this process's start. */
  readonly self: { readonly name: string; readonly version: string; readonly startedAtMs: number }
  /** Nodes whose life is nobody's concern any more: what is said of it is not taken in. */
  readonly expelled?: (id: NodeId) => boolean
}

/** Figures for tests, doctor and metrics. */
export interface MembershipSnapshot {
  readonly live: number
  readonly links: number
  /** Members this node observes. */
  readonly subjects: readonly NodeId[]
  /** Lifeguard's score of this node itself: 0 = healthy. */
  readonly health: number
  readonly viewHash: number
  readonly framesSent: number
  readonly bytesSent: number
  readonly framesRefused: number
}

export interface MembershipNode extends Membership {
  /** Begins to gossip; the transport must have started. Seeds may be empty (first node). */
  start(seeds: readonly Seed[]): void
  /** Ends without a word to anybody; leave() first for a clean end. */
  stop(): void
  /** For admission: the live member, other than `id`, that bears this name. */
  nameHolder(name: string, id: NodeId): NodeId | undefined
  isNameTaken(name: string, id: NodeId): boolean
  snapshot(): MembershipSnapshot
  /** Dead at once, and never again believed alive while `expelled` (MembershipOptions) says so. */
  expel(id: NodeId): void
}

/** What of a node's addresses fits into its record. */
const gossipedAddresses = (addresses: readonly string[]): string[] =>
  addresses.filter((address) => Buffer.byteLength(address) <= LIMITS.memberAddressBytesMax).slice(0, LIMITS.memberAddressesMax)

const byNameThenId = (a: Member, b: Member): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1)

export function createMembership(options: MembershipOptions): MembershipNode {
  const { transport, clock } = options
  for (const text of [options.self.name, options.self.version]) {
    assert(Buffer.byteLength(text) <= LIMITS.memberNameBytesMax, `name and version have at most ${LIMITS.memberNameBytesMax} bytes`)
  }
  const profileNow = (): Profile => ({ ...options.self, addresses: gossipedAddresses(transport.addresses()) })
  const core = createCore({ self: transport.id, profile: profileNow(), random: options.random })
  const listeners = new Set<(event: MembershipEvent) => void>()
  const links = new Map<NodeId, Link>()
  const waiting: CoreEvent[] = []
  const leavers: (() => void)[] = []
  let timer: Timer | undefined
  let busy = false, stopped = false
  let framesSent = 0, bytesSent = 0, framesRefused = 0

  function take(event: CoreEvent): void {
    waiting.push(event)
    if (busy || stopped) return
    busy = true
    try {
      for (let next = waiting.shift(); next !== undefined && !stopped; next = waiting.shift()) {
        for (const output of step(core, next, clock.nowMs())) carryOut(output)
      }
    } finally { busy = false }
  }

  function carryOut(output: Output): void {
    switch (output.type) {
      case 'send': {
        const link = links.get(output.to)
        if (link === undefined) return
        const frame = encodeMessage(output.message)
        assert(frame.length <= LIMITS.gossipFrameBytesMax, 'gossip frames keep their bound')
        framesSent++
        bytesSent += frame.length
        // Back-pressure is not heeded: a lane that does not drain is silence, which the protocol is made to notice.
        link.send('gossip', frame)
        return
      }
      case 'dial': return dial(output.to, output.addresses, output.timeoutMs)
      case 'timer':
        timer?.cancel()
        timer = output.atMs === Number.POSITIVE_INFINITY ? undefined
          : clock.after(Math.max(0, output.atMs - clock.nowMs()), () => take({ type: 'timer' }), { background: true })
        return
      case 'event': {
        const event: MembershipEvent = { type: output.event, member: memberOf(output.record) }
        for (const listener of listeners) listener(event)
        return
      }
      case 'left': for (const resolve of leavers.splice(0)) resolve()
    }
  }

  function dial(peer: NodeId, addresses: readonly string[], timeoutMs: number): void {
    let open = true
    const end = (refused: boolean): void => {
      if (!open) return
      open = false
      guard.cancel()
      take({ type: 'dial-failed', peer, refused })
    }
    // The transport promises an end within timeoutMs; the dial's slot must come back even if it errs.
    const guard = clock.after(timeoutMs + MEMBERSHIP.dialPauseMs, () => end(false), { background: true })
    transport.dial(peer, { addresses, timeoutMs }).then(
      // A link that we know already is no news of a link: the slot comes back as after a failure.
      (link) => { if (links.get(peer) === link) { end(false); return } open = false; guard.cancel(); up(link) },
      (error: unknown) => end((error as Partial<CodedError> | undefined)?.details?.['refused'] === true),
    )
  }

  function read(frame: Uint8Array): Message | undefined {
    try { return heeded(decodeMessage(frame)) } catch (error) {
      if (errorCode(error) !== FABRIC.BAD_GOSSIP.code) throw error
      framesRefused++
      return undefined
    }
  }

  /** Without what others, who have not heard of it yet, still say of an expelled member's life. */
  function heeded(message: Message): Message {
    const { expelled } = options
    if (expelled === undefined || !('news' in message) || !message.news.some((record) => expelled(record.id))) return message
    return { ...message, news: message.news.filter((record) => !isLive(record) || !expelled(record.id)) }
  }

  function up(link: Link): void {
    const peer = link.peer.id
    if (stopped || links.get(peer) === link) return
    links.set(peer, link)
    link.onFrame('gossip', (frame) => {
      if (links.get(peer) !== link) return
      const message = read(frame)
      if (message !== undefined) take({ type: 'message', from: peer, message })
    })
    link.onClose((why) => {
      if (links.get(peer) !== link) return
      links.delete(peer)
      take({ type: 'link-down', peer, why })
    })
    take({ type: 'link-up', peer })
  }

  function memberOf(record: MemberRecord): Member {
    const sinceAtMs = core.view.get(record.id)?.sinceAtMs ?? clock.nowMs()
    const sinceMs = record.id === core.self && isLive(record) ? record.profile.startedAtMs : Math.round(clock.wallMs() - (clock.nowMs() - sinceAtMs))
    const { name, addresses, version, startedAtMs } = record.profile
    return { id: record.id, name, state: record.state, incarnation: record.incarnation, addresses, version, startedAtMs, sinceMs, load: record.load }
  }

  function nameHolder(name: string, id: NodeId): NodeId | undefined {
    for (const { record } of core.view.entries()) if (record.id !== id && record.profile.name === name && isLive(record)) return record.id
    return undefined
  }

  transport.onLink(up)
  transport.onDiscovered((peer, addresses) => { if (options.expelled?.(peer) !== true) take({ type: 'discovered', peer, addresses }) })

  return {
    get self() { return memberOf(selfRecord(core)) },
    members: () => Array.from(core.view.entries(), (entry) => memberOf(entry.record)).sort(byNameThenId),
    member(id) {
      const entry = core.view.get(id)
      return entry === undefined ? undefined : memberOf(entry.record)
    },
    onEvent(listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },
    setLoad: (load) => take({ type: 'load', load }),
    leave: () => new Promise((resolve) => {
      if (stopped || core.phase === 'new') return resolve()
      leavers.push(resolve)
      take({ type: 'leave' })
    }),
    start(seeds) {
      const profile = profileNow()
      if (!sameProfile(profile, selfRecord(core).profile)) take({ type: 'profile', profile })
      for (const link of transport.links()) up(link)
      take({ type: 'start', seeds })
    },
    stop() {
      stopped = true
      timer?.cancel()
      for (const resolve of leavers.splice(0)) resolve()
    },
    expel: (id) => take({ type: 'expelled', peer: id }),
    nameHolder,
    isNameTaken: (name, id) => nameHolder(name, id) !== undefined,
    snapshot: () => ({
      live: core.view.liveCount, links: links.size, subjects: [...core.subjects], health: core.health, viewHash: core.view.hash(),
      framesSent, bytesSent, framesRefused,
    }),
  }
}

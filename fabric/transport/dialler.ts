// Dialling a member: TCP at the known addresses first (a link is up in a few milliseconds), then the overlay,
// again with growing pauses until the deadline.
//
// One dial a peer at a time: later callers join it, each with its own deadline. A link that comes up from the
// other side meanwhile ends the dial too. The transport (hyperswarm.ts) does the hello (`meet`) and decides what
// becomes of a wire whose hello is complete (`admit`).

import type { Clock } from '../clock.ts'
import type { CodedError } from '../errors.ts'
import { FABRIC } from '../errors-table.ts'
import type { NodeId } from '../id.ts'
import type { DialPurpose } from '../identity/admission.ts'
import type { Keys } from '../identity/keys.ts'
import { LIMITS } from '../limits.ts'
import type { Link } from './contract.ts'
import type { Greeting } from './handshake.ts'
import { dialTcp } from './listener.ts'
import type { PeerRecord, Peers } from './peers.ts'
import type { Wire } from './wire.ts'

/** How one attempt ended; `refusal` is what the peer's or our own admission said. */
export type Ending = { readonly link: Link } | { readonly why: string; readonly refusal?: CodedError }

export interface DiallerOptions {
  readonly keys: Keys
  /** Address that dials start from. */
  readonly host: string
  readonly clock: Clock
  readonly peers: Peers
  readonly meet: (wire: Wire, purpose: DialPurpose, done: (greeting: Greeting) => void) => void
  readonly admit: (wire: Wire, greeting: Greeting & { readonly at: 'up' }) => Link | undefined
  readonly closed: () => boolean
  /** Undefined when there is no overlay. */
  readonly dialOverlay: (peer: NodeId) => Promise<Wire> | undefined
}

export interface Dialler {
  /** The link that is up, or a new one. Throws FABRIC_ERR_UNREACHABLE. */
  dial(peer: NodeId, given: readonly string[], timeoutMs: number): Promise<Link>
  /** One TCP attempt at each address, until a link is up (from whichever side). */
  tcp(record: PeerRecord, candidates: readonly string[]): Promise<Ending>
  /** One TCP attempt at one address, for one stream of the link. */
  openStream(record: PeerRecord, address: string, stream: 'rpc' | 'bulk', done: (ending: Ending) => void): void
}

export function createDialler(options: DiallerOptions): Dialler {
  const { keys, host, clock, peers, meet, closed } = options

  const candidatesOf = (record: PeerRecord, given: readonly string[]): string[] =>
    [...new Set([...given, ...record.addresses])].slice(0, LIMITS.addressesMax)

  function openStream(record: PeerRecord, address: string, stream: 'rpc' | 'bulk', done: (ending: Ending) => void): void {
    dialTcp({
      keys, peer: record.id, address, from: host, timeoutMs: LIMITS.tcpDialTimeoutMs, clock,
      opened: (wire) => meet(wire, { kind: 'link', stream }, (greeting) => done(greeted(wire, greeting))),
      failed: (why) => done({ why: `${address} ${why}` }),
    })
  }

  function greeted(wire: Wire, greeting: Greeting): Ending {
    if (greeting.at === 'refused') return { why: greeting.error.message, refusal: greeting.error }
    const link = greeting.at === 'up' ? options.admit(wire, greeting) : undefined
    return link === undefined ? { why: `${wire.address} answered for a link that is over` } : { link }
  }

  async function tcp(record: PeerRecord, candidates: readonly string[]): Promise<Ending> {
    let ending: Ending = { why: 'no address is known' }
    for (const address of candidates) {
      const present = peers.upLink(record.id)
      if (present !== undefined) return { link: present }
      ending = await new Promise((resolve) => openStream(record, address, 'rpc', resolve))
      if ('link' in ending) return ending
    }
    const present = peers.upLink(record.id)
    return present === undefined ? ending : { link: present }
  }

  async function overlayDial(record: PeerRecord): Promise<Ending> {
    let wire: Wire | undefined
    try {
      wire = await options.dialOverlay(record.id)
    } catch {
      return { why: 'not found through the overlay' }
    }
    if (wire === undefined) return { why: 'the overlay is off' }
    const met = wire
    return new Promise((resolve) => meet(met, { kind: 'link', stream: 'udx' }, (greeting) => {
      const ending = greeted(met, greeting)
      if ('link' in ending || greeting.at !== 'up') return resolve(ending)
      // Its wire waits for TCP; the link announces itself.
      const poll = (): void => {
        const link = peers.upLink(record.id)
        if (link !== undefined) resolve({ link })
        else if (record.waiting.size === 0) resolve(ending)
        else clock.after(LIMITS.dialRetryMs, poll, { background: true })
      }
      poll()
    }))
  }

  async function dialLoop(record: PeerRecord, given: readonly string[], timeoutMs: number): Promise<Link> {
    const deadlineMs = clock.nowMs() + timeoutMs
    for (let pauseMs: number = LIMITS.dialRetryMs; ; pauseMs = Math.min(1_000, pauseMs * 2)) {
      // Read again each time: an overlay stream may have told the peer's addresses meanwhile.
      const candidates = candidatesOf(record, given)
      const direct = await tcp(record, candidates)
      if ('link' in direct) return direct.link
      const final = direct.refusal !== undefined && direct.refusal.code !== FABRIC.HELLO_INVALID.code
      const relayed: Ending = final || closed() ? direct : await overlayDial(record)
      if ('link' in relayed) return relayed.link
      // Worth another try: somebody hung up on us before the hello was over (its door was full, or it restarts), or
      // no address is known yet.
      const again = candidates.length === 0 || direct.why.endsWith('closed') || direct.refusal?.code === FABRIC.HELLO_INVALID.code || direct.why.endsWith('is over')
      if (closed() || final || !again || clock.nowMs() + pauseMs >= deadlineMs) {
        throw FABRIC.UNREACHABLE({ node: record.id, reason: relayed === direct ? direct.why : `${direct.why}; ${relayed.why}` }, direct.refusal === undefined ? {} : { cause: direct.refusal })
      }
      await new Promise<void>((resolve) => clock.after(pauseMs, resolve))
    }
  }

  return {
    tcp,
    openStream,
    async dial(peer, given, timeoutMs) {
      const present = peers.upLink(peer)
      if (present !== undefined) return present
      const record = peers.of(peer)
      record.dialling ??= dialLoop(record, given, timeoutMs).finally(() => { record.dialling = undefined })
      return new Promise<Link>((resolve, reject) => {
        const timer = clock.after(timeoutMs, () => reject(FABRIC.UNREACHABLE({ node: peer, reason: `no answer within ${Math.round(timeoutMs)} ms at ${candidatesOf(record, given).join(', ') || 'any address'}` })))
        record.dialling?.then(resolve, reject).finally(() => timer.cancel())
      })
    },
  }
}

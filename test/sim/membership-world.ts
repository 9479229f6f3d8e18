// A seeded world for the membership core: virtual time, links that behave like reliable ordered
// streams over a lossy network, and faults. The real core runs; only its edges are played here.
//
// Loss model: a lost packet is not lost but late, by 1 s, then 2 s, then 4 s, and whatever was sent
// after it on the same lane waits behind it. A cut lane holds its frames until the cut ends or the
// link is given up after LINK_LOST_MS of silence. A killed process resets its links at once and
// refuses dials; a powered-off host is only silent. A stalled process takes nothing, then its timer,
// then all that has come meanwhile. Same seed, same options, same trace hash.

import { createCore, selfRecord } from '../../fabric/membership/state.ts'
import type { Core, CoreEvent, LinkEnd, Seed } from '../../fabric/membership/state.ts'
import { step } from '../../fabric/membership/core.ts'
import type { MemberRecord } from '../../fabric/membership/record.ts'
import { decodeMessage, encodeMessage, messageBytes } from '../../fabric/membership/messages.ts'
import type { Message } from '../../fabric/membership/messages.ts'
import type { MembershipEvent } from '../../fabric/membership/contract.ts'
import { seededRandom } from '../../fabric/base.ts'
import type { Random } from '../../fabric/base.ts'
import { EventQueue } from './event-queue.ts'

const LINK_LOST_MS = 5_000
const DELAY_MS = 0.3
const DELAY_SPREAD_MS = 1.7

export interface Node {
  readonly index: number
  readonly id: string
  core: Core
  /** Raised by each crash and restart: events of an earlier life are void. */
  life: number
  up: boolean
  /** Powered off or cut from everything rather than killed: dials time out. */
  silent: boolean
  stalledUntilMs: number
  backlog: CoreEvent[]
  timerAtMs: number
  sentMessages: number
  sentBytes: number
}

interface Link { a: Node; b: Node; upMs: number; lanes: [number, number]; silentSinceMs: number | undefined }

/** One member event: who saw it (and in which of its lives), what, about whom. */
export interface SeenEvent { readonly atMs: number; readonly at: number; readonly life: number; readonly type: MembershipEvent['type']; readonly about: number; readonly incarnation: number }

export interface WorldOptions {
  readonly seed: number
  readonly loss?: number
  /** Runs every message through the codec (slower). */
  readonly throughCodec?: boolean
}

export class World {
  nowMs = 0
  readonly random: Random
  readonly nodes: Node[] = []
  readonly seen: SeenEvent[] = []
  loss: number
  traceHash = 0x811c9dc5
  steps = 0
  readonly #queue = new EventQueue()
  readonly #links = new Map<string, Link>()
  readonly #throughCodec: boolean
  /** Is the lane from -> to cut? */
  cut: (from: number, to: number) => boolean = () => false

  constructor(options: WorldOptions) {
    this.random = seededRandom(options.seed)
    this.loss = options.loss ?? 0
    this.#throughCodec = options.throughCodec ?? false
  }

  // --- members

  add(): Node {
    const index = this.nodes.length
    const id = Array.from(this.random.bytes(32), (byte) => byte.toString(16).padStart(2, '0')).join('')
    const node: Node = {
      index, id, core: undefined as unknown as Core, life: 0, up: false, silent: false, stalledUntilMs: 0, backlog: [],
      timerAtMs: Number.POSITIVE_INFINITY, sentMessages: 0, sentBytes: 0,
    }
    node.core = this.#freshCore(node)
    this.nodes.push(node)
    return node
  }

  /** Starts (or restarts) a node with a fresh core that knows only its seeds. */
  boot(node: Node, seeds: readonly Node[]): void {
    // One that was asked to leave while it stalled still runs: its links end with its former life.
    if (node.up) this.kill(node)
    node.life++
    node.up = true
    node.silent = false
    node.core = this.#freshCore(node)
    node.backlog = []
    node.stalledUntilMs = 0
    this.#deliver(node, { type: 'start', seeds: seeds.map((seed): Seed => ({ id: seed.id, addresses: [`10.0.0.${seed.index}:1`] })) })
  }

  /** `count` members that all know each other and have their links, without playing the joins. */
  converged(count: number): void {
    for (let i = 0; i < count; i++) this.add()
    const records = this.nodes.map((node) => selfRecord(node.core))
    for (const node of this.nodes) {
      node.life++
      node.up = true
      for (const record of records) node.core.view.apply(record, 0)
    }
    for (const node of this.nodes) this.at(this.random.next() * 1_000, () => this.#deliver(node, { type: 'start', seeds: [] }))
    // Links come from the overlay's own dials.
  }

  kill(node: Node): void {
    node.up = false
    node.life++
    for (const link of this.#linksOf(node)) this.#end(link, 'reset', node)
  }

  powerOff(node: Node): void {
    node.up = false
    node.silent = true
    node.life++
    for (const link of this.#linksOf(node)) {
      this.at(LINK_LOST_MS, () => { if (this.#links.get(this.#key(link.a, link.b)) === link) this.#end(link, 'lost', undefined) })
    }
  }

  leave(node: Node): void {
    this.#deliver(node, { type: 'leave' })
  }

  stall(node: Node, forMs: number): void {
    node.stalledUntilMs = Math.max(node.stalledUntilMs, this.nowMs + forMs)
    const life = node.life
    this.at(forMs, () => {
      if (node.life !== life || this.nowMs < node.stalledUntilMs) return
      if (node.timerAtMs <= this.nowMs) this.#step(node, { type: 'timer' })
      for (const event of node.backlog.splice(0)) this.#step(node, event)
    })
  }

  /** Tells the world that `cut` has changed: links across lose or regain their lanes. */
  cutChanged(): void {
    for (const link of this.#links.values()) {
      const severed = this.cut(link.a.index, link.b.index) || this.cut(link.b.index, link.a.index)
      if (!severed) { link.silentSinceMs = undefined; continue }
      if (link.silentSinceMs !== undefined) continue
      link.silentSinceMs = this.nowMs
      this.at(LINK_LOST_MS, () => {
        if (link.silentSinceMs !== undefined && this.nowMs - link.silentSinceMs >= LINK_LOST_MS - 1 && this.#links.get(this.#key(link.a, link.b)) === link) this.#end(link, 'lost', undefined)
      })
    }
  }

  // --- time

  at(delayMs: number, run: () => void): void {
    this.#queue.push(this.nowMs + delayMs, run)
  }

  runFor(ms: number, until?: () => boolean): boolean {
    const endMs = this.nowMs + ms
    let checkAtMs = this.nowMs
    for (let job = this.#queue.popUntil(endMs); job !== undefined; job = this.#queue.popUntil(endMs)) {
      this.nowMs = job.dueMs
      job.run()
      if (until !== undefined && this.nowMs >= checkAtMs) {
        if (until()) return true
        checkAtMs = this.nowMs + 10
      }
    }
    this.nowMs = endMs
    return until?.() ?? true
  }

  // --- what observers may ask

  knows(node: Node, about: Node): MemberRecord | undefined { return node.core.view.get(about.id)?.record }

  get running(): Node[] { return this.nodes.filter((node) => node.up && node.core.phase === 'running') }

  /** All running members see exactly the running members alive, at the same incarnations. */
  isOneView(): boolean {
    const running = this.running
    return running.every((node) => {
      if (node.core.view.liveCount !== running.length) return false
      return running.every((other) => {
        const record = this.knows(node, other)
        return record !== undefined && record.state === 'alive' && record.incarnation === selfRecord(other.core).incarnation
      })
    })
  }

  allKnow(about: Node, test: (record: MemberRecord | undefined) => boolean): boolean {
    return this.running.every((node) => node === about || test(this.knows(node, about)))
  }

  died(sinceMs = 0): SeenEvent[] { return this.seen.filter((event) => event.type === 'died' && event.atMs >= sinceMs) }

  // --- edges

  #freshCore(node: Node): Core {
    const random = seededRandom(this.random.int(2 ** 31))
    return createCore({
      self: node.id, random,
      profile: { name: `n${node.index}`, addresses: [`10.0.${node.index >> 8}.${node.index & 255}:4000`], version: '0.1.0', startedAtMs: 1_700_000_000_000 + Math.floor(this.nowMs) },
    })
  }

  #deliver(node: Node, event: CoreEvent): void {
    if (!node.up) return
    if (this.nowMs < node.stalledUntilMs) node.backlog.push(event)
    else this.#step(node, event)
  }

  #step(node: Node, event: CoreEvent): void {
    if (!node.up) return
    this.steps++
    for (const output of step(node.core, event, this.nowMs)) {
      switch (output.type) {
        case 'send': this.#send(node, output.to, output.message); break
        case 'dial': this.#dial(node, output.to, output.timeoutMs); break
        case 'timer': this.#timer(node, output.atMs); break
        case 'event': this.#witness(node, output.event, output.record); break
        case 'left': this.#exit(node); break
      }
    }
  }

  /** A process that has said goodbye ends a moment later. */
  #exit(node: Node): void {
    const life = node.life
    this.at(5, () => {
      if (node.life !== life) return
      node.up = false
      node.life++
      for (const link of this.#linksOf(node)) this.#end(link, 'closed', node)
    })
  }

  #timer(node: Node, atMs: number): void {
    node.timerAtMs = atMs
    if (atMs === Number.POSITIVE_INFINITY) return
    const life = node.life
    this.at(Math.max(0, atMs - this.nowMs), () => {
      if (node.life !== life || node.timerAtMs !== atMs || this.nowMs < node.stalledUntilMs) return
      this.#step(node, { type: 'timer' })
    })
  }

  #witness(node: Node, type: MembershipEvent['type'], record: MemberRecord): void {
    const about = this.#byId(record.id)
    this.seen.push({ atMs: this.nowMs, at: node.index, life: node.life, type, about: about?.index ?? -1, incarnation: record.incarnation })
    this.#trace(node.index, type.charCodeAt(0), about?.index ?? -1)
  }

  #ids = new Map<string, Node>()
  #byId(id: string): Node | undefined {
    if (this.#ids.size !== this.nodes.length) this.#ids = new Map(this.nodes.map((node) => [node.id, node]))
    return this.#ids.get(id)
  }

  #key(a: Node, b: Node): string { return a.index < b.index ? `${a.index}-${b.index}` : `${b.index}-${a.index}` }

  #linksOf(node: Node): Link[] { return [...this.#links.values()].filter((link) => link.a === node || link.b === node) }

  #latency(): number {
    let delayMs = DELAY_MS + DELAY_SPREAD_MS * this.random.next()
    for (let retransmitMs = 1_000; this.loss > 0 && this.random.next() < this.loss && retransmitMs <= 16_000; retransmitMs *= 2) delayMs += retransmitMs
    return delayMs
  }

  #send(from: Node, toId: string, message: Message): void {
    const to = this.#byId(toId)
    const link = to === undefined ? undefined : this.#links.get(this.#key(from, to))
    if (to === undefined || link === undefined) return
    const bytes = messageBytes(message)
    from.sentMessages++
    from.sentBytes += bytes
    this.#trace(from.index, to.index, bytes)
    const received = this.#throughCodec ? decodeMessage(encodeMessage(message)) : message
    const side = link.a === from ? 0 : 1
    const arrivesMs = Math.max(link.lanes[side] as number, this.nowMs + this.#latency())
    link.lanes[side] = arrivesMs
    const arrive = (): void => {
      if (this.#links.get(this.#key(from, to)) !== link) return
      // A cut lane keeps its frames and tries again after a retransmission timeout.
      if (this.cut(from.index, to.index)) {
        link.lanes[side] = Math.max(link.lanes[side] as number, this.nowMs + 500)
        this.at(500, arrive)
      } else this.#deliver(to, { type: 'message', from: from.id, message: received })
    }
    this.at(arrivesMs - this.nowMs, arrive)
  }

  #dial(from: Node, toId: string, timeoutMs: number): void {
    const to = this.#byId(toId), life = from.life
    const failed = (refused: boolean): void => { if (from.life === life) this.#deliver(from, { type: 'dial-failed', peer: toId, refused }) }
    this.at(this.#latency() + 2, () => {
      if (from.life !== life) return
      if (to === undefined) return this.at(timeoutMs, () => failed(false))
      const severed = this.cut(from.index, to.index) || this.cut(to.index, from.index)
      if (severed || to.silent || this.nowMs < to.stalledUntilMs) return this.at(timeoutMs, () => failed(false))
      if (!to.up) return failed(true)
      // The driver gives the dial's slot back when the link is one it knows.
      if (this.#links.has(this.#key(from, to))) return failed(false)
      const link: Link = { a: from, b: to, upMs: this.nowMs, lanes: [0, 0], silentSinceMs: undefined }
      this.#links.set(this.#key(from, to), link)
      this.#deliver(from, { type: 'link-up', peer: toId })
      this.#deliver(to, { type: 'link-up', peer: from.id })
    })
  }

  #end(link: Link, why: LinkEnd, gone: Node | undefined): void {
    this.#links.delete(this.#key(link.a, link.b))
    for (const [node, other] of [[link.a, link.b], [link.b, link.a]] as const) {
      if (node === gone) continue
      const life = node.life
      this.at(1 + this.random.next() * 20, () => { if (node.life === life && !this.#links.has(this.#key(node, other))) this.#deliver(node, { type: 'link-down', peer: other.id, why }) })
    }
  }

  #trace(a: number, b: number, c: number): void {
    let hash = this.traceHash
    for (const word of [a, b, c, Math.floor(this.nowMs * 16)]) hash = Math.imul(hash ^ word, 0x01000193)
    this.traceHash = hash >>> 0
  }
}

// The log of the whole fabric, gathered by the node that is asked: stream 'functions.logs'.
//
// Each live member is followed by a stream of its own. First the last lines of all of them, sorted by time, as soon as
// all have told theirs or LIMITS.gatherTimeoutMs is over; then lines as they come. A member that joins is added. One that
// dies, or whose stream breaks, is told of in a line of level 'system', and asked again, from where it was, while it is a member.

import type { CallContext, Membership, RpcPeer, RpcRegistry, RpcStream } from '../../fabric/mod.ts'
import { LIMITS } from '../../fabric/base.ts'
import type { Clock, NodeId } from '../../fabric/base.ts'
import { FUNCTIONS } from '../errors.ts'
import { Follower } from './follower.ts'
import { LOGS_METHOD, NODE_LOGS_METHOD, readLogStream, readRequest, writeMessage, writeRequest } from './log-wire.ts'
import type { LogMessage, LogRequest, SentLine } from './log-wire.ts'
import { systemLine } from './logs.ts'
import type { NodeLogs } from './logs.ts'

export interface GatherOptions {
  readonly logs: NodeLogs
  readonly membership: Pick<Membership, 'self' | 'members' | 'member' | 'onEvent'>
  peer(node: NodeId): RpcPeer | Promise<RpcPeer>
  readonly clock: Clock
}

export function registerLogs(registry: RpcRegistry, options: GatherOptions): void {
  registry.stream(LOGS_METHOD, async (body: unknown, context: CallContext, stream: RpcStream) => {
    await new Gathering(options, readRequest(body), context).run((lines) => stream.write(writeMessage({ tag: 'lines', ring: '', lines })))
    return null
  })
}

const reasonOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

/** A line about a node: of no function, and of no call. */
const isNotice = ({ line: { level, name, callId } }: SentLine): boolean => level === 'system' && name === '' && callId === ''

class Gathering {
  readonly #options: GatherOptions
  readonly #request: LogRequest
  readonly #context: CallContext
  readonly #over = new AbortController()
  readonly #out: Follower<SentLine>
  /** Members that are followed now, with what ends that. */
  readonly #followed = new Map<NodeId, AbortController>()
  /** Members whose last lines are still awaited. */
  readonly #awaited = new Set<NodeId>()
  /** Last lines of all, until they are sorted; undefined from then on. */
  #history: SentLine[] | undefined = []
  #told = Promise.withResolvers<void>()

  constructor(options: GatherOptions, request: LogRequest, context: CallContext) {
    this.#options = options
    this.#request = request
    this.#context = context
    this.#out = new Follower({ max: LIMITS.logFollowerLinesMax, missed: (count) => this.#system(options.membership.self.name, `${count} lines dropped: this reader is slower than the log`) })
  }

  async run(send: (lines: readonly SentLine[]) => Promise<void>): Promise<void> {
    const { membership, clock } = this.#options
    const { follow, lines } = this.#request
    const end = (): void => { this.#over.abort(this.#context.signal.reason); this.#out.end(); this.#told.resolve() }
    this.#context.signal.addEventListener('abort', end, { once: true })
    const unsubscribe = membership.onEvent(({ type, member }) => this.#onMember(type, member.id, member.name))
    const timer = clock.after(LIMITS.gatherTimeoutMs, () => this.#told.resolve(), { background: true })
    try {
      for (const { id, state, name } of membership.members()) {
        if (state === 'alive' || state === 'suspect') this.#follow(id, name)
        else if (state === 'dead') this.#push(this.#system(name, `${name} is dead; its lines are not here`))
      }
      await this.#told.promise
      const history = (this.#history ?? []).sort((a, b) => a.line.atMs - b.line.atMs)
      this.#history = undefined
      for (const id of this.#awaited) this.#push(this.#system(this.#nameOf(id), `${this.#nameOf(id)} has not answered within ${LIMITS.gatherTimeoutMs} ms`))
      // What there is to say of nodes comes beside the lines that were asked for, and takes the place of none.
      const wanted = history.filter((each) => !isNotice(each))
      const kept = new Set(wanted.slice(Math.max(0, wanted.length - lines)))
      const last = history.filter((each) => isNotice(each) || kept.has(each))
      for (let at = 0; at < last.length; at += LIMITS.logBatchLinesMax) await send(last.slice(at, at + LIMITS.logBatchLinesMax))
      if (!follow) this.#out.end()
      for (let batch = await this.#out.take(LIMITS.logBatchLinesMax); batch !== undefined; batch = await this.#out.take(LIMITS.logBatchLinesMax)) await send(batch)
    } finally {
      timer.cancel()
      unsubscribe()
      this.#context.signal.removeEventListener('abort', end)
      this.#over.abort()
      for (const control of this.#followed.values()) control.abort()
    }
  }

  #system(node: string, text: string): SentLine {
    return { seq: 0, line: systemLine({ name: '', node, atMs: this.#options.clock.wallMs(), text }) }
  }

  #nameOf(id: NodeId): string { return this.#options.membership.member(id)?.name ?? id.slice(0, 8) }

  #push(line: SentLine): void {
    if (this.#history === undefined) this.#out.push(line)
    else this.#history.push(line)
  }

  #onMember(type: string, id: NodeId, name: string): void {
    if (!this.#request.follow) return
    if (type === 'died' || type === 'left') {
      if (!this.#followed.has(id)) return
      this.#followed.get(id)?.abort()
      this.#push(this.#system(name, `${name} ${type === 'died' ? 'died' : 'left'}; no lines come from it`))
    } else if (type === 'joined') this.#follow(id, name)
  }

  #follow(id: NodeId, name: string): void {
    // One that was given up a moment ago has still to come to its end: the last one to follow counts.
    const control = new AbortController()
    this.#followed.get(id)?.abort()
    this.#followed.set(id, control)
    if (this.#history !== undefined) this.#awaited.add(id)
    void this.#pump(id, name, control.signal).catch((error: unknown) => this.#push(this.#system(name, `the log of ${name} cannot be followed: ${reasonOf(error)}`))).finally(() => {
      if (this.#followed.get(id) === control) this.#followed.delete(id)
      this.#answered(id)
    })
  }

  #answered(id: NodeId): void {
    this.#awaited.delete(id)
    if (this.#awaited.size === 0) this.#told.resolve()
  }

  async #pump(id: NodeId, name: string, gone: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([gone, this.#over.signal])
    let request = this.#request
    let failed = false
    while (!signal.aborted) {
      try {
        for await (const message of await this.#open(id, request, signal)) {
          if (message.tag === 'live') { this.#answered(id); continue }
          if (failed) { failed = false; this.#push(this.#system(name, `the log of ${name} goes on`)) }
          for (const line of message.lines) this.#push(line)
          const after = message.lines.at(-1)?.seq
          if (after !== undefined) request = { ...request, resume: { ring: message.ring, after } }
        }
        if (!this.#request.follow || signal.aborted) return
        // A node that stops ends its streams properly, before anybody hears that it has left.
        throw FUNCTIONS.NODE_GONE({ node: name, why: 'it ended its log' })
      } catch (error) {
        if (signal.aborted) return
        if (!failed) this.#push(this.#system(name, `${name} does not answer: ${reasonOf(error)}`))
        failed = true
        this.#answered(id)
        if (!this.#request.follow) return
        await this.#pause(signal)
      }
    }
  }

  async #open(id: NodeId, request: LogRequest, signal: AbortSignal): Promise<AsyncIterable<LogMessage>> {
    const { logs, membership, peer } = this.#options
    if (id === membership.self.id) return logs.stream(request, signal)
    const { principal, trace, hop } = this.#context
    const stream = (await peer(id)).open(NODE_LOGS_METHOD, writeRequest(request), { signal, parent: { principal, trace, hop, signal, remainingMs: () => this.#context.remainingMs() } })
    return readLogStream(stream)
  }

  #pause(signal: AbortSignal): Promise<void> {
    return new Promise((done) => {
      const timer = this.#options.clock.after(LIMITS.logRetryMs, finish, { background: true })
      function finish(): void { timer.cancel(); signal.removeEventListener('abort', finish); done() }
      signal.addEventListener('abort', finish, { once: true })
    })
  }
}

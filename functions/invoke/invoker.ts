// Calls by name on the node that was asked: which version, which node, and the outcome. The Invoker of deployed.ts.
//
//   invoke -> resolve (once: no call runs a mixture) -> [key: idempotency.ts] -> place -> here: run-here.ts
//                                                                               \-> 'functions.call' at another node
//
// A node that is busy, or lacks the code, ran nothing: one other is tried. A node that dies under a call leaves it
// open whether it ran: the outcome says so and nobody runs it again (enqueue() does, by its promise).

import { FABRIC, LIMITS } from '../../fabric/base.ts'
import type { Hash, NodeId } from '../../fabric/base.ts'
import { REFERENCE } from '../contract.ts'
import type { ReferenceRecord } from '../contract.ts'
import type { CallAuthority, Invoker, InvokeOutcome, InvokeRequest, ResolvedFunction, TargetText } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { decodeValue } from '../value/mod.ts'
import { failed } from './contract.ts'
import type { InvokeSurroundings, VersionCall } from './contract.ts'
import type { Idempotency } from './idempotency.ts'
import type { AsyncCalls } from './async-calls.ts'
import { chooseNode } from './routing.ts'
import { plainRecord } from './run-here.ts'
import type { Runner } from './run-here.ts'
import { INVOKE_METHODS, OUTCOME_GRACE_MS, readAnswer, writeCall } from './wire.ts'
import type { CallBody } from './wire.ts'

export interface InvokerOptions extends InvokeSurroundings {
  readonly runner: Runner
  readonly idempotency: Idempotency
  readonly asyncCalls: Pick<AsyncCalls, 'enqueue'>
}

/** Once more while a singleton changes its holder. */
const UNHELD_PAUSE_MS = 50
/** Nodes that something is remembered of while nothing is under way there: more than a fabric has. */
const REMOTE_MAX = 1_024
/** Nothing ran, and another node may do better. */
const ELSEWHERE: ReadonlySet<string> = new Set([FUNCTIONS.FUNCTION_BUSY.code, FUNCTIONS.FUNCTION_CODE_MISSING.code])

export class NodeInvoker implements Invoker {
  readonly #options: InvokerOptions
  /** Calls that this node has under way elsewhere; what those nodes told of themselves. */
  readonly #remote = new Map<NodeId, { calls: number; told: number; readonly warm: Set<Hash> }>()

  constructor(options: InvokerOptions) { this.#options = options }

  async invoke(request: InvokeRequest, authority: CallAuthority): Promise<InvokeOutcome> {
    const { idempotency, catalog, random } = this.#options
    const resolved = catalog.resolve(request.reference, random.next())
    const key = request.idempotencyKey
    return key === undefined ? this.#place(resolved, request, authority) : idempotency.once(resolved.name, key, authority, () => this.#place(resolved, request, authority))
  }

  async invokeAll(request: InvokeRequest, authority: CallAuthority): Promise<readonly InvokeOutcome[]> {
    const { catalog, random, nodes } = this.#options
    const resolved = catalog.resolve(request.reference, random.next())
    if (resolved.manifest.singleton) return [await this.#place(resolved, request, authority)]
    const call = this.#call(resolved, request, authority, 1)
    return Promise.all(nodes().map(({ id }) => this.#at(id, call, authority)))
  }

  enqueue(request: InvokeRequest, authority: CallAuthority): Promise<string> { return this.#options.asyncCalls.enqueue(request, authority) }

  runHere(resolved: ResolvedFunction, request: InvokeRequest, authority: CallAuthority, { attempt, epoch }: { readonly attempt: number; readonly epoch?: number }): Promise<InvokeOutcome> {
    return this.#options.runner.run({ ...this.#call(resolved, request, authority, attempt), epoch }, authority)
  }

  /** Whether the filter of trigger `trigger` of the version says yes to `request.payload`; the value is the outcome's. Never rejects. */
  filterHere(resolved: ResolvedFunction, trigger: number, request: InvokeRequest, authority: CallAuthority): Promise<InvokeOutcome> {
    return this.#options.runner.run({ ...this.#call(resolved, request, authority, 1), filter: trigger }, authority)
  }

  /** An attempt of an asynchronous call. */
  async attempt(request: InvokeRequest, authority: CallAuthority, attempt: number): Promise<InvokeOutcome> {
    const { catalog, random } = this.#options
    return this.#place(catalog.resolve(request.reference, random.next()), request, authority, attempt)
  }

  /** 'functions.call': another node has chosen this one. Never rejects for what the function does. */
  async serve(body: CallBody, authority: CallAuthority): Promise<InvokeOutcome> {
    const { catalog, runner, holders, fetchVersion } = this.#options
    const known = catalog.version(body.name, body.version) ?? await fetchVersion?.(body.name, body.version)
    if (known === undefined || known.manifest.version !== body.version) {
      return failed('unreachable', plainRecord(FUNCTIONS.FUNCTION_CODE_MISSING({ name: body.name, version: body.version, asked: 0 })), false)
    }
    const { name, alias, ...rest } = body
    const call: VersionCall = { ...rest, epoch: undefined, resolved: { name, alias, manifest: known.manifest, deployer: known.by } }
    if (!known.manifest.singleton) return runner.run(call, authority)
    const epoch = holders.mine(name)
    if (epoch === undefined) return failed('error', plainRecord(FUNCTIONS.FUNCTION_UNHELD({ name, reason: 'the node that was asked does not hold it' })), false)
    return runner.run({ ...call, epoch }, authority)
  }

  // ---------------------------------------------------------------- where

  #call(resolved: ResolvedFunction, request: InvokeRequest, authority: CallAuthority, attempt: number): VersionCall {
    const timeoutMs = Math.max(1, Math.min(request.timeoutMs ?? resolved.manifest.limits.timeoutMs, authority.remainingMs()))
    return { resolved, payload: request.payload, cause: request.cause, timeoutMs, budget: request.budget ?? LIMITS.callBudget, depth: request.depth ?? 0, traceparent: request.traceparent, attempt, epoch: undefined }
  }

  async #place(resolved: ResolvedFunction, request: InvokeRequest, authority: CallAuthority, attempt = 1): Promise<InvokeOutcome> {
    const call = this.#call(resolved, request, authority, attempt)
    if (resolved.manifest.singleton) return this.#atHolder(call, authority)
    const target = request.target ?? resolved.manifest.target
    if (target !== 'any' && target !== 'all') return this.#at(target === 'home' ? this.#homeOf(request.payload, resolved.name) : this.#named(target), call, authority)
    const version = resolved.manifest.version
    const first = this.#choose(version, undefined)
    const outcome = await this.#at(first, call, authority)
    if (outcome.status === 'value' || outcome.mayHaveRun || !ELSEWHERE.has(outcome.error.code)) return outcome
    if (this.#options.nodes().length < 2 || authority.signal.aborted) return outcome
    // Who does not know the version yet may not be alone in that; this node does, it has just looked it up.
    const behind = outcome.error.code === FUNCTIONS.FUNCTION_CODE_MISSING.code && first !== this.#options.self.id
    return this.#at(behind ? this.#options.self.id : this.#choose(version, first), call, authority)
  }

  #choose(version: Hash, except: NodeId | undefined): NodeId {
    const { runner, self, nodes, random } = this.#options
    const loads = nodes().filter(({ id }) => id !== except).map(({ id, cpuRatio }) => {
      if (id === self.id) return { id, cpuRatio, calls: runner.calls, warm: runner.warm(version) }
      const known = this.#remote.get(id)
      return { id, cpuRatio, calls: known === undefined ? 0 : Math.max(known.calls, known.told), warm: known?.warm.has(version) ?? false }
    })
    return chooseNode(loads, self.id, random) ?? self.id
  }

  #named(target: TargetText): NodeId {
    const name = target.slice('node:'.length)
    const found = this.#options.nodes().find((node) => node.name === name || node.id === name)
    if (found !== undefined) return found.id
    throw FUNCTIONS.NODE_GONE({ node: name, why: 'no member of that name is up' }, { outcome: 'not-started' })
  }

  /** Home of the first object in the payload, which is decoded here as arguments of verbs are: within their bounds. */
  #homeOf(payload: Uint8Array, name: string): NodeId {
    let home: NodeId | undefined
    const noted = (record: ReferenceRecord): object => { home ??= record.home; return { [REFERENCE]: record } }
    decodeValue(payload, { profile: 'args', reference: noted, collection: () => [] })
    if (home !== undefined) return home
    throw FUNCTIONS.PAYLOAD_INVALID({ what: `the payload of ${name}, which runs where an object lives,`, expected: 'a value with an object in it', got: 'none' })
  }

  async #atHolder(call: VersionCall, authority: CallAuthority): Promise<InvokeOutcome> {
    const { holders, clock, runner, self } = this.#options
    const { name } = call.resolved
    const deadlineMs = clock.nowMs() + call.timeoutMs
    for (;;) {
      const leftMs = deadlineMs - clock.nowMs()
      const holder = holders.holder(name)
      let reason = 'no node holds it'
      if (holder !== undefined) {
        const timed = { ...call, timeoutMs: Math.max(1, leftMs) }
        const epoch = holder.node === self.id ? holders.mine(name) : undefined
        if (holder.node !== self.id || epoch !== undefined) {
          const outcome = epoch === undefined ? await this.#at(holder.node, timed, authority) : await runner.run({ ...timed, epoch }, authority)
          if (outcome.status === 'value' || outcome.mayHaveRun || (outcome.error.code !== FUNCTIONS.FUNCTION_UNHELD.code && outcome.status !== 'unreachable')) return outcome
          reason = outcome.error.message
        }
      }
      if (deadlineMs - clock.nowMs() <= UNHELD_PAUSE_MS || authority.signal.aborted) return failed('error', plainRecord(FUNCTIONS.FUNCTION_UNHELD({ name, reason })), false)
      await new Promise<void>((resolve) => { clock.after(UNHELD_PAUSE_MS, resolve) })
    }
  }

  // ---------------------------------------------------------------- one node

  async #at(node: NodeId, call: VersionCall, authority: CallAuthority): Promise<InvokeOutcome> {
    const { runner, self } = this.#options
    if (node === self.id) return runner.run(call, authority)
    let known = this.#remote.get(node)
    if (known === undefined) this.#remote.set(node, known = { calls: 0, told: 0, warm: new Set() })
    known.calls++
    try {
      const { outcome, calls } = await this.#ask(node, call, authority)
      known.told = calls
      const { version } = call.resolved.manifest
      if (outcome.status === 'value') known.warm.add(version)
      else known.warm.delete(version)
      if (known.warm.size > LIMITS.invokeVersionsMax) known.warm.clear()
      return outcome
    } finally {
      if (--known.calls === 0 && this.#remote.size > REMOTE_MAX) this.#remote.delete(node)
    }
  }

  async #ask(node: NodeId, call: VersionCall, authority: CallAuthority): Promise<{ readonly outcome: InvokeOutcome; readonly calls: number }> {
    const { peer, nodes } = this.#options
    const { name, alias, manifest } = call.resolved
    const nodeName = nodes().find(({ id }) => id === node)?.name ?? node.slice(0, 8)
    let sent = false
    try {
      const found = peer(node)
      const connection = found instanceof Promise ? await found : found
      sent = true
      const body = await connection.call(INVOKE_METHODS.call, writeCall({
        name, alias, version: manifest.version, payload: call.payload, timeoutMs: call.timeoutMs, budget: call.budget, depth: call.depth, attempt: call.attempt, traceparent: call.traceparent, cause: call.cause,
      }), { timeoutMs: call.timeoutMs + OUTCOME_GRACE_MS, parent: authority })
      return readAnswer(body, { name, alias, version: manifest.version, trace: authority.trace, node, nodeName, cause: call.cause.type, attempt: call.attempt })
    } catch (error) {
      return { outcome: this.#lost(error, nodeName, sent, authority), calls: 0 }
    }
  }

  /** The connection ended, or was never there. Whether the call began is told by the error, and never assumed. */
  #lost(error: unknown, nodeName: string, sent: boolean, authority: CallAuthority): InvokeOutcome {
    const record = plainRecord(error)
    const mayHaveRun = sent && record.outcome !== 'not-started'
    const outcome = mayHaveRun ? 'unknown' : 'not-started'
    if (authority.signal.aborted) return failed('cancelled', { ...record, outcome }, mayHaveRun)
    if (record.code.endsWith('_DEADLINE')) return failed('timeout', { ...record, outcome }, mayHaveRun)
    // The node is there: the call was one too many inside others.
    if (record.code === FABRIC.TOO_MANY_HOPS.code) return failed('error', { ...record, outcome: 'not-started' }, false)
    const gone = FUNCTIONS.NODE_GONE({ node: nodeName, why: record.message }, { cause: error, outcome })
    return failed('unreachable', { ...plainRecord(gone), outcome }, mayHaveRun)
  }
}

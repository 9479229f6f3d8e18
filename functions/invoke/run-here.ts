// Runs calls on this node: the door between a chosen version (routing, triggers, holders) and its queue (version-runner.ts).
// Gives each call its id, its scope and its principal, keeps a breaker a version, writes the outcome up with its
// record, tells stacks in the lines of the sources, and reports to the Observer. Never rejects.

import { errorCode, fromErrorRecord, LIMITS, toErrorRecord } from '../../fabric/base.ts'
import type { ErrorRecord, Hash } from '../../fabric/base.ts'
import type { ConsoleLine } from '../contract.ts'
import type { CallAuthority, CallRecord, CallScope, InvokeOutcome, LogLine, ResolvedFunction } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { traceContext } from '../observe/trace-context.ts'
import { cellPrincipal, functionPrincipal } from '../principal.ts'
import { Breaker } from './breaker.ts'
import { failed } from './contract.ts'
import type { RunnerOptions, VersionCall } from './contract.ts'
import { noPayload } from './items.ts'
import { VersionRunner } from './version-runner.ts'
import type { Ended, Measured } from './version-runner.ts'

const ID_COUNT = 2 ** 32

interface Loaded { readonly runner: VersionRunner; readonly breaker: Breaker }

export class Runner {
  readonly #options: RunnerOptions
  readonly #versions = new Map<Hash, Loaded | Promise<Loaded>>()
  /** Half of each call's id is drawn once, the other half counts: random bytes for each cost more than the id is worth. */
  readonly #idPrefix: string
  #lastId: number
  /** Calls under way or waiting, of all versions. */
  #calls = 0

  constructor(options: RunnerOptions) {
    this.#options = options
    this.#idPrefix = hex(options.random.bytes(4))
    this.#lastId = options.random.int(ID_COUNT)
  }

  #nextId(): string {
    this.#lastId = (this.#lastId + 1) % ID_COUNT
    return this.#idPrefix + this.#lastId.toString(16).padStart(8, '0')
  }

  get calls(): number { return this.#calls }

  warm(version: Hash): boolean {
    const loaded = this.#versions.get(version)
    return loaded !== undefined && !(loaded instanceof Promise) && loaded.runner.warm
  }

  /** Calls of the version are refused for now. */
  broken(version: Hash): boolean {
    const loaded = this.#versions.get(version)
    return loaded !== undefined && !(loaded instanceof Promise) && loaded.breaker.state !== 'closed'
  }

  /** Calls of a function that run and wait here. */
  load(versions: Iterable<Hash>): { readonly running: number; readonly waiting: number } {
    let running = 0, waiting = 0
    for (const version of versions) {
      const loaded = this.#versions.get(version)
      if (loaded === undefined || loaded instanceof Promise) continue
      running += loaded.runner.running
      waiting += loaded.runner.queued
    }
    return { running, waiting }
  }

  /** Has the code of a version in memory and its queue made: the first call after a deploy need not wait for it. */
  async prepare(call: Pick<VersionCall, 'resolved'>, signal?: AbortSignal): Promise<void> { await this.#load(call, signal) }

  /**
   * Has an isolate linked to the version, by asking it what it is. Rejects when it cannot run here. Asks twice: linking used up a
   * spare isolate, and making the next one blocks the lane for a moment, in which the first call should not come.
   */
  async warmUp(resolved: ResolvedFunction, signal: AbortSignal): Promise<void> {
    const { runner } = await this.#load({ resolved }, signal)
    const { clock } = this.#options
    await this.#askWhat(resolved, runner, signal)
    await new Promise<void>((resolve) => { clock.after(LIMITS.invokeWarmPauseMs, resolve) })
    signal.throwIfAborted()
    await this.#askWhat(resolved, runner, signal)
  }

  #askWhat(resolved: ResolvedFunction, runner: VersionRunner, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    const timeoutMs = LIMITS.describeMs
    const deadlineMs = clock.nowMs() + timeoutMs
    const authority: CallAuthority = { principal: '', trace: '0'.repeat(16), hop: 0, signal, remainingMs: () => Math.max(1, deadlineMs - clock.nowMs()) }
    const { scope, parts, principal } = this.#describe({ resolved, payload: noPayload(), cause: { type: 'call' }, attempt: 1, timeoutMs, budget: 0, depth: 0, epoch: undefined, traceparent: undefined }, authority)
    return new Promise<void>((resolve, reject) => {
      runner.add({
        parts: { ...parts, what: 'describe' }, scope, arrivedMs: clock.nowMs(), timeoutMs, deadlineMs, authority: { ...authority, principal },
        settle: (ended) => { if (ended.status === 'value') resolve(); else reject(fromErrorRecord(ended.error)) },
      })
    })
  }

  async run(call: VersionCall, authority: CallAuthority): Promise<InvokeOutcome> {
    const { manifest } = call.resolved
    this.#calls++
    try {
      const { name, deployer } = call.resolved
      if (this.#options.cutOff?.(deployer) === true) throw FUNCTIONS.DEPLOYER_CUT_OFF({ name, deployer })
      const present = this.#versions.get(manifest.version)
      const loaded = present === undefined || present instanceof Promise ? await this.#load(call, authority.signal) : present
      return await this.#run(call, authority, loaded)
    } catch (error) {
      // Before anything was given to the sandbox.
      return failed(errorCode(error) === FUNCTIONS.FUNCTION_CODE_MISSING.code ? 'unreachable' : 'error', plainRecord(error), false)
    } finally {
      this.#calls--
    }
  }

  #load({ resolved }: Pick<VersionCall, 'resolved'>, signal: AbortSignal | undefined): Promise<Loaded> {
    const { manifest, deployer } = resolved
    const { version } = manifest
    const present = this.#versions.get(version)
    if (present !== undefined) return Promise.resolve(present)
    try {
      this.#options.admission?.manifest({ ...manifest, name: resolved.name })
    } catch (error) {
      return Promise.reject(error)
    }
    this.#forgetIdle()
    // One load for all that wait: a caller who leaves must not take it from the others.
    const loading = this.#options.catalog.code(version).then((code): Loaded => {
      const loaded: Loaded = { breaker: new Breaker(), runner: this.#runner(resolved.name, manifest, deployer, code, () => this.#killed(resolved.name, version)) }
      this.#versions.set(version, loaded)
      return loaded
    })
    this.#versions.set(version, loading)
    loading.catch(() => { if (this.#versions.get(version) === loading) this.#versions.delete(version) })
    if (signal === undefined) return loading
    return Promise.race([loading, new Promise<never>((_, reject) => {
      const leave = (): void => reject(signal.reason)
      if (signal.aborted) leave()
      else signal.addEventListener('abort', leave, { once: true })
      const done = (): void => signal.removeEventListener('abort', leave)
      loading.then(done, done)
    })])
  }

  #runner(name: string, { version, limits, singleton }: VersionCall['resolved']['manifest'], deployer: string, code: Uint8Array, killed: () => void): VersionRunner {
    const { sandbox, clock, lanes, hostCalls } = this.#options
    return new VersionRunner({
      sandbox, clock, lanes, hostCalls, name, version, code, killed, deployerCell: cellPrincipal(functionPrincipal({ name, version, deployer })),
      concurrency: singleton ? 1 : limits.concurrency, queue: limits.queue, heapLimitMiB: limits.heapLimitMiB, cpuTimeMs: limits.cpuTimeMs,
      console: (line, scope) => this.#console(name, version, line, scope),
    })
  }

  /** Room for one more version: the idle one that was not called for longest goes. */
  #forgetIdle(): void {
    if (this.#versions.size < LIMITS.invokeVersionsMax) return
    let oldest: { readonly version: Hash; readonly usedMs: number } | undefined
    for (const [version, loaded] of this.#versions) {
      if (loaded instanceof Promise || !loaded.runner.idle || loaded.breaker.state !== 'closed') continue
      if (oldest === undefined || loaded.runner.usedMs < oldest.usedMs) oldest = { version, usedMs: loaded.runner.usedMs }
    }
    if (oldest !== undefined) this.#versions.delete(oldest.version)
  }

  #killed(name: string, version: Hash): void {
    const loaded = this.#versions.get(version)
    if (loaded === undefined || loaded instanceof Promise || !loaded.breaker.killed(this.#options.clock.nowMs())) return
    this.#options.observer.count(name, 'breaker-opened')
    this.#line(name, version, 'system', `killed its sandbox ${loaded.breaker.kills} times: it is not called on this node for a while`, undefined)
  }

  #console(name: string, version: Hash, { level, text, fields }: ConsoleLine, scope: CallScope | undefined): void {
    this.#line(name, version, level === 'log' ? 'info' : level, text, scope, fields)
  }

  #line(name: string, version: Hash, level: LogLine['level'], text: string, scope: CallScope | undefined, fields?: LogLine['fields']): void {
    this.#options.observer.line({ atMs: this.#options.clock.wallMs(), name, version, callId: scope?.callId ?? '', trace: scope?.trace ?? '', level, text, ...(fields === undefined ? {} : { fields }) })
  }

  #run(call: VersionCall, authority: CallAuthority, { runner, breaker }: Loaded): Promise<InvokeOutcome> {
    const { clock, observer, self } = this.#options
    const { name, manifest } = call.resolved
    const nowMs = clock.nowMs()
    if (authority.signal.aborted) return Promise.resolve(failed('cancelled', { ...plainRecord(FUNCTIONS.RUN_CANCELLED({})), outcome: 'not-started' }, false))
    if (runner.full) {
      observer.count(name, 'busy')
      return Promise.resolve(failed('error', plainRecord(FUNCTIONS.FUNCTION_BUSY({ name, node: self.name, running: runner.running, waiting: runner.queued })), false))
    }
    const admitted = breaker.admit(nowMs)
    if (typeof admitted === 'object') {
      observer.count(name, 'broken')
      return Promise.resolve(failed('error', plainRecord(FUNCTIONS.FUNCTION_BROKEN({ name, kills: breaker.kills, seconds: admitted.seconds })), false))
    }
    return new Promise((resolve) => {
      const { scope, parts, principal } = this.#describe(call, authority)
      const startedAtMs = clock.wallMs()
      let unlisten: (() => void) | undefined
      const settle = (ended: Ended, measured: Measured): void => {
        unlisten?.()
        if (ended.status === 'value' || ended.mayHaveRun) {
          if (ended.status !== 'crash' && ended.status !== 'out-of-memory') breaker.survived()
        } else breaker.inconclusive(clock.nowMs())
        const record: CallRecord = {
          callId: scope.callId, name, alias: call.resolved.alias, version: manifest.version, trace: scope.trace, node: self.id, nodeName: self.name,
          cause: call.cause.type, attempt: call.attempt, ...(call.epoch === undefined ? {} : { epoch: call.epoch }), startedAtMs, ...measured,
        }
        if (ended.status !== 'value' && ended.error.stack !== undefined) {
          void this.#original(manifest.version, ended.error).then((error) => this.#settled({ ...ended, error, call: record }, resolve))
        } else this.#settled({ ...ended, call: record }, resolve)
      }
      const cancel = runner.add({
        parts, scope, settle, arrivedMs: nowMs, timeoutMs: call.timeoutMs, deadlineMs: nowMs + call.timeoutMs,
        authority: { principal, trace: authority.trace, hop: authority.hop + 1, signal: authority.signal, remainingMs: () => authority.remainingMs() },
      })
      const { signal } = authority
      signal.addEventListener('abort', cancel, { once: true })
      unlisten = () => signal.removeEventListener('abort', cancel)
    })
  }

  #settled(ended: InvokeOutcome & { readonly call: CallRecord }, resolve: (outcome: InvokeOutcome) => void): void {
    const { observer, redact } = this.#options
    const outcome = ended.status === 'value' || redact === undefined ? ended : { ...ended, error: redact(ended.error) }
    observer.called(outcome.call, outcome.status === 'value' ? { status: 'value' } : { status: outcome.status, error: outcome.error })
    resolve(outcome)
  }

  #describe(call: VersionCall, authority: CallAuthority): { readonly scope: CallScope; readonly parts: Parameters<VersionRunner['add']>[0]['parts']; readonly principal: string } {
    const { self, random } = this.#options
    const { name, alias, manifest, deployer } = call.resolved
    const { version, secrets, rights } = manifest
    const callId = this.#nextId()
    const { traceId: trace, traceparent } = traceContext({ traceparent: call.traceparent, trace: authority.trace, random })
    const epoch = call.epoch === undefined ? {} : { epoch: call.epoch }
    return {
      principal: functionPrincipal({ name, version, deployer, ...epoch }),
      scope: { name, version, alias, callId, trace, traceparent, deployer, budget: call.budget, depth: call.depth, secrets, rights, ...epoch },
      parts: {
        what: call.filter === undefined ? 'run' : 'filter', ...(call.filter === undefined ? {} : { trigger: call.filter }), payload: call.payload,
        call: {
          id: callId, name, alias, version, trace, traceparent, node: self.name,
          attempt: call.attempt, epoch: call.epoch ?? null, cause: call.cause, deadlineMs: Math.round(call.timeoutMs),
        },
      },
    }
  }

  /** The same error, its frames in the lines of the sources when the map can be had. */
  async #original(version: Hash, error: ErrorRecord): Promise<ErrorRecord> {
    const { originalStack, catalog } = this.#options
    if (originalStack === undefined) return error
    try {
      const map = await catalog.sourceMap(version)
      if (map === undefined) return error
      const mapped = (record: ErrorRecord): ErrorRecord => ({
        ...record, ...(record.stack === undefined ? {} : { stack: originalStack(record.stack, map) }), ...(record.cause === undefined ? {} : { cause: mapped(record.cause) }),
      })
      return mapped(error)
    } catch {
      // A map that cannot be read takes nothing from the error.
      return error
    }
  }
}

/** No stack: it would show this process's own files. */
export function plainRecord(error: unknown): ErrorRecord {
  const { stack: _stack, ...record } = toErrorRecord(error, FUNCTIONS.INTERNAL.code)
  return record
}

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'))
export function hex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += HEX[byte]
  return text
}

// Calls out of a sandbox, answered: the one place for chunks of maps (executor.ts) and for invocations (functions/invoke).
//
//   cell --HostCall--> answer --> a verb of an object   the gate (rmo)
//                             --> list:Kind             the fabric's objects of a kind
//                             --> run                   a d-verb inside a function (nested-run.ts)
//                             --> state.get, emit, ...  whoever registered it, on the account of the call's scope
//
// A cell is hostile: arguments are decoded with the hardened decoder or passed on as bytes, the element that it says it
// speaks for is looked up and never believed, and budgets, hops and rights are counted here.

import { FABRIC, LIMITS } from '../../fabric/base.ts'
import type { Clock, Hash } from '../../fabric/base.ts'
import { REFERENCE } from '../contract.ts'
import type { Authority, Capabilities, ConsoleLine, HostCall, RunLimits } from '../contract.ts'
import type { CallScope, SystemCall, SystemCalls } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { parseFunctionPrincipal } from '../principal.ts'
import { decodeValue, encodeValue } from '../value/mod.ts'
import { CallBudget } from './call-budget.ts'
import type { Grant, GrantKind } from './call-budget.ts'
import { runNested } from './nested-run.ts'
import type { OpenRun } from './nested-run.ts'

/** Who calls: the job, and what is left to it. */
export interface HostCaller {
  readonly authority: Authority
  /** On whose account an element calls; undefined: nobody's (a plain shipped function, or an element that there is not). */
  scope(element: number): CallScope | undefined
  remainingMs(): number
  /** Of the job: nothing that it starts gets more. */
  readonly limits: RunLimits
  /** Runs that it is inside of. */
  readonly depth: number
  /** Nested calls left to it; one for all elements of a job that share a scope. */
  budget(element: number): CallBudget
  /** The job's own programs by hash: the only ones that it may run elsewhere. */
  program(hash: Hash): Uint8Array | undefined
  /** The program that calls, by hash: what an audit names. */
  readonly code?: Hash
  /** Lines of what it starts. */
  console(line: ConsoleLine): void
}

export interface HostCalls extends SystemCalls {
  /** Value-codec bytes for the cell. A rejection reaches the sandboxed caller as its error record. */
  answer(call: HostCall, caller: HostCaller, signal: AbortSignal): Promise<Uint8Array>
}

export interface HostCallsOptions {
  readonly capabilities: Pick<Capabilities, 'resolve' | 'invokeEncoded'>
  readonly clock: Clock
  readonly openRun: OpenRun
}

/** System calls that make a function run, and whether the caller waits for it. */
const STARTS: ReadonlyMap<string, GrantKind> = new Map([['fn.invoke', 'lend'], ['fn.enqueue', 'give'], ['emit', 'give']])
const VERB_CHARS_MAX = 80

export function createHostCalls(options: HostCallsOptions): HostCalls {
  const { capabilities, clock, openRun } = options
  const system = new Map<string, SystemCall>()

  const deeper = (caller: HostCaller, verb: string, signal: AbortSignal): Authority => {
    const { principal, trace, hop } = caller.authority
    if (hop >= LIMITS.hopsMax) throw FABRIC.TOO_MANY_HOPS({ method: verb, hop: hop + 1, hopsMax: LIMITS.hopsMax })
    return { principal, trace, hop: hop + 1, signal, remainingMs: () => caller.remainingMs() }
  }
  const spend = async (caller: HostCaller, element: number, kind: GrantKind, name: string, signal: AbortSignal): Promise<Grant> => {
    const grant = await caller.budget(element).take(kind, signal)
    if (grant === undefined) throw FUNCTIONS.FUNCTION_BUDGET({ name })
    return grant
  }

  async function list(kind: string, authority: Authority): Promise<Uint8Array> {
    const found = await capabilities.resolve(kind, authority)
    return encodeValue(found.map((reference) => ({ [REFERENCE]: reference })))
  }

  async function nested(call: HostCall, caller: HostCaller, signal: AbortSignal): Promise<Uint8Array> {
    const scope = caller.scope(call.element)
    // A deployed function's own account is never left behind, or its rights to act would be nobody's.
    if (scope === undefined && parseFunctionPrincipal(caller.authority.principal) !== undefined) throw FUNCTIONS.CALL_UNSCOPED({ verb: 'a d-verb' })
    const authority = deeper(caller, 'a d-verb', signal)
    const grant = await spend(caller, call.element, 'lend', 'a d-verb', signal)
    let used: number | undefined
    try {
      const done = await runNested({ args: call.args, element: call.element, caller, scope, authority, share: grant.share, capabilities, clock, openRun })
      used = done.used
      return done.answer
    } finally {
      grant.settle(used)
    }
  }

  async function systemCall(handler: SystemCall, call: HostCall, caller: HostCaller, signal: AbortSignal): Promise<Uint8Array> {
    const scope = caller.scope(call.element)
    if (scope === undefined) throw FUNCTIONS.CALL_UNSCOPED({ verb: call.verb })
    const args = decodeValue(call.args, { profile: 'args' })
    if (!Array.isArray(args)) throw FUNCTIONS.BAD_MESSAGE({ what: `arguments of ${call.verb}` })
    const starts = STARTS.get(call.verb)
    if (starts === undefined) {
      const { principal, trace, hop } = caller.authority
      return encodeValue(await handler(args, scope, { principal, trace, hop: hop + 1, signal, remainingMs: () => caller.remainingMs() }, () => {}))
    }
    const authority = deeper(caller, call.verb, signal)
    const grant = await spend(caller, call.element, starts, starts === 'lend' && typeof args[0] === 'string' ? args[0].slice(0, VERB_CHARS_MAX) : call.verb, signal)
    try {
      return encodeValue(await handler(args, { ...scope, budget: grant.share, depth: caller.depth }, authority, (calls) => grant.settle(calls)))
    } catch (error) {
      if ((error as { outcome?: string }).outcome === 'not-started') grant.settle(0)
      throw error
    } finally {
      grant.settle()
    }
  }

  return {
    register(verb, call) {
      if (system.has(verb)) throw FUNCTIONS.INTERNAL({ reason: `the system call ${verb} is registered twice` })
      system.set(verb, call)
    },

    async answer(call, caller, signal) {
      if (call.args.byteLength > LIMITS.hostCallBytesMax) throw FUNCTIONS.BAD_MESSAGE({ what: `host call arguments: ${call.args.byteLength} bytes, at most ${LIMITS.hostCallBytesMax}` })
      const { target, verb } = call
      if (target === undefined && verb === 'run') return nested(call, caller, signal)
      const handler = target === undefined ? system.get(verb) : undefined
      if (handler !== undefined) return systemCall(handler, call, caller, signal)
      const { principal, trace, hop } = caller.authority
      const authority: Authority = { principal, trace, hop: hop + 1, signal, ...(caller.code === undefined ? {} : { code: caller.code }), remainingMs: () => caller.remainingMs() }
      if (target !== undefined) return capabilities.invokeEncoded(target, verb, call.args, authority)
      const kind = /^list:(\w+)$/.exec(verb)?.[1]
      if (kind === undefined) throw FUNCTIONS.CALL_UNOFFERED({ verb: verb.slice(0, VERB_CHARS_MAX) })
      return list(kind, authority)
    },
  }
}

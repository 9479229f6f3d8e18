// Loading a plan into an isolate: each stage's program is compiled here, linked to its environment, and
// kept. An isolate holds exactly one plan, so one program never meets another's globals.

import type { StageVerb, Terminal } from '../../contract.ts'
import { globalEval, JSONParse } from './primordials.ts'
import { callBudget } from './host-calls.ts'
import { hasPackage, packageRequest } from './packages.ts'
import { decodeInitial, linkFunction, packagesOf } from './value.ts'
import type { Linkable } from '../../value/link.ts'

export type UserFunction = (...args: unknown[]) => unknown
export interface LoadedStage { readonly verb: StageVerb | 'annotate'; readonly fn: UserFunction }

export interface LoadedPlan {
  readonly stages: readonly LoadedStage[]
  /** The one function of a plan that is a single map: the fast path. Undefined for all else. */
  readonly single: UserFunction | undefined
  readonly terminal: Terminal['verb']
  readonly folds: boolean
  readonly operator: UserFunction
  readonly initial: () => unknown
  /** The answer of the predicate that ends some (true), find (true) or every (false). */
  readonly stopsAt: boolean | undefined
  readonly concurrency: number
  readonly resultBytes: number
  readonly hostCalls: number
  readonly consoleBytes: number
  /** Elements that have ended are told while others go on. */
  readonly early: boolean
}

interface FunctionText { readonly code: string; readonly environment: string; readonly name: string }
export interface PlanText {
  readonly stages: readonly (FunctionText & { readonly verb: StageVerb })[]
  readonly terminal: { readonly verb: Terminal['verb'] } & Partial<FunctionText>
  readonly concurrency: number
  readonly resultBytes: number
  readonly hostCalls: number
  readonly hostCallsInFlight: number
  readonly hostCallBytes: number
  readonly consoleBytes: number
  readonly early?: boolean
}

const identity: UserFunction = (value) => value

/** Frames read "kumoi:<name>@<hash>:line:column"; the caller tells them in the user's own lines (capture/frames.ts). */
function compile(text: string, name: string, code: string): Linkable {
  return globalEval(`(${text}\n)\n//# sourceURL=kumoi:${name.replace(/[^\w$.-]/g, '_') || 'function'}@${code.slice(0, 8)}`) as Linkable
}

/** Request of the first package that a program names and this isolate has not. */
export function missingPackage(codes: ReadonlyMap<string, string>): string | undefined {
  for (const code of codes.values()) {
    for (const { specifier, name, version } of packagesOf(code)) {
      const request = packageRequest(specifier, name, version)
      if (!hasPackage(request)) return request
    }
  }
  return undefined
}

/** Code is text and environments are bytes, by hash. */
export function loadPlan(json: string, codes: ReadonlyMap<string, string>, environments: ReadonlyMap<string, Uint8Array>, initial: Uint8Array | undefined): LoadedPlan {
  const text = JSONParse(json) as PlanText
  const link = ({ code, environment, name }: FunctionText): UserFunction =>
    linkFunction(code, codes.get(code) as string, environments.get(environment) ?? new Uint8Array(0), (source) => compile(source, name, code))
  const stages: LoadedStage[] = []
  for (const stage of text.stages) stages.push({ verb: stage.verb, fn: link(stage) })
  const { verb } = text.terminal
  const own = text.terminal.code === undefined ? undefined : link(text.terminal as FunctionText)
  const annotates = verb === 'group' || verb === 'some' || verb === 'every' || verb === 'find'
  if (annotates && own !== undefined) stages.push({ verb: 'annotate', fn: (value) => own(value) })
  callBudget.hostCalls = text.hostCalls
  callBudget.inFlight = text.hostCallsInFlight
  callBudget.argumentBytes = text.hostCallBytes
  const first = stages[0]
  return {
    stages, terminal: verb, folds: verb !== 'collect',
    single: stages.length === 0 ? identity : stages.length === 1 && first?.verb === 'map' ? first.fn : undefined,
    operator: own ?? identity,
    initial: () => (initial === undefined ? undefined : decodeInitial(initial)),
    stopsAt: verb === 'every' ? false : verb === 'some' || verb === 'find' ? true : undefined,
    concurrency: text.concurrency, resultBytes: text.resultBytes, hostCalls: text.hostCalls, consoleBytes: text.consoleBytes, early: text.early === true,
  }
}

// d-verbs inside the sandbox: what is done to a collection's elements elsewhere, by functions that may travel on. The kernel runs
// it (plan/nested-run.ts); one host call 'run', one answer with every element's outcome.
//
//   { source, items?, stages: [{ verb, code, environment, name }], terminal, options }
//     code         hash of the program that runs here: the kernel runs no other
//     environment  value bytes of the function as the linker makes it (value/link.ts): a Custom mark [Function, site, values], where
//                  `site` is the template in the bundle's table; what it captured of the context are Native marks (dc.log, ...)
//
// A function may travel when a bundle has marked it: [SHIPPED] = { program, site, values() }, put there by $kumoi.ship (bundle.ts).

import { COUNTERPART, REFERENCE, SHIPPED, type OutcomeStatus, type ReferenceRecord, type SourceSpec, type StageVerb, type Terminal } from '../../contract.ts'
import { encodeValue } from '../../value/codec.ts'
import type { Walk } from '../../value/flatten.ts'
import { CustomKind } from '../../value/node.ts'
import type { Shipped } from './bundle.ts'
import { SandboxError } from './error-capture.ts'
import { callBudget, errorFromRecord, hostCall, type AnsweredError } from './host-calls.ts'
import { MathMin, ObjectDefineProperty, ObjectGetOwnPropertyDescriptor, ObjectKeys, StringConstructor } from './primordials.ts'
import { decodeAnswer, encodeArguments } from './value.ts'

export type PlainSource = Exclude<SourceSpec, { type: 'items' }>
type AnyFunction = (...args: never[]) => unknown
interface FunctionText { readonly code: string; readonly environment: Uint8Array; readonly name: string }
interface StageText extends FunctionText { readonly verb: StageVerb }
export type TerminalText = { readonly verb: Terminal['verb']; readonly initial?: Uint8Array } & Partial<FunctionText>

/** As collection/contract.ts, without what has no meaning in here. */
export interface ShippingOptions { readonly timeoutMs?: number; readonly retries?: number; readonly concurrency?: number; readonly ordered?: boolean; readonly fresh?: boolean; readonly heapLimitMiB?: number; readonly cpuTimeMs?: number; readonly resultBytes?: number }

/** Elements, and what is done to them where they live. */
export interface Pipeline {
  /** Undefined: `load` gives the elements, which ride in the call. */
  readonly source: PlainSource | undefined
  readonly load: () => Promise<unknown[]>
  readonly stages: readonly StageText[]
  readonly options: ShippingOptions
  /** Whose call it is; -1 when that is not known. */
  readonly element: number
}

export interface Entry { readonly index: number; readonly value: unknown; readonly node: string; readonly nodeName: string }
export interface FailedEntry { readonly index: number; readonly status: OutcomeStatus; readonly error: Error; readonly mayHaveRun: boolean; readonly node: string | undefined; readonly nodeName: string | undefined }
export interface Answers { readonly entries: readonly Entry[]; readonly failed: readonly FailedEntry[] }

// ---------------------------------------------------------------- options

type OptionKind = 'positive' | 'natural' | 'boolean'
const OPTIONS: Readonly<Record<string, OptionKind>> = {
  timeoutMs: 'positive', retries: 'natural', concurrency: 'positive', ordered: 'boolean', fresh: 'boolean', heapLimitMiB: 'positive', cpuTimeMs: 'positive', resultBytes: 'positive',
}
const fits = (kind: OptionKind, value: unknown): boolean =>
  kind === 'boolean' ? typeof value === 'boolean' : typeof value === 'number' && value - value === 0 && (kind === 'positive' ? value > 0 : value >= 0 && value % 1 === 0)

export function mergeOptions(base: ShippingOptions, extra: ShippingOptions | undefined): ShippingOptions {
  if (extra === undefined) return base
  const names = ObjectKeys(extra)
  const merged: Record<string, unknown> = { ...base }
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string
    const value = (extra as Record<string, unknown>)[name]
    const kind = ObjectGetOwnPropertyDescriptor(OPTIONS, name)?.value as OptionKind | undefined
    if (kind === undefined) throw new SandboxError('FUNCTIONS_ERR_BAD_OPTION', `there is no option ${name} inside a function; use one of ${ObjectKeys(OPTIONS).join(', ')}`)
    if (value === undefined) continue
    if (!fits(kind, value)) throw new SandboxError('FUNCTIONS_ERR_BAD_OPTION', `option ${name} must be ${kind === 'boolean' ? 'true or false' : kind === 'natural' ? 'a whole number, 0 or more' : 'a positive number'}, got ${StringConstructor(value)}`)
    merged[name] = value
  }
  return merged
}

// ---------------------------------------------------------------- functions

const markOf = (value: object): Shipped | undefined => ObjectGetOwnPropertyDescriptor(value, SHIPPED)?.value as Shipped | undefined

const notShippable = (verb: string, name: string): SandboxError =>
  new SandboxError('FUNCTIONS_ERR_NOT_SHIPPABLE', `${verb} inside a function cannot ship ${name}: only functions written inside a deployed file travel on. Use the plain verb (map, filter, ...) there, or deploy the function`)

/** A function for a d-verb. Throws NOT_A_FUNCTION, NOT_SHIPPABLE, and what the codec refuses of its captured values. */
export function shippedFunction(verb: string, fn: unknown): FunctionText {
  if (typeof fn !== 'function') throw new SandboxError('FUNCTIONS_ERR_NOT_A_FUNCTION', `${verb} needs a function, got ${fn === null ? 'null' : typeof fn}`)
  const mark = markOf(fn)
  const name = (fn as AnyFunction).name === '' ? 'the function' : (fn as AnyFunction).name
  if (mark === undefined) throw notShippable(verb, name)
  const custom = (value: object, walk: Walk): readonly unknown[] | undefined => {
    const path = ObjectGetOwnPropertyDescriptor(value, COUNTERPART)?.value as readonly string[] | undefined
    if (path !== undefined) return [CustomKind.Native, walk.child([...path])]
    if (isCollection(value)) throw new SandboxError('FUNCTIONS_ERR_NOT_SHIPPABLE', `${verb} cannot ship ${name}: it captures a collection that something was done to; await it first and capture the array`)
    if (typeof value !== 'function') return undefined
    const inner = markOf(value)
    if (inner?.program !== mark.program) throw notShippable(verb, `${name}, which captures ${(value as AnyFunction).name === '' ? 'a function' : (value as AnyFunction).name}`)
    const values = inner.values()
    const bindings: unknown[] = []
    const captured = ObjectKeys(values)
    for (let i = 0; i < captured.length; i++) bindings[i] = walk.child(values[captured[i] as string], captured[i] as string)
    return [CustomKind.Function, inner.site, bindings]
  }
  return { code: mark.program, name: (fn as AnyFunction).name, environment: encodeValue(fn, { root: name, sizeBytesMax: callBudget.argumentBytes, custom }) }
}

let isCollection: (value: object) => boolean = () => false
/** collection.ts knows its own. */
export function useCollectionTest(test: typeof isCollection): void { isCollection = test }

// ---------------------------------------------------------------- running

/** Pieces that items are sent in: enough that several nodes get some, few enough that each is worth a message. */
const PIECES_MAX = 64

const referenceOf = (item: unknown): ReferenceRecord | undefined =>
  typeof item === 'object' && item !== null ? (item as { readonly [REFERENCE]?: ReferenceRecord })[REFERENCE] : undefined

interface SourceText { readonly source: unknown; readonly items?: readonly Uint8Array[]; readonly count: number | undefined }

function referencesText(records: readonly ReferenceRecord[]): SourceText {
  const references: unknown[] = []
  for (let i = 0; i < records.length; i++) {
    const { kind, uuid, home, name } = records[i] as ReferenceRecord
    references[i] = [kind, uuid, home, name]
  }
  return { source: { type: 'references', references }, count: records.length }
}

async function sourceText({ source, load }: Pipeline): Promise<SourceText> {
  if (source !== undefined) return source.type === 'references' ? referencesText(source.references) : { source, count: undefined }
  const items = await load()
  const records: ReferenceRecord[] = []
  for (let i = 0; i < items.length; i++) {
    const record = referenceOf(items[i])
    if (record === undefined || record.cold === true) break
    records[i] = record
  }
  if (items.length > 0 && records.length === items.length) return referencesText(records)
  const pieces: Uint8Array[] = []
  const each = Math.ceil(items.length / MathMin(PIECES_MAX, items.length))
  for (let from = 0; from < items.length; from += each) pieces[pieces.length] = encodeArguments(items.slice(from, from + each), callBudget.argumentBytes)
  return { source: { type: 'items' }, items: pieces, count: items.length }
}

type Told = readonly [from: number, count: number, node: string | null, nodeName: string | null, what: number | { readonly status: OutcomeStatus; readonly error: AnsweredError; readonly mayHaveRun: boolean }, values?: Uint8Array, counts?: Uint8Array]

/** Every outcome, in the order of the elements. */
export async function runPipeline(pipeline: Pipeline, terminal: TerminalText): Promise<Answers> {
  const { source, items, count } = await sourceText(pipeline)
  if (count === 0) return { entries: [], failed: [] }
  const { ordered: _ordered, ...options } = pipeline.options
  const request = { source, ...(items === undefined ? {} : { items }), stages: pipeline.stages, terminal, options }
  const told = await hostCall(undefined, 'run', [request], pipeline.element, 'guarded') as Told[]
  told.sort((a, b) => a[0] - b[0])
  const entries: Entry[] = []
  const failed: FailedEntry[] = []
  for (let i = 0; i < told.length; i++) {
    const [from, n, node, nodeName, what, bytes, counts] = told[i] as Told
    if (typeof what !== 'number') {
      const error = errorFromRecord(what.error)
      for (let k = 0; k < n; k++) failed[failed.length] = { index: from + k, status: what.status, error, mayHaveRun: what.mayHaveRun, node: node ?? undefined, nodeName: nodeName ?? undefined }
      continue
    }
    const values = decodeAnswer(bytes as Uint8Array, pipeline.element) as unknown[]
    let at = 0
    for (let k = 0; k < n; k++) {
      const outputs = counts === undefined ? (values.length === n ? 1 : k === 0 ? values.length : 0) : wordAt(counts, k)
      for (let o = 0; o < outputs; o++) entries[entries.length] = { index: from + k, value: values[at++], node: node ?? '', nodeName: nodeName ?? '' }
    }
  }
  return { entries, failed }
}

const wordAt = (counts: Uint8Array, i: number): number => (counts[i * 4] as number) | ((counts[i * 4 + 1] as number) << 8) | ((counts[i * 4 + 2] as number) << 16) | ((counts[i * 4 + 3] as number) << 24)

/** The one error of a map that failed, with every outcome, as collection/batch.ts: MapError. */
export function mapError({ entries, failed }: Answers): Error {
  const first = failed[0] as FailedEntry
  const error = new SandboxError('FUNCTIONS_ERR_MAP_FAILED', `${failed.length} of ${entries.length + failed.length} failed; first: ${first.nodeName ?? `element ${first.index}`}: ${first.error.message}`)
  ObjectDefineProperty(error, 'outcomes', { value: outcomesOf({ entries, failed }) })
  ObjectDefineProperty(error, 'cause', { value: first.error, configurable: true, writable: true })
  return error
}

/** One a value and one a failure, in the order of the elements; contract.ts: Outcome. */
export function outcomesOf({ entries, failed }: Answers): object[] {
  const outcomes: { readonly index: number }[] = []
  for (let i = 0; i < entries.length; i++) outcomes[i] = { ...entries[i] as Entry, status: 'value' } as Entry
  for (let i = 0; i < failed.length; i++) outcomes[outcomes.length] = { ...failed[i] as FailedEntry }
  return outcomes.sort((a, b) => a.index - b.index)
}

/** Values of a run that collects; throws the map's error. */
export async function collect(pipeline: Pipeline): Promise<unknown[]> {
  const answers = await runPipeline(pipeline, { verb: 'collect' })
  if (answers.failed.length > 0) throw mapError(answers)
  const values: unknown[] = []
  for (let i = 0; i < answers.entries.length; i++) values[i] = (answers.entries[i] as Entry).value
  return values
}

/** Partial results of a folding terminal, in order; throws the map's error when one that counts failed. */
export async function partials(pipeline: Pipeline, terminal: TerminalText): Promise<unknown[]> {
  const { entries, failed } = await runPipeline(pipeline, terminal)
  const { verb } = terminal
  let decidedAt = Infinity
  const values: unknown[] = []
  for (let i = 0; i < entries.length; i++) {
    const { index, value } = entries[i] as Entry
    values[i] = value
    // What lies behind a decided answer may have been run or not: its failures are no part of the answer.
    if (decidedAt === Infinity && (verb === 'find' || (verb === 'some' && value === true) || (verb === 'every' && value === false))) decidedAt = index
  }
  const counted: FailedEntry[] = []
  for (let i = 0; i < failed.length; i++) if ((failed[i] as FailedEntry).index < decidedAt) counted[counted.length] = failed[i] as FailedEntry
  if (counted.length > 0) throw mapError({ entries, failed: counted })
  return values
}


// Records of the two streams of a map: 'functions.run' (caller <-> relay) and 'functions.execute'
// (relay <-> target). Messages are arrays, tag first; user values are byte strings that nobody here
// decodes. Everything read is checked: a certified peer may still be broken.
//
//   functions.run      ->  blob hash bytes | items from count bytes | end (of the items)
//                      <-  need hashes | pull items chunks | total n | runs node name runs total | console node level text
//   functions.execute  ->  blob hash bytes | chunk id from count source | cancel id
//                      <-  ready cores | need hashes | done id runs ms decided [nested calls] | busy id | console level text [fields]

import { isHash, isNodeId, LIMITS } from '../../fabric/base.ts'
import type { ErrorRecord, Hash } from '../../fabric/base.ts'
import type { Failure, ReferenceRecord, ResultRun, RunLimits, SourceSpec, Stage, Terminal } from '../contract.ts'
import type { CallScope } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { parseFunctionPrincipal, VERSION_SHORT } from '../principal.ts'
import type { ChunkSource } from './chunk.ts'

export const RUN_METHOD = 'functions.run'
export const EXECUTE_METHOD = 'functions.execute'

/** Environments up to this ride with the open message: values change with every capture, asking for them would cost a round trip each. */
export const INLINE_ENVIRONMENT_BYTES_MAX = 4096

/** What is to be run, without the elements. */
export interface RunSpec {
  readonly stages: readonly Stage[]
  readonly terminal: Terminal
  readonly limits: RunLimits
  /** Small environments by hash. */
  readonly inline: Readonly<Record<Hash, Uint8Array>>
  /** Of a d-verb inside a function; left out: asked for from outside. */
  readonly nested?: Nesting | undefined
}
/** `budget`: nested calls that each element may cause. `scope`: on whose account, when that is a deployed function's. */
export interface Nesting { readonly depth: number; readonly budget: number; readonly scope: CallScope | undefined }
export interface RunRequest extends RunSpec { readonly source: SourceSpec; readonly retries: number | undefined }

export type Message = readonly unknown[]

function bad(what: string): never { throw FUNCTIONS.BAD_MESSAGE({ what }) }

export const record = (value: unknown, what: string): Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array) ? value as Record<string, unknown> : bad(what)
export const list = (value: unknown, what: string): readonly unknown[] => (Array.isArray(value) ? value : bad(what))
const string = (value: unknown, what: string): string => (typeof value === 'string' ? value : bad(what))
export const int = (value: unknown, what: string): number => (Number.isSafeInteger(value) ? value as number : bad(what))
export const count = (value: unknown, what: string): number => (Number.isSafeInteger(value) && (value as number) >= 0 ? value as number : bad(what))
export const finite = (value: unknown, what: string): number => (typeof value === 'number' && Number.isFinite(value) ? value : bad(what))
export const bytes = (value: unknown, what: string): Uint8Array => (value instanceof Uint8Array ? value : bad(what))
export const hash = (value: unknown, what: string): Hash => (isHash(value) ? value : bad(what))
export const hashes = (value: unknown, what: string): Hash[] => list(value, what).map((item) => hash(item, what))
export const text = string

/** Tag and fields of a message. */
export function message(body: unknown): { readonly tag: string; readonly fields: Message } {
  const fields = list(body, 'message')
  return { tag: string(fields[0], 'message tag'), fields }
}

const FUNCTION_TERMINALS = new Set(['reduce', 'fold', 'group', 'some', 'every', 'find'])
const PLAIN_TERMINALS = new Set(['collect', 'count', 'sum', 'min', 'max'])
const STAGE_VERBS = new Set(['map', 'filter', 'flatMap', 'forEach'])

function functionRef(value: unknown, what: string): { code: Hash; environment: Hash; name: string } {
  const r = record(value, what)
  return { code: hash(r['code'], `${what}.code`), environment: hash(r['environment'], `${what}.environment`), name: string(r['name'], `${what}.name`) }
}

function readStage(value: unknown): Stage {
  const verb = string(record(value, 'stage')['verb'], 'stage.verb')
  return STAGE_VERBS.has(verb) ? { verb: verb as Stage['verb'], ...functionRef(value, 'stage') } : bad('stage.verb')
}

function readTerminal(value: unknown): Terminal {
  const r = record(value, 'terminal')
  const verb = string(r['verb'], 'terminal.verb')
  if (PLAIN_TERMINALS.has(verb)) return { verb } as Terminal
  if (!FUNCTION_TERMINALS.has(verb)) bad('terminal.verb')
  const ref = functionRef(value, 'terminal')
  return (verb === 'fold' ? { verb, initial: bytes(r['initial'], 'terminal.initial'), ...ref } : { verb, ...ref }) as Terminal
}

function readLimits(value: unknown): RunLimits {
  const r = record(value, 'limits')
  // Never more than this node allows, whatever was asked.
  const n = (key: keyof RunLimits, most: number): number => { const v = finite(r[key], `limits.${key}`); return v > 0 ? Math.min(v, most) : bad(`limits.${key}`) }
  return {
    timeoutMs: n('timeoutMs', LIMITS.callTimeoutMsMax), heapLimitMiB: n('heapLimitMiB', LIMITS.cellResidentMiBMax), cpuTimeMs: n('cpuTimeMs', LIMITS.cpuTimeMsMax),
    resultBytes: n('resultBytes', LIMITS.resultBytesMax), hostCalls: n('hostCalls', LIMITS.hostCallsMax), concurrency: n('concurrency', Number.MAX_SAFE_INTEGER), fresh: r['fresh'] === true,
  }
}

const STAGES_MAX = 64

export function readSpec(body: unknown): RunSpec {
  const r = record(body, 'request')
  const stages = list(r['stages'], 'stages')
  if (stages.length > STAGES_MAX) bad('stages: too many')
  const inline: Record<Hash, Uint8Array> = Object.create(null) as Record<Hash, Uint8Array>
  for (const [key, value] of Object.entries(record(r['inline'], 'inline'))) inline[hash(key, 'inline hash')] = bytes(value, 'inline bytes')
  return { stages: stages.map(readStage), terminal: readTerminal(r['terminal']), limits: readLimits(r['limits']), inline }
}

/**
 * The nesting of a run on another node. Only members may tell it, and a scope must be that of the principal, which members
 * vouch for: what it says of rights is the function's word against itself, since the gate asks by name and version.
 */
export function readNesting(body: unknown, principal: string): Nesting | undefined {
  const given = record(body, 'request')['nested']
  if (given === undefined || given === null) return undefined
  const r = record(given, 'nested')
  const scope = r['scope'] === undefined || r['scope'] === null ? undefined : readScope(r['scope'], principal)
  return { depth: Math.min(count(r['depth'], 'nested.depth'), LIMITS.hopsMax), budget: Math.min(count(r['budget'], 'nested.budget'), LIMITS.callBudget), scope }
}

const texts = (value: unknown, what: string): string[] => list(value, what).map((item) => string(item, what))

function readScope(value: unknown, principal: string): CallScope {
  const r = record(value, 'scope')
  const of = parseFunctionPrincipal(principal)
  const epoch = r['epoch'] === undefined || r['epoch'] === null ? undefined : count(r['epoch'], 'scope.epoch')
  const scope: CallScope = {
    name: string(r['name'], 'scope.name'), version: hash(r['version'], 'scope.version'), alias: string(r['alias'], 'scope.alias'), callId: string(r['callId'], 'scope.callId'),
    trace: string(r['trace'], 'scope.trace'), deployer: string(r['deployer'], 'scope.deployer'), budget: Math.min(count(r['budget'], 'scope.budget'), LIMITS.callBudget),
    depth: Math.min(count(r['depth'], 'scope.depth'), LIMITS.hopsMax), secrets: texts(r['secrets'], 'scope.secrets'), rights: texts(r['rights'], 'scope.rights'),
    ...(epoch === undefined ? {} : { epoch }),
  }
  const same = of !== undefined && of.name === scope.name && of.version === scope.version.slice(0, VERSION_SHORT) && of.deployer === scope.deployer && of.epoch === scope.epoch
  return same ? scope : bad('a scope of another function than the one that calls')
}

/** Identity alone, as a list: ten thousand references are one control record. */
const writeReference = ({ kind, uuid, home, name }: ReferenceRecord): unknown[] => [kind, uuid, home, name]

export function readReference(value: unknown): ReferenceRecord {
  const r = Array.isArray(value) ? { kind: value[0] as unknown, uuid: value[1] as unknown, home: value[2] as unknown, name: value[3] as unknown, attributes: {} } : record(value, 'reference')
  const home = r['home']
  if (!isNodeId(home)) bad('reference.home')
  return { kind: string(r['kind'], 'reference.kind'), uuid: string(r['uuid'], 'reference.uuid'), home: home as string, name: string(r['name'], 'reference.name'), attributes: record(r['attributes'] ?? {}, 'reference.attributes') }
}

export const writeSpec = (source: SourceSpec): unknown => (source.type === 'references' ? { type: 'references', references: source.references.map(writeReference) } : source)

export function readSource(value: unknown): SourceSpec {
  const r = record(value, 'source')
  switch (r['type']) {
    case 'kind': return { type: 'kind', kind: string(r['kind'], 'source.kind') }
    case 'references': return { type: 'references', references: list(r['references'], 'source.references').map(readReference) }
    case 'range': {
      const [from, to, step] = [finite(r['from'], 'source.from'), finite(r['to'], 'source.to'), finite(r['step'], 'source.step') || bad('source.step')]
      count(rangeCount(from, to, step), 'source: more elements than can be counted')
      return { type: 'range', from, to, step }
    }
    case 'items': return { type: 'items' }
    default: return bad('source.type')
  }
}

export function readRequest(body: unknown): RunRequest {
  const r = record(body, 'request')
  return { ...readSpec(body), source: readSource(r['source']), retries: r['retries'] === undefined || r['retries'] === null ? undefined : count(r['retries'], 'retries') }
}

/** The chunk of a session that has just one: it rides with the open, and its answer is the call's result. */
export function readOnlyChunk(body: unknown): Message | undefined {
  const only = record(body, 'request')['only']
  return only === null || only === undefined ? undefined : message(only).fields
}

/** Elements of a range: from, from + step, ... below (or above, for a negative step) `to`. */
export function rangeCount(from: number, to: number, step: number): number {
  return Math.max(0, Math.ceil((to - from) / step))
}

export function writeRun(run: ResultRun): unknown[] {
  if ('failure' in run) return [run.from, run.count, { status: run.failure.status, error: run.failure.error, mayHaveRun: run.failure.mayHaveRun }]
  return run.counts === undefined ? [run.from, run.count, run.outputs, run.values] : [run.from, run.count, run.outputs, run.values, run.counts]
}

const FAILURES = new Set(['error', 'crash', 'out-of-memory', 'timeout', 'cancelled', 'unreachable'])

function readFailure(value: unknown): Failure {
  const r = record(value, 'failure')
  const status = string(r['status'], 'failure.status')
  if (!FAILURES.has(status)) bad('failure.status')
  const error = record(r['error'], 'failure.error')
  return {
    status: status as Failure['status'],
    error: { ...error, code: string(error['code'], 'failure.error.code'), message: string(error['message'], 'failure.error.message') } as ErrorRecord,
    mayHaveRun: r['mayHaveRun'] === true,
  }
}

export function readRun(value: unknown): ResultRun {
  const fields = list(value, 'run')
  const from = count(fields[0], 'run.from')
  const n = count(fields[1], 'run.count')
  if (typeof fields[2] !== 'number') return { from, count: n, failure: readFailure(fields[2]) }
  const outputs = count(fields[2], 'run.outputs')
  const values = bytes(fields[3], 'run.values')
  if (fields[4] === undefined || fields[4] === null) return { from, count: n, outputs, values }
  const counts = bytes(fields[4], 'run.counts')
  if (counts.byteLength !== n * 4) bad('run.counts')
  return { from, count: n, outputs, values, counts }
}
export const readRuns = (value: unknown): ResultRun[] => list(value, 'runs').map(readRun)

export function writeSource(source: ChunkSource): unknown[] {
  switch (source.type) {
    case 'range': return ['range', source.start, source.step]
    case 'items': return ['items', source.bytes]
    // Without attributes: the target takes them from the objects themselves.
    case 'references': return ['references', source.references.map(writeReference)]
  }
}

export function readChunkSource(value: unknown): ChunkSource {
  const fields = list(value, 'chunk source')
  switch (fields[0]) {
    case 'range': return { type: 'range', start: finite(fields[1], 'range start'), step: finite(fields[2], 'range step') }
    case 'items': return { type: 'items', bytes: bytes(fields[1], 'items') }
    case 'references': return { type: 'references', references: list(fields[1], 'references').map(readReference) }
    default: return bad('chunk source')
  }
}

/** Fields of a structured line of the console, told as JSON. */
export function readFields(value: unknown): { readonly fields?: Readonly<Record<string, unknown>> } {
  if (value === undefined || value === null) return {}
  try {
    return { fields: record(JSON.parse(string(value, 'fields')), 'fields') }
  } catch {
    return bad('fields of a console line')
  }
}

/** Hashes of everything a spec needs besides what it carries. */
export function blobsOf(spec: RunSpec): Hash[] {
  const needed = new Set<Hash>()
  const add = (ref: { readonly code: Hash; readonly environment: Hash }): void => {
    needed.add(ref.code)
    if (spec.inline[ref.environment] === undefined) needed.add(ref.environment)
  }
  for (const stage of spec.stages) add(stage)
  if ('code' in spec.terminal) add(spec.terminal)
  return [...needed]
}

// capture(fn): a closure as two content-addressed records, code and environment. Synchronous; values are
// read anew at every call, so a changed `let` or a live import is seen. First step of every call (caller's
// side); link.ts is its inverse at the target.
//
//   toString -> analysis (free names) -> V8 inspector (their values) -> graph (templates + environment) -> hashes
//
// The same source with other values has the same code hash; the same closure captured twice, in two
// processes, gives identical bytes.

import { hash } from 'node:crypto'
import { CodedError, LIMITS } from '../../fabric/base.ts'
import type { Captured, CapturedName, Environment, Manifest, PackageImport, Program } from '../contract.ts'
import { FUNCTIONS } from '../errors.ts'
import { encodeValue } from '../value/codec.ts'
import { sourceOf } from './describe.ts'
import { ClosureGraph } from './graph.ts'
import { locationOf } from './inspect.ts'

type AnyFunction = ((...args: never[]) => unknown) & { readonly prototype?: object }

export interface CaptureOptions {
  /** Global names that are captured variables: what a REPL or one-liner put on globalThis (`pms`, `range`). */
  readonly globals?: Readonly<Record<string, unknown>>
  /** Global names that the target's sandbox has beyond SANDBOX_GLOBALS. */
  readonly sandboxGlobals?: Iterable<string>
}

const utf8 = new TextEncoder()
const EMPTY = new Uint8Array(0)
const sha256 = (bytes: Uint8Array): string => hash('sha256', bytes, 'hex')
const EMPTY_ENVIRONMENT: Environment = { hash: sha256(EMPTY), bytes: EMPTY }

/** Functions without free names and properties: nothing about them can change. */
const constant = new WeakMap<object, Captured>()
const BIGGEST_SHOWN = 3

/** Throws FUNCTIONS_ERR_CAPTURE_* with the path, file:line and a way out. */
export function capture(fn: AnyFunction, options: CaptureOptions = {}): Captured {
  if (typeof fn !== 'function') throw FUNCTIONS.CAPTURE_NOT_A_FUNCTION({ got: fn === null ? 'null' : typeof fn })
  const known = constant.get(fn)
  if (known !== undefined && isBare(fn)) return known
  const graph = new ClosureGraph({
    root: fn.name === '' || fn.name === undefined ? 'fn' : String(fn.name), globals: options.globals ?? {}, sandboxGlobals: new Set(options.sandboxGlobals ?? []),
  })
  const bytes = encodeGraph(fn, graph)
  const program = makeProgram(graph)
  const { codeBytesMax } = LIMITS
  if (program.code.length > codeBytesMax) throw FUNCTIONS.CAPTURE_CODE_TOO_LARGE({ ...graph.trail.at([]), bytes: program.code.length, bytesMax: codeBytesMax })
  const { bare } = graph
  const environment = bare ? EMPTY_ENVIRONMENT : { hash: sha256(bytes), bytes }
  const captured = { program, environment, manifest: manifestOf(fn, program, environment, graph), origins: graph }
  if (bare) constant.set(fn, captured)
  return captured
}

/** What would travel; nothing is sent. Asks the engine for the location, which costs tens of milliseconds the first time. */
export function explain(fn: AnyFunction, options: CaptureOptions = {}): Manifest {
  return { ...capture(fn, options).manifest, location: locationOf(fn)?.text }
}

/** Without own properties, on itself or its prototype, that would have to travel. */
const isBare = (fn: AnyFunction): boolean =>
  Object.keys(fn).length === 0 && (typeof fn.prototype !== 'object' || fn.prototype === null || Object.keys(fn.prototype).length === 0)

function encodeGraph(fn: AnyFunction, graph: ClosureGraph): Uint8Array {
  try {
    return encodeValue(fn, graph.hooks())
  } catch (error) {
    if (!(error instanceof CodedError)) throw error
    throw graph.trail.insideNode(graph.keys, error) ?? inCaptureTerms(error, graph)
  }
}

/** The value codec's refusals, told with the function's name, place and biggest captures. */
function inCaptureTerms(error: CodedError, graph: ClosureGraph): CodedError {
  const { path, what, hint, bytes } = error.details as { path?: string; what?: string; hint?: string; bytes?: number }
  const at = { path: path ?? graph.trail.root, where: graph.trail.at([]).where }
  switch (error.code) {
    case FUNCTIONS.VALUE_TOO_LARGE.code: {
      const biggest = [...graph.captured, { path: at.path, bytes: bytes ?? 0 }].toSorted((a, b) => b.bytes - a.bytes).slice(0, BIGGEST_SHOWN)
      return FUNCTIONS.CAPTURE_TOO_LARGE({ ...at, path: graph.trail.root, bytes: bytes ?? 0, bytesMax: LIMITS.environmentBytesMax, biggest: biggest.map((name) => `${name.path} (${name.bytes} bytes)`).join(', ') })
    }
    case FUNCTIONS.VALUE_TOO_DEEP.code: return FUNCTIONS.CAPTURE_TOO_DEEP({ ...at, depthMax: LIMITS.valueDepthMax })
    case FUNCTIONS.VALUE_UNSUPPORTED.code:
      if (what?.startsWith('an unregistered symbol') === true) return FUNCTIONS.CAPTURE_SYMBOL(at)
      return FUNCTIONS.CAPTURE_OPAQUE({ ...at, what: what ?? 'a value', hint: hint ?? '' })
    default: return error
  }
}

function makeProgram(graph: ClosureGraph): Program {
  const packages = graph.packages.map(({ specifier, name, version }) => [specifier, name, version])
  const header = packages.length === 0 ? '' : `/*packages ${JSON.stringify(packages)}*/`
  const code = utf8.encode(`${header}(environment,runtime)=>runtime.link(environment,[\n${graph.templates.join(',\n')}\n],${JSON.stringify(packages)})`)
  return { hash: sha256(code), code }
}

function manifestOf(fn: AnyFunction, program: Program, environment: Environment, graph: ClosureGraph): Manifest {
  const captured: readonly CapturedName[] = graph.captured
  const packages: readonly PackageImport[] = graph.packages
  return {
    name: sourceOf(fn as never).name, location: undefined,
    codeHash: program.hash, codeBytes: program.code.length, environmentHash: environment.hash, environmentBytes: environment.bytes.length,
    captured, packages, capabilities: [...graph.capabilities].sort(),
  }
}

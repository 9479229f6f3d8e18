// Asks V8, through its inspector, what JavaScript cannot see: the scopes of a function, the target of a
// bound function, private fields, and where a function was written. All synchronous, in this thread.
//
// One function = four posts (spike, section A): park it under a registered symbol on globalThis, get an
// object id, read its internal properties, have the real scope list handed back, release the group. Values
// never pass through the protocol. Each scope object is a snapshot: ask again at every capture.
// Debugger.enable costs 40-300 ms the first time, so file names are only asked for errors and for functions
// that come from another script than the one being captured.

import { Session } from 'node:inspector'
import { fileURLToPath } from 'node:url'
import { FUNCTIONS } from '../errors.ts'

export interface ScopeEntry {
  /** "Closure (make)", "Block", "Module", "Script", "Global", ... */
  readonly description: string
  /** Live values by name; a variable that is not initialised throws when read. */
  readonly object: Record<string, unknown>
}

export interface FunctionInsides {
  /** Innermost first; empty for native and bound functions. */
  readonly scopes: readonly ScopeEntry[]
  readonly scriptId: string | undefined
  /** Zero-based. */
  readonly line: number
  readonly bound: { readonly target: unknown; readonly self: unknown; readonly args: readonly unknown[] } | undefined
}

export interface PrivateField { readonly name: string; readonly value: unknown }

interface RemoteObject { readonly objectId?: string; readonly value?: unknown; readonly unserializableValue?: string; readonly type?: string }
interface InternalProperty { readonly name: string; readonly value?: RemoteObject }
interface PropertyList {
  readonly internalProperties?: readonly InternalProperty[]
  readonly privateProperties?: readonly { readonly name: string; readonly value?: RemoteObject }[]
}

const SLOT = Symbol.for('kumoi.capture.slot')
const SLOT_TEXT = 'globalThis[Symbol.for("kumoi.capture.slot")]'
const GROUP = 'kumoi'

/** What parked values look like from both sides. */
interface Slot { subject: unknown; readonly taken: unknown[] }

let session: Session | undefined
const urls = new Map<string, string>()

function post<T>(method: string, parameters: object = {}): T {
  let answer: T | undefined
  let failure: Error | null = null
  session?.post(method, parameters, (error, result) => { failure = error; answer = result as T })
  if (failure !== null || answer === undefined) throw FUNCTIONS.CAPTURE_INSPECTOR({ why: (failure as { message?: string } | null)?.message ?? `${method} was not answered` })
  return answer
}

function connect(): void {
  if (session !== undefined) return
  try {
    const opened = new Session()
    opened.connect()
    opened.on('Debugger.scriptParsed', ({ params }) => { urls.set(params.scriptId, params.url) })
    session = opened
  } catch (error) {
    throw FUNCTIONS.CAPTURE_INSPECTOR({ why: error instanceof Error ? error.message : String(error) }, { cause: error })
  }
}

/** Runs `ask` with the subject parked and its properties read; always releases what the inspector held. */
function examine<T>(subject: unknown, ask: (properties: PropertyList, take: (remote: RemoteObject | undefined) => unknown) => T): T {
  connect()
  const slot: Slot = { subject, taken: [] }
  Object.defineProperty(globalThis, SLOT, { value: slot, configurable: true, enumerable: false })
  try {
    const { result } = post<{ result: RemoteObject }>('Runtime.evaluate', { expression: `${SLOT_TEXT}.subject`, objectGroup: GROUP, silent: true })
    const properties = post<PropertyList>('Runtime.getProperties', { objectId: result.objectId, ownProperties: true })
    const take = (remote: RemoteObject | undefined): unknown => {
      if (remote?.objectId === undefined) return primitive(remote)
      post('Runtime.callFunctionOn', { objectId: remote.objectId, functionDeclaration: `function(){${SLOT_TEXT}.taken.push(this)}`, silent: true })
      return slot.taken.pop()
    }
    return ask(properties, take)
  } finally {
    Reflect.deleteProperty(globalThis, SLOT)
    post('Runtime.releaseObjectGroup', { objectGroup: GROUP })
  }
}

// Internal lists (scopes, bound arguments) have no prototype: array-like, not iterable.

/** A value that came by protocol and not by reference: only primitives do. */
function primitive(remote: RemoteObject | undefined): unknown {
  const text = remote?.unserializableValue
  if (text === undefined) return remote?.value
  return text.endsWith('n') ? BigInt(text.slice(0, -1)) : Number(text)
}

const internal = (properties: PropertyList, name: string): RemoteObject | undefined =>
  properties.internalProperties?.find((property) => property.name === name)?.value

export function insidesOf(fn: unknown): FunctionInsides {
  return examine(fn, (properties, take) => {
    const location = internal(properties, '[[FunctionLocation]]')?.value as { scriptId: string; lineNumber: number } | undefined
    const target = internal(properties, '[[TargetFunction]]')
    const scopes = internal(properties, '[[Scopes]]')
    return {
      scopes: scopes?.objectId === undefined ? [] : Array.from(take(scopes) as ArrayLike<ScopeEntry>),
      scriptId: location?.scriptId,
      line: location?.lineNumber ?? 0,
      bound: target === undefined ? undefined
        : { target: take(target), self: take(internal(properties, '[[BoundThis]]')), args: Array.from(take(internal(properties, '[[BoundArgs]]')) as ArrayLike<unknown>) },
    }
  })
}

/** Private fields in order of definition, base class first; accessors and methods left out. */
export function privateFieldsOf(subject: object): readonly PrivateField[] {
  return examine(subject, (properties, take) =>
    (properties.privateProperties ?? []).flatMap(({ name, value }) => (value === undefined ? [] : [{ name, value: take(value) }])))
}

/** URL of a script; undefined for text that has none (eval, REPL). */
export function scriptUrl(scriptId: string | undefined): string | undefined {
  if (scriptId === undefined) return undefined
  if (!urls.has(scriptId)) {
    connect()
    post('Debugger.enable', { maxScriptsCacheSize: 0 })
    post('Debugger.disable')
    if (!urls.has(scriptId)) urls.set(scriptId, '')
  }
  return urls.get(scriptId) || undefined
}

/** "file:line" of a function for people; undefined when the engine does not know. */
export function locationOf(fn: unknown): { readonly text: string; readonly file: string; readonly line: number; readonly url: string } | undefined {
  try {
    const { scriptId, line } = insidesOf(fn)
    const url = scriptUrl(scriptId)
    if (url === undefined) return undefined
    const file = url.startsWith('file:') ? fileURLToPath(url) : url
    return { text: `${file}:${line + 1}`, file, line: line + 1, url }
  } catch {
    // An error message without a location is better than an error about the location.
    return undefined
  }
}

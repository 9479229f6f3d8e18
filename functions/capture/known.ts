// Values known by identity: language intrinsics (carried as a path such as Math.sqrt), Node's own modules
// (refused by name, destructured members included), and which global names the sandbox has.
//
// Node's modules are only those the process has loaded already: whoever holds `readFile` has loaded node:fs.
// Getters are never run: some of Node's print deprecation warnings.

import { builtinModules } from 'node:module'
import { COUNTERPART } from '../contract.ts'

/** Globals that shipped code may use: the language, less what the sandbox takes away, plus what its prelude gives. */
export const SANDBOX_GLOBALS: ReadonlySet<string> = new Set([
  'globalThis', 'undefined', 'NaN', 'Infinity', 'isNaN', 'isFinite', 'parseInt', 'parseFloat',
  'encodeURI', 'encodeURIComponent', 'decodeURI', 'decodeURIComponent', 'escape', 'unescape',
  'Object', 'Function', 'Array', 'String', 'Number', 'Boolean', 'BigInt', 'Symbol', 'Date', 'RegExp', 'Promise', 'Proxy', 'Reflect',
  'Map', 'Set', 'WeakMap', 'WeakSet', 'WeakRef', 'FinalizationRegistry', 'Math', 'JSON', 'Intl', 'Iterator',
  'Error', 'TypeError', 'RangeError', 'SyntaxError', 'ReferenceError', 'EvalError', 'URIError', 'AggregateError', 'SuppressedError',
  'DisposableStack', 'AsyncDisposableStack',
  'ArrayBuffer', 'DataView', 'Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array',
  'Float16Array', 'Float32Array', 'Float64Array', 'BigInt64Array', 'BigUint64Array',
  'console', 'setTimeout', 'clearTimeout', 'queueMicrotask', 'structuredClone', 'TextEncoder', 'TextDecoder',
])

const STARTUP_GLOBALS: ReadonlySet<string> = new Set(Object.getOwnPropertyNames(globalThis))

/** Whether a global name was added by the program (REPL variables, `globalThis.x = ...`). */
export const isOwnGlobal = (name: string, holder: object): boolean => Object.hasOwn(holder, name) && !STARTUP_GLOBALS.has(name) && !SANDBOX_GLOBALS.has(name)

const isHolder = (value: unknown): value is object => (typeof value === 'object' && value !== null) || typeof value === 'function'

/** Own data properties that hold objects or functions; no getter is run. */
function* members(holder: object): Generator<readonly [string, object]> {
  for (const key of Object.getOwnPropertyNames(holder)) {
    const value = Object.getOwnPropertyDescriptor(holder, key)?.value as unknown
    if (isHolder(value)) yield [key, value]
  }
}

/** Paths by realm: a REPL or vm context has Math, Array and the rest of its own. */
const intrinsics = new WeakMap<object, Map<unknown, readonly string[]>>()

function intrinsicPaths(realm: object): Map<unknown, readonly string[]> {
  const paths = new Map<unknown, readonly string[]>()
  const add = (value: unknown, path: readonly string[]): boolean => {
    if (!isHolder(value) || paths.has(value)) return false
    paths.set(value, path)
    return true
  }
  const roots = [...SANDBOX_GLOBALS].filter((name) => name !== 'globalThis')
  for (const name of roots) add((realm as Record<string, unknown>)[name], [name])
  for (const name of roots) {
    const root = (realm as Record<string, unknown>)[name]
    if (!isHolder(root)) continue
    for (const [key, value] of members(root)) {
      if (add(value, [name, key]) && key === 'prototype') for (const [method, code] of members(value)) add(code, [name, key, method])
    }
  }
  paths.set(realm, [])
  return paths
}

/** Path from globalThis of a language intrinsic, the same at every target; undefined when it is none. */
export function intrinsicPath(value: unknown): readonly string[] | undefined {
  return pathIn(globalThis, value)
}

/** Path from the target's globalThis of what is there already: an intrinsic, or the counterpart that a function names. */
export const targetPath = (value: object): readonly string[] | undefined =>
  Object.getOwnPropertyDescriptor(value, COUNTERPART)?.value as readonly string[] | undefined ?? intrinsicPath(value)

function pathIn(realm: object, value: unknown): readonly string[] | undefined {
  let paths = intrinsics.get(realm)
  if (paths === undefined) intrinsics.set(realm, paths = intrinsicPaths(realm))
  return paths.get(value)
}

/** The same for a native function of another realm, found through that realm's Function constructor. */
export function foreignIntrinsicPath(fn: object): readonly string[] | undefined {
  try {
    const make = (fn as { constructor: unknown }).constructor as (text: string) => () => object
    const realm = make('return globalThis')()
    return realm === globalThis ? undefined : pathIn(realm, fn)
  } catch {
    // A realm that forbids code generation: its natives cannot be named.
    return undefined
  }
}

let builtins = new Map<unknown, string>()
let builtinsCount = -1

type ModuleList = { readonly moduleLoadList?: readonly string[] }

/** Name such as "node:fs.readFile" of a module of Node, a member of one, or one of its classes' instances' class. */
export function builtinName(value: unknown): string | undefined {
  const loaded = (process as unknown as ModuleList).moduleLoadList ?? []
  if (loaded.length !== builtinsCount) {
    builtins = new Map()
    builtinsCount = loaded.length
    const names = new Set(loaded.filter((entry) => entry.startsWith('NativeModule ')).map((entry) => entry.slice(13)))
    for (const name of builtinModules) if (names.has(name) && !name.startsWith('_')) addBuiltin(name)
  }
  return builtins.get(value)
}

function addBuiltin(name: string): void {
  const root = process.getBuiltinModule(name) as unknown
  if (!isHolder(root)) return
  const add = (value: object, path: string): void => {
    if (!builtins.has(value) && intrinsicPath(value) === undefined) builtins.set(value, path)
  }
  add(root, `node:${name}`)
  for (const [key, value] of members(root)) {
    add(value, `node:${name}.${key}`)
    if (typeof value !== 'object') continue
    for (const [inner, code] of members(value)) if (typeof code === 'function') add(code, `node:${name}.${key}.${inner}`)
  }
}

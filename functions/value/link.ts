// The linker: program text + environment bytes -> a live function, at the target.
//
//   text   (environment, runtime) => runtime.link(environment, [template, ...], [package, ...])
//   or     (environment, runtime) => runtime.bundle(environment, evaluate)   a deployed bundle; its sites are the templates
//   value  the environment decodes to the entry function; every captured function in it is a Custom mark
//          [Function, template, bindings, own, prototype, statics, parent] that links a template to its values
//
// Order matters only for classes: the superclass and computed keys (the first `eager` bindings) must exist
// when the class is made; everything else is bound after all objects exist, so recursion and cycles close.
//
// Private state (#x) is put back with the class's help: capture adds to each class text a last private
// field that calls `cell.done` and a static block that sets `cell.write`. Constructing with `done` set
// stamps the private names on an object and leaves the constructor before any user code runs:
//
//   base class     Reflect.construct -> fields -> done(this) throws STOP; `this` is the object
//   derived class  prototype swapped for one whose construct returns the object; super() -> fields -> STOP
//
// Pure: used in isolates (compile handed in by the host) and in tests. Source: functions.md, lesson 1.

import { errorCode } from '../../fabric/base.ts'
import type { PackageImport } from '../contract.ts'
import { FUNCTIONS } from '../errors.ts'
import { decodeValue } from './codec.ts'
import type { DecodeHooks, Revival } from './revive.ts'
import { CustomKind } from './node.ts'

export type AnyFunction = (...args: unknown[]) => unknown
type Constructor = new (...args: unknown[]) => object

/** One template's link to its values; template code reads and writes these members by name. */
interface Cell {
  /** Gives the captured variables their values; may be called again. */
  set?: (values: readonly unknown[]) => void
  /** While set, construction stamps private names and stops. */
  done?: ((object: object) => never) | undefined
  write?: (object: object, values: readonly unknown[]) => void
  /** Number of private instance fields of the class. */
  size?: number
  writeStatic?: (values: readonly unknown[]) => void
}

/** [number of eager bindings, code]. */
export type Template = readonly [number, (cell: Cell) => () => AnyFunction]

/** A deployed bundle, evaluated: functions/bundle/sites.ts writes it. */
export interface Evaluated { readonly definition: unknown; readonly sites: readonly Template[] }
export type Evaluate = (kumoi: object) => Evaluated

export interface Runtime {
  link(environment: Uint8Array, templates: readonly Template[], packages: readonly (readonly [string, string, string])[]): AnyFunction
  /** A program that is a deployed bundle: its entry, or, given an environment, a function written inside it. */
  bundle(environment: Uint8Array, evaluate: Evaluate): AnyFunction
}

/** A compiled program. */
export type Linkable = (environment: Uint8Array, runtime: Runtime) => AnyFunction

export interface LinkHooks extends Pick<DecodeHooks, 'reference' | 'collection'> {
  /** Text to function; default indirect eval. A sandbox compiles with its own cache and file name. */
  readonly compile?: (text: string) => Linkable
  /** Namespace of the target's own copy of a package. */
  readonly package?: (specifier: string, name: string, version: string) => unknown
  /** Evaluates a bundle, once; its entry is `entry`. Absent: deployed bundles do not run here. */
  readonly bundle?: (evaluate: Evaluate) => Evaluated & { readonly entry: AnyFunction }
}

const PACKAGES = /^\/\*packages (.*)\*\//

/** Packages that a program needs at the target, read from its first line without running it. */
export function programPackages(text: string): readonly PackageImport[] {
  const match = PACKAGES.exec(text)
  if (match === null) return []
  return (JSON.parse(match[1] ?? '[]') as [string, string, string][]).map(([specifier, name, version]) => ({ specifier, name, version }))
}

/** The captured function, live. Throws VALUE_MALFORMED or PROGRAM_BROKEN. */
export function linkProgram(text: string, environment: Uint8Array, hooks: LinkHooks = {}): AnyFunction {
  const compile = hooks.compile ?? ((source: string) => (0, eval)(source) as Linkable)
  try {
    return compile(text)(environment, {
      link: (bytes, templates, packages) => new Linker(hooks, templates, packages).run(bytes),
      bundle(bytes, evaluate) {
        const { entry, sites } = hooks.bundle?.(evaluate) ?? broken('deployed bundles do not run here')
        return bytes.length === 0 ? entry : new Linker(hooks, sites, []).run(bytes)
      },
    })
  } catch (error) {
    if (errorCode(error)?.startsWith('FUNCTIONS_ERR_') === true) throw error
    throw FUNCTIONS.PROGRAM_BROKEN({ why: error instanceof Error ? error.message : String(error) }, { cause: error })
  }
}

const broken = (why: string): never => { throw FUNCTIONS.PROGRAM_BROKEN({ why }) }
const listOf = (part: unknown): readonly unknown[] => (part === undefined || part === null ? [] : Array.isArray(part) ? part : broken('a list expected'))
const STOP = Symbol('stop')

class Linker {
  readonly #hooks: LinkHooks
  readonly #templates: readonly Template[]
  readonly #packages: readonly (readonly [string, string, string])[]
  /** Cells of functions made here: how an instance finds the private state of its classes. */
  readonly #cells = new Map<unknown, Cell>()

  constructor(hooks: LinkHooks, templates: readonly Template[], packages: readonly (readonly [string, string, string])[]) {
    this.#hooks = hooks
    this.#templates = templates
    this.#packages = packages
  }

  run(bytes: Uint8Array): AnyFunction {
    const { reference, collection } = this.#hooks
    const value = bytes.length === 0 ? this.#bare() : decodeValue(bytes, {
      ...(reference === undefined ? {} : { reference }), ...(collection === undefined ? {} : { collection }),
      custom: (kind, parts, revival) => this.#custom(kind, parts, revival),
    })
    return typeof value === 'function' ? value as AnyFunction : broken('the environment holds no function')
  }

  #bare(): AnyFunction {
    const template = this.#templates[0]
    return template === undefined ? broken('no code') : template[1]({})()
  }

  #custom(kind: number, parts: readonly unknown[], revival: Revival): object {
    switch (kind) {
      case CustomKind.Function: return this.#function(parts, revival)
      case CustomKind.Instance: return this.#instance(parts, revival)
      case CustomKind.Package: return this.#package(parts)
      case CustomKind.Native: return walk(globalThis, listOf(parts[0]))
      case CustomKind.Bound: return this.#bound(parts, revival)
      default: return broken(`node kind ${kind}`)
    }
  }

  #function(parts: readonly unknown[], revival: Revival): AnyFunction {
    const [number, bindings, own, prototype, statics, parent] = parts
    const template = this.#templates[number as number]
    if (template === undefined) return broken(`template ${String(number)} is missing`)
    const cell: Cell = {}
    const make = template[1](cell)
    const values: unknown[] = []
    const list = listOf(bindings)
    for (let i = 0; i < template[0]; i++) values[i] = revival.now(list[i])
    if (template[0] > 0) cell.set?.(values)
    const made = make()
    this.#cells.set(made, cell)
    revival.register(made)
    list.forEach((part, i) => { if (i >= template[0]) revival.later(part, (value) => { values[i] = value }) })
    if (list.length > template[0]) revival.later(undefined, () => cell.set?.(values))
    if (parent !== undefined && parent !== null) {
      Object.setPrototypeOf(made.prototype as object, (revival.now(parent) as AnyFunction).prototype as object)
    }
    if (own !== undefined && own !== null) revival.entries(made, own)
    if (prototype !== undefined && prototype !== null) revival.entries(made.prototype as object, prototype)
    if (statics !== undefined && statics !== null) this.#laterAll(listOf(statics), revival, (held) => cell.writeStatic?.(held))
    return made
  }

  #laterAll(parts: readonly unknown[], revival: Revival, use: (values: readonly unknown[]) => void): void {
    const values: unknown[] = []
    parts.forEach((part, i) => revival.later(part, (value) => { values[i] = value }))
    revival.later(undefined, () => use(values))
  }

  /** [class, base value or null, own properties, private values base class first, prototype when there is no class]. */
  #instance(parts: readonly unknown[], revival: Revival): object {
    const [classPart, base, own, privates, prototypePart] = parts
    if (classPart === null || classPart === undefined) {
      const object = Object.create(revival.now(prototypePart) as object) as object
      revival.register(object)
      revival.entries(object, own)
      return object
    }
    const constructor = revival.now(classPart) as Constructor
    if (typeof constructor !== 'function') return broken('an instance without a class')
    const chain = this.#chain(constructor)
    const object = this.#stamped(chain, base === null || base === undefined ? undefined : revival.now(base) as object)
    revival.register(object)
    Object.setPrototypeOf(object, constructor.prototype as object)
    revival.entries(object, own)
    let from = 0
    for (const { cell } of chain) {
      const size = cell.size ?? 0
      this.#laterAll(listOf(privates).slice(from, from += size), revival, (values) => cell.write?.(object, values))
    }
    return object
  }

  /** Classes with private instance state from base to derived. */
  #chain(constructor: Constructor): { readonly made: Constructor; readonly cell: Cell; readonly derived: boolean }[] {
    const chain: { made: Constructor; cell: Cell; derived: boolean }[] = []
    for (let at: object = constructor; at !== Function.prototype && at !== null; at = Object.getPrototypeOf(at) as object) {
      const cell = this.#cells.get(at)
      if (cell?.write === undefined) continue
      chain.unshift({ made: at as Constructor, cell, derived: Object.getPrototypeOf(at) !== Function.prototype })
    }
    return chain
  }

  #stamped(chain: readonly { readonly made: Constructor; readonly cell: Cell; readonly derived: boolean }[], base: object | undefined): object {
    let object: object = base ?? {}
    for (const { made, cell, derived } of chain) object = derived ? stampDerived(made, cell, object) : stampBase(made, cell)
    // Public fields were defined on the way; their captured values come next, in their captured order.
    if (base === undefined) for (const key of Reflect.ownKeys(object)) delete (object as Record<PropertyKey, unknown>)[key]
    return object
  }

  #package(parts: readonly unknown[]): object {
    const [specifier, name, version] = this.#packages[parts[0] as number] ?? broken('a package that the program does not name')
    if (this.#hooks.package === undefined) return broken(`package ${name} is not available here`)
    return walk(this.#hooks.package(specifier, name, version), listOf(parts[1]))
  }

  #bound(parts: readonly unknown[], revival: Revival): AnyFunction {
    const target = revival.now(parts[0])
    if (typeof target !== 'function') return broken('a bound function without a target')
    const made = (Function.prototype.bind as (this: unknown, ...args: unknown[]) => AnyFunction).call(target, revival.now(parts[1]), ...(revival.now(parts[2]) as unknown[]))
    revival.register(made)
    return made
  }
}

function walk(root: unknown, path: readonly unknown[]): object {
  let at: unknown = root
  for (const key of path) {
    if (typeof key !== 'string' || at === null || at === undefined) return broken(`${path.join('.')} does not exist here`)
    at = (at as Record<string, unknown>)[key]
  }
  return at !== null && (typeof at === 'object' || typeof at === 'function') ? at : broken(`${path.join('.')} does not exist here`)
}

/** Runs a construction that stops once the class's private names are on the object; answers that object. */
function stamp(cell: Cell, construct: () => unknown): object {
  let stamped: object | undefined
  cell.done = (object) => { stamped = object; throw STOP }
  try {
    construct()
  } catch (error) {
    if (error !== STOP) throw error
  } finally {
    cell.done = undefined
  }
  return stamped ?? broken('private state could not be put back')
}

const stampBase = (made: Constructor, cell: Cell): object => stamp(cell, () => Reflect.construct(made, []))

function stampDerived(made: Constructor, cell: Cell, object: object): object {
  const parent = Object.getPrototypeOf(made) as object
  Object.setPrototypeOf(made, function () { return object })
  try {
    return stamp(cell, () => Reflect.construct(made, []))
  } finally {
    Object.setPrototypeOf(made, parent)
  }
}

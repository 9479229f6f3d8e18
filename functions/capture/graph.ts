// Captured function -> templates (code) and environment (values). The custom encoder of the value codec:
// flatten.ts walks the values and keeps identity and cycles; this file says what functions, classes and
// instances are made of.
//
//   function  [Function, template, bindings, own, prototype, statics, parent]
//   instance  [Instance, class, base, own, privates, prototype]
//
// Templates are numbered in order of discovery and shared by equal text, so ten closures of one maker are
// one template and ten environments, and captured values never change the code.

import { types } from 'node:util'
import { LIMITS } from '../../fabric/base.ts'
import type { CapturedName, PackageImport } from '../contract.ts'
import { FUNCTIONS } from '../errors.ts'
import { brandOf, hintFor, tagOf, withArticle } from '../value/brand.ts'
import type { EncodeHooks, Walk } from '../value/flatten.ts'
import { CustomKind } from '../value/node.ts'
import { analyse } from './analysis.ts'
import type { Analysis, Source, Variable } from './analysis.ts'
import { NATIVE, capabilityName, sourceOf, toSource, typeName } from './describe.ts'
import type { AnyFunction } from './describe.ts'
import { insidesOf, privateFieldsOf, scriptUrl } from './inspect.ts'
import type { FunctionInsides } from './inspect.ts'
import { SANDBOX_GLOBALS, builtinName, foreignIntrinsicPath, isOwnGlobal, targetPath } from './known.ts'
import { packageExport, packageOf } from './packages.ts'
import { Trail } from './trail.ts'

export interface GraphOptions {
  readonly root: string
  /** Names to treat as captured variables although they are global (REPL, one-liners). */
  readonly globals: Readonly<Record<string, unknown>>
  /** Further globals that the sandbox has. */
  readonly sandboxGlobals: ReadonlySet<string>
}

/** Namespace objects of the language; those of other realms are not known by identity. */
const NAMESPACES: ReadonlySet<string> = new Set(['Math', 'JSON', 'Reflect', 'Intl'])
/** [kind, template, bindings] and nothing after it. */
const BARE_PARTS = 3
const isModuleLike = (value: object): boolean => tagOf(value) === 'Module' || Object.hasOwn(value, '__esModule')
const isForeignPlain = (prototype: object): boolean => Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf')

export class ClosureGraph {
  readonly templates: string[] = []
  readonly functions: object[] = []
  readonly packages: PackageImport[] = []
  readonly captured: CapturedName[] = []
  readonly capabilities = new Set<string>()
  readonly trail: Trail
  /** The entry is code alone: no captured variables, no properties. */
  bare = false
  /** Keys of the walk when it failed. */
  keys: readonly (string | number | symbol)[] = []
  readonly #options: GraphOptions
  readonly #templateNumbers = new Map<string, number>()
  #entryScript: string | undefined

  constructor(options: GraphOptions) {
    this.#options = options
    this.trail = new Trail(options.root)
  }

  hooks(): EncodeHooks {
    return {
      root: this.#options.root, sizeBytesMax: LIMITS.environmentBytesMax,
      custom: (value, walk) => this.#custom(value, walk),
      onCapability: (capability) => { this.capabilities.add(capabilityName(capability)) },
    }
  }

  #custom(value: object, walk: Walk): readonly unknown[] | undefined {
    this.keys = walk.keys
    if (types.isProxy(value)) throw FUNCTIONS.CAPTURE_PROXY(this.trail.at(walk.keys))
    const native = targetPath(value)
    if (native !== undefined) return [CustomKind.Native, walk.child([...native])]
    const builtin = builtinName(value)
    if (builtin !== undefined) throw FUNCTIONS.CAPTURE_BUILTIN({ ...this.trail.at(walk.keys), name: builtin })
    return typeof value === 'function' ? this.#function(value as AnyFunction, walk) : this.#object(value, walk)
  }

  // ------------------------------------------------------------ functions

  #function(fn: AnyFunction, walk: Walk): readonly unknown[] {
    const entry = this.trail.depth === 0
    const source = sourceOf(fn)
    const native = NATIVE.test(source.text)
    let insides: FunctionInsides | undefined
    if (native || !entry) {
      insides = insidesOf(fn)
      if (insides.bound !== undefined) return this.#bound(insides.bound, walk)
      const foreign = native ? foreignIntrinsicPath(fn) : undefined
      if (foreign !== undefined) return [CustomKind.Native, walk.child([...foreign])]
      if (native) throw FUNCTIONS.CAPTURE_NATIVE({ ...this.trail.at(walk.keys), name: fn.name || 'anonymous' })
      const reference = this.#foreign(fn, insides, walk)
      if (reference !== undefined) return reference
    }
    this.trail.enter(fn, walk.keys)
    const analysis = this.#analysis(source, walk)
    const encoded = this.#closure(fn, analysis, insides, walk)
    this.trail.leave()
    if (entry && walk.keys.length === 0) this.bare = encoded.length === BARE_PARTS && (encoded[BARE_PARTS - 1] as unknown[]).length === 0
    return encoded
  }

  /** A function of another script may belong to a package, carried by reference, or to Node, refused. */
  #foreign(fn: AnyFunction, { scriptId }: FunctionInsides, walk: Walk): readonly unknown[] | undefined {
    if (scriptId === this.#entryScript) return undefined
    const url = scriptUrl(scriptId)
    if (url === undefined) return undefined
    if (url.startsWith('node:')) throw FUNCTIONS.CAPTURE_BUILTIN({ ...this.trail.at(walk.keys), name: `${fn.name || 'a function'} (internal)` })
    const name = packageOf(url)
    if (name === undefined) return undefined
    const found = packageExport(fn, url)
    if (found === undefined) throw FUNCTIONS.CAPTURE_PACKAGE({ ...this.trail.at(walk.keys), package: name })
    let index = this.packages.findIndex((known) => known.specifier === found.specifier && known.version === found.version)
    if (index < 0) index = this.packages.push({ specifier: found.specifier, name: found.name, version: found.version }) - 1
    return [CustomKind.Package, index, walk.child([...found.path])]
  }

  #bound({ target, self, args }: NonNullable<FunctionInsides['bound']>, walk: Walk): readonly unknown[] {
    return [CustomKind.Bound, walk.child(target, '<bound target>'), walk.child(self, '<bound this>'), walk.child([...args], '<bound arguments>')]
  }

  #analysis(source: Source, walk: Walk): Analysis {
    const analysis = analyse(source)
    if ('syntax' in analysis) {
      const at = this.trail.at(walk.keys)
      switch (analysis.hint) {
        case 'SUPER': throw FUNCTIONS.CAPTURE_SUPER(at)
        case 'NEW_TARGET': throw FUNCTIONS.CAPTURE_NEW_TARGET(at)
        case 'PRIVATE': throw FUNCTIONS.CAPTURE_PRIVATE({ ...at, name: 'a private name' })
        default: throw FUNCTIONS.CAPTURE_SYNTAX({ ...at, why: analysis.syntax })
      }
    }
    const problem = analysis.problems[0]
    if (problem !== undefined) {
      const at = this.trail.at(walk.keys)
      switch (problem.code) {
        case 'THIS': throw FUNCTIONS.CAPTURE_THIS(at)
        case 'ARGUMENTS': throw FUNCTIONS.CAPTURE_ARGUMENTS(at)
        case 'SUPER': throw FUNCTIONS.CAPTURE_SUPER(at)
        case 'NEW_TARGET': throw FUNCTIONS.CAPTURE_NEW_TARGET(at)
        case 'PRIVATE': throw FUNCTIONS.CAPTURE_PRIVATE({ ...at, name: problem.name })
        case 'EVAL': throw FUNCTIONS.CAPTURE_EVAL(at)
        default: throw FUNCTIONS.CAPTURE_IMPORT({ ...at, what: problem.name })
      }
    }
    return analysis
  }

  #closure(fn: AnyFunction, analysis: Analysis, known: FunctionInsides | undefined, walk: Walk): readonly unknown[] {
    const classText = analysis.classText
    let insides = known
    if (this.trail.depth === 1) this.#entryScript = (insides ??= analysis.variables.some((variable) => !this.#isGlobalAtOnce(variable)) ? insidesOf(fn) : undefined)?.scriptId
    const captured: { readonly variable: Variable; readonly value: unknown }[] = []
    for (const variable of analysis.variables) {
      if (classText?.derived === true && variable.name === analysis.superclassName) {
        captured.push({ variable, value: Object.getPrototypeOf(fn) })
        continue
      }
      if (insides === undefined && !this.#isGlobalAtOnce(variable)) insides = insidesOf(fn)
      const found = this.#lookUp(variable, insides, walk)
      if (found !== undefined) captured.push({ variable, value: found.value })
    }
    const number = this.#template(analysis.template(captured.map(({ variable }) => variable)), fn)
    const bindings = captured.map(({ variable, value }) => this.#binding(variable, value, analysis, walk))
    return this.#trimmed([CustomKind.Function, number, bindings, ...this.#extras(fn, analysis, walk)])
  }

  /** Without asking the engine: undefined, NaN and the like cannot be captured variables in practice, all others can. */
  #isGlobalAtOnce(variable: Variable): boolean {
    return variable.name === 'undefined' && !variable.written
  }

  #binding(variable: Variable, value: unknown, analysis: Analysis, walk: Walk): unknown {
    const before = walk.bytes
    const key = variable.name === analysis.superclassName ? '<superclass>' : variable.name
    const narrowed = this.#narrow(variable, value)
    const encoded = walk.child(narrowed, key)
    const path = [...walk.keys, key].map(String).join('.')
    this.captured.push({ path, type: typeName(value), bytes: walk.bytes - before })
    return encoded
  }

  /** Of a module namespace only the members that the function reads travel. */
  #narrow(variable: Variable, value: unknown): unknown {
    if (variable.members === undefined || typeof value !== 'object' || value === null || types.isProxy(value) || !isModuleLike(value)) return value
    if (builtinName(value) !== undefined) return value
    const narrowed = Object.create(null) as Record<string, unknown>
    for (const member of [...variable.members].sort()) {
      if (member in value) narrowed[member] = (value as Record<string, unknown>)[member]
    }
    return narrowed
  }

  /** Value of a free name; undefined: a global that the target has. Throws what cannot be shipped. */
  #lookUp(variable: Variable, insides: FunctionInsides | undefined, walk: Walk): { readonly value: unknown } | undefined {
    const { name } = variable
    for (const { description, object } of insides?.scopes ?? []) {
      if (description === 'Global' || description.startsWith('Global')) {
        if (isOwnGlobal(name, object)) return this.#captured(variable, object, walk)
        continue
      }
      if (name in object) return this.#captured(variable, object, walk)
    }
    if (Object.hasOwn(this.#options.globals, name)) return this.#captured(variable, this.#options.globals, walk)
    if (isOwnGlobal(name, globalThis)) return this.#captured(variable, globalThis, walk)
    if (variable.written) throw FUNCTIONS.CAPTURE_WRITE({ ...this.trail.at(walk.keys), name })
    if (SANDBOX_GLOBALS.has(name) || this.#options.sandboxGlobals.has(name) || !variable.read) return undefined
    if (name in globalThis) throw FUNCTIONS.CAPTURE_GLOBAL({ ...this.trail.at(walk.keys), name })
    throw FUNCTIONS.CAPTURE_UNDEFINED({ ...this.trail.at(walk.keys), name })
  }

  #captured({ name, written }: Variable, holder: object, walk: Walk): { readonly value: unknown } {
    if (written) throw FUNCTIONS.CAPTURE_WRITE({ ...this.trail.at(walk.keys), name })
    try {
      return { value: (holder as Record<string, unknown>)[name] }
    } catch (cause) {
      // V8's scope objects throw when the variable is in its temporal dead zone.
      throw FUNCTIONS.CAPTURE_UNINITIALISED(this.trail.at([...walk.keys, name]), { cause })
    }
  }

  #template(code: string, fn: object): number {
    const known = this.#templateNumbers.get(code)
    if (known !== undefined) return known
    const number = this.templates.push(code) - 1
    this.functions.push(fn)
    this.#templateNumbers.set(code, number)
    return number
  }

  /** Own properties, prototype additions, static private state and a prototype's parent. */
  #extras(fn: AnyFunction, analysis: Analysis, walk: Walk): readonly unknown[] {
    const own = walk.entries(fn)
    const { prototype } = fn
    const isObject = typeof prototype === 'object' && prototype !== null
    const additions = isObject ? walk.entries(prototype) : []
    const names = analysis.classText?.staticPrivates ?? []
    let statics: unknown[] | null = null
    if (names.length > 0) {
      const fields = privateFieldsOf(fn)
      statics = names.map((name) => walk.child(fields.find((field) => field.name === name)?.value, name))
    }
    const parent = isObject && analysis.classText === undefined ? Object.getPrototypeOf(prototype) as object | null : null
    const inherits = parent !== null && parent !== Object.prototype && !isForeignPlain(parent) && typeof parent.constructor === 'function' && !/^(Async)?Generator/.test(tagOf(prototype ?? {}))
    return [own.length > 0 ? own : null, additions.length > 0 ? additions : null, statics, inherits ? walk.child(parent.constructor, '<parent>') : null]
  }

  #trimmed(parts: unknown[]): unknown[] {
    while (parts.at(-1) === null) parts.pop()
    return parts
  }

  // ------------------------------------------------------------ objects

  #object(value: object, walk: Walk): readonly unknown[] | undefined {
    const brand = brandOf(value)
    if (brand === 'opaque') throw FUNCTIONS.CAPTURE_OPAQUE({ ...this.trail.at(walk.keys), what: withArticle(tagOf(value)), hint: hintFor(tagOf(value)) })
    const prototype = Object.getPrototypeOf(value) as object | null
    if (prototype === null || prototype === Object.prototype) return undefined
    if (isForeignPlain(prototype)) return NAMESPACES.has(tagOf(value)) ? [CustomKind.Native, walk.child([tagOf(value)])] : undefined
    const constructor = Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value as AnyFunction | undefined
    if (typeof constructor !== 'function' || constructor.prototype !== prototype) {
      return [CustomKind.Instance, null, null, walk.entries(value), null, walk.child(prototype, '<prototype>')]
    }
    if (builtinName(constructor) !== undefined) {
      if (brand === 'buffer') return undefined
      throw FUNCTIONS.CAPTURE_OPAQUE({ ...this.trail.at(walk.keys), what: `an instance of ${builtinName(constructor) ?? constructor.name}`, hint: hintFor(constructor.name) })
    }
    if (NATIVE.test(toSource(constructor))) {
      if (brand !== 'object') return undefined
      throw FUNCTIONS.CAPTURE_OPAQUE({ ...this.trail.at(walk.keys), what: `an instance of ${constructor.name}`, hint: hintFor(constructor.name) })
    }
    return this.#instance(value, constructor, brand, walk)
  }

  #instance(value: object, constructor: AnyFunction, brand: string, walk: Walk): readonly unknown[] {
    const classNode = walk.child(constructor, '<class>')
    const privates = this.#privates(value, constructor, walk)
    const base = brand === 'object' ? null : walk.base(value)
    return this.#trimmed([CustomKind.Instance, classNode, base, this.#ownOf(value, brand, walk), privates])
  }

  /** Arrays, errors, buffers and boxed strings carry their own properties in their base. */
  #ownOf(value: object, brand: string, walk: Walk): unknown[] {
    return brand === 'array' || brand === 'error' || brand === 'buffer' || brand === 'boxed' ? [] : walk.entries(value)
  }

  /** Private field values, base class first; null when no class of the chain has private instance state. */
  #privates(value: object, constructor: AnyFunction, walk: Walk): unknown[] | null {
    const chain: Analysis[] = []
    for (let at: unknown = constructor; typeof at === 'function' && at !== Function.prototype && !NATIVE.test(toSource(at)); at = Object.getPrototypeOf(at)) {
      const analysis = analyse(sourceOf(at as AnyFunction))
      if ('syntax' in analysis || analysis.classText?.branded !== true) continue
      if (analysis.classText.unhydratable !== undefined) {
        throw FUNCTIONS.CAPTURE_OPAQUE({ ...this.trail.at(walk.keys), what: `an instance of ${(at as AnyFunction).name} with private state`, hint: analysis.classText.unhydratable })
      }
      chain.unshift(analysis)
    }
    if (chain.length === 0) return null
    const fields = [...privateFieldsOf(value)]
    return chain.flatMap((analysis) => (analysis.classText?.privates ?? []).map((name) => {
      const index = fields.findIndex((field) => field.name === name)
      const [field] = index < 0 ? [] : fields.splice(index, 1)
      return walk.child(field?.value, name)
    }))
  }
}

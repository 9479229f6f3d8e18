// defineKind: one declaration makes a kind of resource-mapped object.
//
// From it derive the shape that the sandbox and the shell make handles from, the checks of arguments,
// the gate's question for each verb, references, tables and completion. The user's interface is the
// measure: each attribute, verb and collection of it must be declared with a matching type, or tsc
// refuses the declaration. Kinds load no I/O; the driver's object comes in as `Local`.

import { assert } from '../fabric/base.ts'
import type { Authority, ColdVerb, KindShape, ReferenceRecord } from '../functions/mod.ts'
import { COMMON_ATTRIBUTES, COMMON_VERBS, WATCH_VERBS } from './common.ts'
import { commonVerbs } from './common-verbs.ts'
import type { CommonVerbName } from './common.ts'
import type { ByteChannel } from './byte-streams.ts'
import type { FurtherRight } from './further-rights.ts'
import type { AclVerb } from './gate.ts'
import type { ObjectEvent, ResourceObject } from './object.ts'
import { bareReference } from './schema.ts'
import type { Type } from './schema.ts'
import type { Attribute, EventSpec, Home, Parameter, ResultSpec, Verb } from './verb.ts'

// ---------------------------------------------------------------- what a kind consists of

type Emit = (event: ObjectEvent) => void
export interface WatchSpec<L, O> {
  readonly options: Type<O>
  /** Starts telling; the answer stops it. `emit` is bounded by its receiver and may be called at any rate. */
  start(local: L, options: O, emit: Emit): () => void
}

/** What can be set of an object: the source of dump's settings, of patch, of assignment, and of the version. */
export interface SettingsSpec<L> {
  /** Every setting with its type; one whose name is an attribute can be assigned (`vm.name = ...`). */
  readonly fields: Readonly<Record<string, Type<unknown>>>
  /** Settings that only who may inspect it is shown: passwords may lie in them. */
  readonly secret?: readonly string[]
  /** All settings as of now, plain. */
  read(local: L): Readonly<Record<string, unknown>>
  /** Carries out a checked change (only fields that differ). All or nothing. */
  apply(local: L, change: Readonly<Record<string, unknown>>, authority: Authority): Promise<void>
  /** What else whoever makes that change needs; it has not been checked yet. */
  also?(local: L, change: unknown): readonly FurtherRight[]
}

/** A named byte stream of an object, such as a serial console. */
export interface StreamSpec<L> { readonly doc: string; readonly acl: AclVerb; open(local: L, authority: Authority): Promise<ByteChannel> }

/**
 * Where objects of a kind live. 'member': each member node is one (its home is its identity). 'hosted': nodes are asked which
 * they have. 'global': in the global store; every node serves all of them, so the home that a reference names is where it was made.
 */
export type Residence = 'member' | 'hosted' | 'global'

export interface Kind {
  readonly kind: string
  /** Name of the collection of all of them: "pms". */
  readonly plural: string
  readonly doc: string
  readonly residence: Residence
  readonly attributes: Readonly<Record<string, Attribute<unknown>>>
  readonly verbs: Readonly<Record<string, Verb>>
  readonly collections: Readonly<Record<string, { readonly kind: string; readonly doc: string }>>
  readonly references: Readonly<Record<string, { readonly kind: string; readonly doc: string }>>
  readonly events: Readonly<Record<string, EventSpec>>
  readonly watch: WatchSpec<unknown, unknown>
  readonly streams: Readonly<Record<string, StreamSpec<unknown>>>
  /** A one-liner that works on a fabric of one node. */
  readonly example: string
  readonly shape: KindShape
  /** Verbs, and the reading of collections and references: everything `invoke` can name. */
  readonly operations: ReadonlyMap<string, Verb>
  /** Attributes as of now; cheap. */
  observe(local: unknown): Readonly<Record<string, unknown>>
}

// ---------------------------------------------------------------- how one is declared

type AnyMethod = (...args: never[]) => unknown
type KeysOf<U, M> = Extract<{ [K in keyof U]-?: NonNullable<U[K]> extends M ? K : never }[keyof U], string>
type MethodKeys<U> = KeysOf<U, AnyMethod>
type CollectionKeys<U> = KeysOf<U, { dmap: AnyMethod; settled: AnyMethod }>
type ReferenceKeys<U> = KeysOf<U, { info: AnyMethod; dump: AnyMethod; readonly uuid: string }>
type AttributeKeys<U> = Exclude<Extract<keyof U, string>, MethodKeys<U> | CollectionKeys<U> | ReferenceKeys<U> | keyof typeof COMMON_ATTRIBUTES>
type StreamKeys<U> = Extract<{ [K in MethodKeys<U>]: U[K] extends (...args: never[]) => Promise<ByteChannel> ? (ByteChannel extends Answer<U[K]> ? K : never) : never }[MethodKeys<U>], string>
type OwnVerbKeys<U> = Exclude<MethodKeys<U>, CommonVerbName | keyof typeof WATCH_VERBS | StreamKeys<U>>

type Arguments<F> = F extends (...args: infer P) => unknown ? P : never
type Answer<F> = F extends (...args: never[]) => infer R ? Awaited<R> : never
/** One parameter per argument; optional ones check to undefined as well. */
type ParameterList<P extends readonly unknown[]> = { readonly [I in keyof P]: Parameter<P[I] | undefined> }

export interface VerbSpec<F, L> {
  readonly doc: string
  readonly acl: AclVerb
  readonly idempotent: boolean
  readonly parameters: ParameterList<Required<Arguments<F>>>
  readonly result: ResultSpec
  budgetMs?(args: Arguments<F>): number | undefined
  also?(args: readonly unknown[], local: L): readonly FurtherRight[]
  run(local: L, args: Arguments<F>, authority: Authority): unknown
}
type CommonSpec<U, L> =
  { readonly [K in 'info' | 'stats']: (local: L, authority: Authority, home: Home) => Answer<K extends keyof U ? U[K] : never> | Promise<Answer<K extends keyof U ? U[K] : never>> }

export interface KindSpec<U extends ResourceObject, L> {
  readonly kind: string
  readonly plural: string
  readonly doc: string
  readonly residence: Residence
  readonly example: string
  readonly attributes: { readonly [K in AttributeKeys<U>]: Attribute<U[K]> }
  /** Name, uuid and every attribute, from the driver's latest figures; no I/O. */
  observe(local: L): { readonly [K in AttributeKeys<U> | 'name' | 'uuid']: U[K] }
  readonly common: CommonSpec<U, L>
  readonly verbs: { readonly [K in OwnVerbKeys<U>]: VerbSpec<U[K], L> }
  readonly collections: { readonly [K in CollectionKeys<U>]: { readonly kind: string; readonly doc: string; list(local: L, authority: Authority): Promise<readonly ReferenceRecord[]> } }
  readonly references: { readonly [K in ReferenceKeys<U>]: { readonly kind: string; readonly doc: string; get(local: L, authority: Authority): Promise<ReferenceRecord> } }
  readonly events: Readonly<Record<string, EventSpec>>
  readonly watch: WatchSpec<L, NonNullable<Arguments<U['watch']>[0]>>
  /** Methods that answer a ByteChannel. */
  readonly streams?: { readonly [K in StreamKeys<U>]: StreamSpec<L> }
  /** Left out: nothing of it can be set. */
  readonly settings?: SettingsSpec<L>
  /** For kinds whose objects can be made cold (vmm.createVM(), load()). */
  readonly coldVerbs?: Readonly<Record<string, ColdVerb>>
}

/** A parameter of a verb; `optional(type)` for one that may be left out. */
export const parameter = <T>(name: string, type: Type<T>, doc: string): Parameter<T> => ({ name, doc, type })

const readVerb = (doc: string, kind: string, run: Verb['run']): Verb =>
  ({ doc, acl: 'read', idempotent: true, parameters: [], result: { doc: `references to ${kind}`, type: { expected: kind, unit: undefined, check: (value) => value } }, run })

export function defineKind<U extends ResourceObject, L>(spec: KindSpec<U, L>): Kind {
  // The declaration was checked against U and L; inside the registry kinds are of one erased type.
  const own = Object.entries(spec.verbs as unknown as Readonly<Record<string, Verb>>)
  const common = Object.entries(spec.common as Readonly<Record<string, (local: L, authority: Authority, home: Home) => unknown>>)
  const collections = spec.collections as Readonly<Record<string, { kind: string; doc: string; list(local: unknown, authority: Authority): Promise<readonly ReferenceRecord[]> }>>
  const references = spec.references as Readonly<Record<string, { kind: string; doc: string; get(local: unknown, authority: Authority): Promise<ReferenceRecord> }>>
  const observe = spec.observe as (local: unknown) => Readonly<Record<string, unknown>>

  const settings = spec.settings as SettingsSpec<unknown> | undefined
  const verbs: Record<string, Verb> = { ...commonVerbs({ kind: spec.kind, settings, observe }) }
  for (const [name, run] of common) verbs[name] = { ...COMMON_VERBS[name as CommonVerbName], run: (local, _args, authority, home) => run(local as L, authority, home) }
  for (const [name, verb] of own) verbs[name] = verb

  const operations = new Map(Object.entries(verbs))
  const add = (name: string, verb: Verb): void => {
    assert(!operations.has(name), `${spec.kind}.${name} is declared once`)
    operations.set(name, verb)
  }
  for (const [name, to] of Object.entries(collections)) add(name, readVerb(to.doc, to.kind, async (local, _args, authority) => (await to.list(local, authority)).map(bareReference)))
  for (const [name, to] of Object.entries(references)) add(name, readVerb(to.doc, to.kind, async (local, _args, authority) => bareReference(await to.get(local, authority))))

  const attributes = { ...COMMON_ATTRIBUTES, ...spec.attributes as Readonly<Record<string, Attribute<unknown>>> }
  const kindsOf = (relations: Readonly<Record<string, { readonly kind: string }>>): Readonly<Record<string, string>> =>
    Object.fromEntries(Object.entries(relations).map(([name, to]) => [name, to.kind]))
  return Object.freeze({
    kind: spec.kind, plural: spec.plural, doc: spec.doc, residence: spec.residence, example: spec.example,
    attributes, verbs, collections, references, events: spec.events, operations, observe,
    watch: spec.watch as WatchSpec<unknown, unknown>,
    streams: (spec.streams ?? {}) as Readonly<Record<string, StreamSpec<unknown>>>,
    shape: {
      settable: Object.keys(settings?.fields ?? {}).filter((name) => Object.hasOwn(attributes, name)),
      ...(spec.coldVerbs === undefined ? {} : { coldVerbs: spec.coldVerbs }),
      kind: spec.kind, plural: spec.plural, attributes: Object.keys(attributes), verbs: Object.keys(verbs), collections: kindsOf(collections), references: kindsOf(references),
    },
  })
}

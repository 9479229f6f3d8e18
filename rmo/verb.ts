// What kinds are made of: attributes, verbs with their parameters, events. Types only.

import type { Authority } from '../functions/mod.ts'
import type { FurtherRight } from './further-rights.ts'
import type { AclVerb } from './gate.ts'
import type { Ledger } from './ledger.ts'
import type { Type } from './schema.ts'

/** How tables show an attribute. `wide`: only when there is room or on request. */
export interface Column { readonly header: string; readonly format: 'text' | 'ratio' | 'bytes' | 'mebibytes' | 'number' | 'duration'; readonly wide?: boolean }
export interface Attribute<T> {
  readonly doc: string
  readonly type: Type<T>
  /** 'none': in records and completion, never in a table. */
  readonly column: Column | 'none'
}
export interface Parameter<T> { readonly name: string; readonly doc: string; readonly type: Type<T> }
export interface ResultSpec { readonly doc: string; readonly type: Type<unknown> }

/** A verb as the registry keeps it. */
export interface Verb {
  readonly doc: string
  /** What a principal needs, asked at the gate. */
  readonly acl: AclVerb
  /** Doing it twice is doing it once, so that it may be retried. */
  readonly idempotent: boolean
  readonly parameters: readonly Parameter<unknown>[]
  readonly result: ResultSpec
  /** How long the caller is ready to wait, by its arguments; a reference stretches the call's deadline to it. */
  budgetMs?(args: readonly unknown[]): number | undefined
  /** What else the caller needs, by what the arguments name; they have not been checked yet. Asked of changing verbs only. */
  also?(args: readonly unknown[], local: unknown): readonly FurtherRight[]
  run(local: unknown, args: readonly unknown[], authority: Authority, home: Home): unknown
}
/** What the home of an object lends to its common verbs. */
export interface Home {
  readonly kind: string
  readonly uuid: string
  readonly ledger: Ledger
  /** One after the other for this object. */
  serial<T>(work: () => Promise<T>): Promise<T>
  /** Whether the caller may do more than the verb that he asked for: what an answer shows depends on it. */
  allows(acl: AclVerb): Promise<boolean>
}
export interface EventSpec { readonly doc: string; readonly fields: Readonly<Record<string, Type<unknown>>> }

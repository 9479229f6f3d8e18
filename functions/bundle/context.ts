// What a deployed function is given: run(context, payload). Types only; sandbox/prelude/context.ts keeps these promises inside
// the sandbox. The collections of resources (`pms`, `vms`, ...) are known in rmo/ and put beside these in cli/function-api.ts.

import type { Cause } from '../deployed.ts'
import type { Collection } from '../collection/contract.ts'

/** Plain data of a structured line. */
export type LogFields = Readonly<Record<string, unknown>>
/** A line of text, or fields, with or without a text. */
export interface LogCall { (text: string, fields?: LogFields): void; (fields: LogFields, text?: string): void }
export interface FunctionLog { readonly debug: LogCall; readonly info: LogCall; readonly warn: LogCall; readonly error: LogCall }

export interface StateEntry<T = unknown> { readonly key: string; readonly value: T; /** Grows with each change of this key. */ readonly version: number }

/** Small durable values of this function, kept in the global store; the same for every call, on every node. */
export interface FunctionState {
  /** Undefined: nothing is kept under this key. */
  get<T = unknown>(key: string): Promise<T | undefined>
  /** The value with its version, for put({ version }). */
  entry<T = unknown>(key: string): Promise<StateEntry<T> | undefined>
  /** Answers the new version. `version`: only if the key is at it (0: only if there is none); else rejects with STATE_CONFLICT. */
  put(key: string, value: unknown, options?: { readonly version?: number }): Promise<number>
  /** Compare-and-put until it succeeds: `change` may be called several times. Answers the value kept. */
  update<T = unknown>(key: string, change: (value: T | undefined) => T | Promise<T>): Promise<T>
  /** Answers whether there was one. */
  delete(key: string): Promise<boolean>
  list<T = unknown>(prefix?: string): Promise<readonly StateEntry<T>[]>
}

export interface FunctionSecrets {
  /** Only names in the definition's `secrets`; rejects with SECRET_UNKNOWN or SECRET_SEALED. */
  get(name: string): Promise<string>
}

/** As the web's AbortSignal, as far as a sandbox needs it. */
export interface CallSignal {
  readonly aborted: boolean
  readonly reason: unknown
  throwIfAborted(): void
  addEventListener(type: 'abort', listener: () => void): void
  removeEventListener(type: 'abort', listener: () => void): void
}

/** This call. */
export interface CallInfo {
  /** 16 hex; the same through all attempts. */
  readonly id: string
  readonly name: string
  readonly alias: string
  /** SHA-256 of the script. */
  readonly version: string
  readonly trace: string
  readonly traceparent: string
  /** Name of the node. */
  readonly node: string
  /** 1 for the first. */
  readonly attempt: number
  /** Fencing epoch of a singleton; null for others. */
  readonly epoch: number | null
  readonly cause: Cause
  /** Time that it had when it began. */
  readonly deadlineMs: number
}

export interface CallOptions {
  readonly target?: 'any' | 'all' | 'home' | `node:${string}`
  readonly timeoutMs?: number
  /** The same key within a while: one effect, the same answer. */
  readonly idempotencyKey?: string
}

export interface NamedFunction<R> {
  (payload?: unknown, options?: CallOptions): Promise<R>
  /** Durable: made at least once, and tried again when it fails; resolves to the call's id when it is certain that it will be made. */
  enqueue(payload?: unknown, options?: CallOptions): Promise<string>
}

export interface ContextTools {
  from<T>(items: Iterable<T> | AsyncIterable<T>): Collection<T>
  range(n: number): Collection<number>
  range(from: number, to: number, step?: number): Collection<number>
  /** Another deployed function as a function; "name@alias" and "name@hash" too. Needs the right "function:invoke". */
  fn<R = unknown>(reference: string, options?: CallOptions): NamedFunction<R>
  readonly log: FunctionLog
  readonly state: FunctionState
  /** Calls every function that has this topic as a trigger; resolves when the calls are kept. */
  emit(topic: string, payload?: unknown): Promise<void>
  readonly secrets: FunctionSecrets
  /** Aborted when the call's time is up or its caller has gone. */
  readonly signal: CallSignal
  readonly call: CallInfo
}

/** `Collections`: one collection a kind, and what else is known of resources. */
export type ContextOf<Collections> = ContextTools & Collections

// What a program and the shell do with deployed functions: `dc.functions`, `dc.fn(name)`. Each part implements its interface in
// its client.ts over a connection to a node; kali/connect.ts puts them together.

import type { Hash } from '../fabric/base.ts'
import type { CallRecord, FunctionManifest, FunctionRecord, LogLine, TargetText, VersionRecord } from './deployed.ts'

// ---------------------------------------------------------------- catalog

/** A script as bundle/ makes it, ready to be deployed. */
export interface BuiltBundle {
  /** UTF-8; its SHA-256 is the version. */
  readonly script: Uint8Array
  /** UTF-8 JSON, sources included. */
  readonly sourceMap: Uint8Array
  readonly packages: FunctionManifest['packages']
  readonly files: readonly string[]
}
export interface ManifestChange { readonly path: string; readonly before: string; readonly after: string }
export interface DeployReport {
  readonly name: string
  readonly manifest: FunctionManifest
  /** 'new', 'changed', or 'same' (this version is stable already; nothing was written). */
  readonly outcome: 'new' | 'changed' | 'same'
  readonly previous: Hash | undefined
  /** Manifest against the version before. */
  readonly changes: readonly ManifestChange[]
  /** Nodes that have the code; nodes that have seen the record and are ready to run it. */
  readonly copies: readonly string[]
  readonly ready: readonly string[]
  readonly record: FunctionRecord
}
export interface DeployOptions {
  /** Alias to move, default 'stable'; another one deploys beside it. */
  readonly alias?: string
  readonly percent?: number
  /** Answers what would happen; writes nothing. */
  readonly dryRun?: boolean
  /** Refuse unless the function is at this generation (0: must be new). */
  readonly generation?: number
  /** Told of each step, for people. */
  readonly onProgress?: (step: string) => void
}
/** A record of the store that is not used, because its signature or its contents do not fit; see FUNCTION_UNSIGNED. */
export interface CatalogProblem { readonly name: string; readonly reason: string }
export interface FunctionRow {
  readonly name: string
  readonly record: FunctionRecord
  readonly manifest: FunctionManifest
  readonly versions: readonly VersionRecord[]
  /** Node that holds it, of a singleton. */
  readonly holder?: { readonly node: string; readonly epoch: number }
}
export interface CatalogApi {
  deploy(bundle: BuiltBundle, options?: DeployOptions): Promise<DeployReport>
  list(): Promise<readonly FunctionRow[]>
  /** Records that are there and not used, as the connected node sees them. */
  problems(): Promise<readonly CatalogProblem[]>
  get(name: string): Promise<FunctionRow>
  /** To the version before, or to `version` (hash or prefix of one that is kept). */
  rollback(name: string, version?: string): Promise<FunctionRecord>
  /** alias -> "<hash or prefix>" or "<hash>:10%"; null removes the alias. */
  alias(name: string, moves: Readonly<Record<string, string | null>>): Promise<FunctionRecord>
  pause(name: string): Promise<FunctionRecord>
  resume(name: string): Promise<FunctionRecord>
  /** Forgets the function, its versions, state and waiting calls. */
  remove(name: string): Promise<void>
}

// ---------------------------------------------------------------- calls

export interface InvokeOptions {
  readonly target?: TargetText
  readonly timeoutMs?: number
  readonly idempotencyKey?: string
  readonly signal?: AbortSignal
}
export interface NodeAnswer { readonly node: string; readonly value?: unknown; readonly error?: Error & { readonly code?: string } }
/** An asynchronous call that waits, runs, or has failed for good. */
export interface QueuedCall {
  readonly id: string
  readonly name: string
  readonly state: 'waiting' | 'running' | 'dead'
  readonly cause: string
  readonly attempts: number
  readonly enqueuedAtMs: number
  readonly nextAtMs?: number
  readonly error?: { readonly code: string; readonly message: string }
  readonly payload: unknown
}
export interface CallsApi {
  invoke(reference: string, payload?: unknown, options?: InvokeOptions): Promise<unknown>
  /** As invoke, with the record of the call; failures as the outcome's error. */
  call(reference: string, payload?: unknown, options?: InvokeOptions): Promise<{ readonly value?: unknown; readonly error?: Error; readonly call?: CallRecord }>
  invokeAll(reference: string, payload?: unknown, options?: InvokeOptions): Promise<readonly NodeAnswer[]>
  /** Durable and retried; resolves to the call's id when it is certain that it will be made. */
  enqueue(reference: string, payload?: unknown, options?: InvokeOptions): Promise<string>
  /** Makes an asynchronous call of each function that has this topic as a trigger; answers how many. */
  emit(topic: string, payload?: unknown): Promise<number>
  waiting(name?: string): Promise<readonly QueuedCall[]>
  dead(name?: string): Promise<readonly QueuedCall[]>
  /** Puts dead letters back into the queue; answers how many. */
  redrive(name: string, ids?: readonly string[]): Promise<number>
  /** Throws waiting or dead ones away; answers how many. */
  discard(name: string, ids?: readonly string[]): Promise<number>
}

// ---------------------------------------------------------------- observation, secrets

export interface FunctionStats {
  readonly name: string
  readonly calls: number
  readonly errors: number
  readonly p50Ms: number
  readonly p95Ms: number
  readonly coldStarts: number
  readonly cpuMs: number
  readonly running: number
  readonly waiting: number
  readonly versions: Readonly<Record<string, number>>
  readonly nodes: readonly { readonly node: string; readonly calls: number; readonly errors: number; readonly warm: boolean }[]
  /** Nodes that did not answer in time: their calls are not in here. */
  readonly silent?: readonly string[]
}
export interface LogOptions {
  readonly name?: string
  readonly callId?: string
  readonly level?: LogLine['level']
  /** Last lines before following; default 100. */
  readonly lines?: number
  readonly follow?: boolean
  readonly signal?: AbortSignal
}
export interface ObserveApi {
  /** Of all nodes, merged by time as they come; a node that does not answer is told of as a 'system' line. */
  logs(options?: LogOptions): AsyncIterable<LogLine & { readonly node: string }>
  stats(name?: string): Promise<readonly FunctionStats[]>
  /** Prometheus text of the whole fabric. */
  metrics(): Promise<string>
}
export interface SecretRow { readonly name: string; readonly updatedAtMs: number; readonly by: string; readonly sealedTo: readonly string[]; readonly usedBy: readonly string[] }
export interface SecretsApi {
  set(name: string, value: string): Promise<SecretRow>
  list(): Promise<readonly SecretRow[]>
  remove(name: string): Promise<void>
}

/** What the store is, for `kumoi store`. */
export interface StoreStatus { readonly description: string; readonly kind: 'embedded' | 'etcd' | 'memory'; readonly revision: number; readonly keys: number; readonly reachable: boolean; readonly error?: string }
export interface StoreApi {
  status(): Promise<StoreStatus>
  /** Copies every key to another store ("etcd://...", "node:NAME"), checks it, and, unless `keep`, makes all nodes use it. Answers the number of keys. */
  copy(to: string, options?: { readonly keep?: boolean }): Promise<{ readonly keys: number; readonly to: string; readonly switched: boolean }>
}

export interface FunctionsApi extends CatalogApi, CallsApi, ObserveApi { readonly secrets: SecretsApi }

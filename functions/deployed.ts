// Deployed functions: what a user writes in a file, what is recorded about it, and how one call of it is described.
// Loads nothing; every part of functions/{bundle,catalog,invoke,trigger,observe} imports this and no other part's internals.
//
//   hot.ts --bundle/--> script (SHA-256 = version) + manifest --catalog/--> store --watch--> every node's catalog
//   call, tick, event, topic, HTTP --invoke/ or trigger/--> one element of a job --> sandbox --> outcome
//
// A bundle is a Program (contract.ts) whose text is made by bundle/: linked with an empty environment it is the entry,
// `(invocation) => result`; with an environment [site, values] it is a function written inside it (so that
// `pms.dmap(fn)` in a deployed function ships the same bundle, which every node has).

import type { Hash, NodeId } from '../fabric/base.ts'
import type { ErrorRecord } from '../fabric/base.ts'
import type { FailureStatus } from './contract.ts'

// ---------------------------------------------------------------- what a user writes

/** "250ms", "5s", "2m", "1h". */
export type Duration = string

export type TriggerDefinition =
  /** Level-based: a missed tick is made up for by one, not by all. */
  | { readonly every: Duration }
  /** Five or six fields (croner); time zone of the node when left out is UTC. */
  | { readonly cron: string; readonly timezone?: string }
  /** Events of RMOs of a kind ("VM"), of these types (left out: all), whose fields equal `where`, and for which `filter` answers truly (it runs in the sandbox). */
  | { readonly on: string; readonly events?: readonly string[]; readonly where?: Readonly<Record<string, string | number | boolean>>; readonly filter?: (event: Readonly<Record<string, unknown>>) => unknown }
  /** What some function emits under this name. */
  | { readonly topic: string }
  /** POST /functions/NAME on a node's HTTP door; `open`: without a token. */
  | { readonly http: true | { readonly open: true } }

export interface RetryDefinition {
  /** Attempts of an asynchronous call in all; default LIMITS.asyncAttempts. */
  readonly attempts?: number
  /** Wait before the second attempt, doubled after each, with jitter. */
  readonly backoff?: Duration
}

export interface LimitsDefinition {
  /** Of one call; default LIMITS.functionTimeoutMs. */
  readonly timeout?: Duration
  readonly heapMiB?: number
  readonly cpuTime?: Duration
  /** Calls that run at once on one node, and that wait there for their turn; one more is answered "busy". */
  readonly concurrency?: number
  readonly queue?: number
}

/** 'any': the better of two random nodes, preferring a warm one. 'all': every node. 'node:NAME'. 'home': where the RMO in the payload lives. */
export type TargetText = 'any' | 'all' | 'home' | `node:${string}`

/** Given to defineFunction(). `C` is FunctionContext, typed where the kinds are known (cli/api.ts). */
export interface FunctionDefinition<C = unknown, P = never, R = unknown> {
  /** a-z, 0-9 and dashes, up to 63. */
  readonly name: string
  readonly description?: string
  readonly trigger?: TriggerDefinition | readonly TriggerDefinition[]
  /** "vm:read": kind (any kind's short name) and access verb of the gate; nothing else is allowed to it. "function:invoke" to call others. */
  readonly rights?: readonly string[]
  /** At most one runs at a time in the whole fabric, under a fencing epoch. */
  readonly singleton?: boolean
  readonly target?: TargetText
  readonly limits?: LimitsDefinition
  readonly retry?: RetryDefinition
  /** Names of secrets that it may read. */
  readonly secrets?: readonly string[]
  run(context: C, payload: P): R | Promise<R>
}

// ---------------------------------------------------------------- records

export type TriggerRecord =
  | { readonly type: 'every'; readonly everyMs: number }
  | { readonly type: 'cron'; readonly pattern: string; readonly timezone: string }
  | { readonly type: 'event'; readonly kind: string; readonly events: readonly string[]; readonly where: Readonly<Record<string, string | number | boolean>>; readonly filtered: boolean }
  | { readonly type: 'topic'; readonly topic: string }
  | { readonly type: 'http'; readonly open: boolean }

export interface FunctionLimits {
  readonly timeoutMs: number
  readonly heapLimitMiB: number
  readonly cpuTimeMs: number
  readonly concurrency: number
  readonly queue: number
}

/** What a version is: made by bundle/ from the script itself (evaluated in a sandbox), never from claims about it. */
export interface FunctionManifest {
  readonly name: string
  readonly description: string
  /** SHA-256 of the script. */
  readonly version: Hash
  readonly bytes: number
  /** Blob of the source map (JSON), with the sources in it. */
  readonly sourceMap: Hash
  readonly triggers: readonly TriggerRecord[]
  readonly rights: readonly string[]
  readonly singleton: boolean
  readonly target: TargetText
  readonly limits: FunctionLimits
  readonly retry: { readonly attempts: number; readonly backoffMs: number }
  readonly secrets: readonly string[]
  /** Packages bundled into the script, for people. */
  readonly packages: readonly { readonly name: string; readonly version: string }[]
  /** Source files, relative. */
  readonly files: readonly string[]
}

/** Ed25519 by the node through which it was deployed, over the record's canonical JSON without `signature`. */
export interface Signed { readonly by: string; readonly node: NodeId; readonly atMs: number; readonly signature: string }

/** Store key `function-version/NAME/HASH`. Never changes. */
export interface VersionRecord extends Signed { readonly manifest: FunctionManifest }

export interface AliasTarget { readonly version: Hash; /** Share of the calls that name no alias, in percent; 'stable' takes the rest. */ readonly percent?: number }

/** Store key `function/NAME`: the one movable pointer, so that a deploy, a rollback and a move of aliases are one write. */
export interface FunctionRecord extends Signed {
  readonly name: string
  /** 'stable' is always there. */
  readonly aliases: Readonly<Record<string, AliasTarget>>
  /** Versions that were stable, newest first, without the present one; rollback goes to the first. */
  readonly history: readonly Hash[]
  readonly paused: boolean
  /** Grows by one with each write. */
  readonly generation: number
}

// ---------------------------------------------------------------- catalog (this node's copy of the records)

export interface DeployedFunction {
  readonly record: FunctionRecord
  /** Manifest of the stable version. */
  readonly manifest: FunctionManifest
  readonly versions: ReadonlyMap<Hash, VersionRecord>
}
export interface ResolvedFunction { readonly name: string; readonly alias: string; readonly manifest: FunctionManifest; readonly deployer: string }

/** Kept equal to the store's records by a watch; answers from memory, also while the store cannot be reached. */
export interface Catalog {
  get(name: string): DeployedFunction | undefined
  list(): readonly DeployedFunction[]
  /** "name", "name@alias" or "name@hash-prefix"; `draw` in [0, 1) chooses between stable and weighted aliases. Throws FUNCTION_UNKNOWN, FUNCTION_VERSION_UNKNOWN, FUNCTION_PAUSED. */
  resolve(reference: string, draw: number): ResolvedFunction
  /** The version that a running function's principal names. */
  version(name: string, versionPrefix: string): VersionRecord | undefined
  /** The script: of this node's blobs, else fetched from any peer that has it and checked. */
  code(version: Hash, signal?: AbortSignal): Promise<Uint8Array>
  /** The source map, when some node has it. */
  sourceMap(version: Hash): Promise<string | undefined>
  /** Called after a function came, changed or went, with its name. */
  onChange(listener: (name: string) => void): () => void
}

// ---------------------------------------------------------------- one call

export type Cause =
  | { readonly type: 'call' }
  | { readonly type: 'every' | 'cron'; readonly dueAtMs: number }
  | { readonly type: 'event'; readonly event: Readonly<Record<string, unknown>> }
  | { readonly type: 'topic'; readonly topic: string; readonly from: string }
  | { readonly type: 'http'; readonly method: string; readonly path: string; readonly headers: Readonly<Record<string, string>> }

export interface InvokeRequest {
  /** "name", "name@alias", "name@hash-prefix". */
  readonly reference: string
  /** Value-codec bytes of an array of one value. */
  readonly payload: Uint8Array
  readonly cause: Cause
  /** Left out: the manifest's. */
  readonly target?: TargetText
  /** Of the whole call, waiting included; left out: the manifest's. */
  readonly timeoutMs?: number
  /** The same key within LIMITS.idempotencyMs: one effect, the same answer. */
  readonly idempotencyKey?: string
  /** Nested calls that may still come of it, this one's own children included; left out: LIMITS.callBudget. */
  readonly budget?: number
  /** Calls that it is inside of; left out: 0. Of a nested one: the caller's CallScope.depth + 1. */
  readonly depth?: number
  /** W3C trace context of the caller, passed through. */
  readonly traceparent?: string
}

export interface CallRecord {
  /** 16 hex. */
  readonly callId: string
  readonly name: string
  readonly alias: string
  readonly version: Hash
  /** The world's trace id, 32 hex (functions/observe/trace-context.ts). */
  readonly trace: string
  readonly node: NodeId
  readonly nodeName: string
  readonly cause: Cause['type']
  readonly attempt: number
  readonly epoch?: number
  readonly startedAtMs: number
  readonly queuedMs: number
  readonly runMs: number
  readonly cpuMs: number
  /** An isolate or a cell had to be made for it. */
  readonly cold: boolean
  /** Nested calls that it has caused, itself not counted: its caller gets back what is left of the budget it gave. Left out: all of it. */
  readonly nested?: number
}
export type InvokeOutcome =
  | { readonly status: 'value'; /** Value-codec bytes of an array of one value. */ readonly value: Uint8Array; readonly call: CallRecord }
  | { readonly status: FailureStatus; readonly error: ErrorRecord; readonly mayHaveRun: boolean; readonly call?: CallRecord }

/** The invocation as the script's entry gets it, one element of a job; value-codec encoded. */
export interface Invocation {
  /** 'run'; 'filter': the trigger's filter answers whether it is to run; 'describe': answers the definition as plain data. */
  readonly what: 'run' | 'filter' | 'describe'
  readonly trigger?: number
  readonly payload: unknown
  readonly call: { readonly id: string; readonly name: string; readonly alias: string; readonly version: Hash; readonly trace: string; readonly traceparent: string; readonly node: string; readonly attempt: number; readonly epoch: number | null; readonly cause: Cause; readonly deadlineMs: number }
}

/** On whose account the calls out of a running function go (host calls of the context: state, emit, log, ...). */
export interface CallScope {
  readonly name: string
  readonly version: Hash
  readonly alias: string
  readonly callId: string
  /** The world's trace id, 32 hex. */
  readonly trace: string
  /** W3C, with the span of this call: what its own calls carry; left out where a chunk of it runs on another node. */
  readonly traceparent?: string
  readonly deployer: string
  readonly epoch?: number
  readonly budget: number
  /** Calls that it is inside of; left out: 0. */
  readonly depth?: number
  readonly secrets: readonly string[]
  readonly rights: readonly string[]
}

// ---------------------------------------------------------------- between the parts

/** functions/invoke: runs calls. */
export interface Invoker {
  /** Resolves the version, chooses the node(s), waits for the outcome. Rejects only for what concerns the request itself (unknown, paused, malformed). */
  invoke(request: InvokeRequest, authority: CallAuthority): Promise<InvokeOutcome>
  /** 'all': one outcome a node. */
  invokeAll(request: InvokeRequest, authority: CallAuthority): Promise<readonly InvokeOutcome[]>
  /** Durable: when it resolves the call will be made, at least once, and retried; answers its id. */
  enqueue(request: InvokeRequest, authority: CallAuthority): Promise<string>
  /** On this node, in this epoch: for triggers and holders. Never rejects. */
  runHere(resolved: ResolvedFunction, request: InvokeRequest, authority: CallAuthority, extra: { readonly attempt: number; readonly epoch?: number }): Promise<InvokeOutcome>
}

/** On whose behalf, and for how long; contract.ts: Authority. */
export interface CallAuthority { readonly principal: string; readonly trace: string; readonly hop: number; readonly signal: AbortSignal; remainingMs(): number }

/** functions/trigger: who holds which singleton. */
export interface Holders {
  /** The node that holds it, as this node knows it; undefined while nobody does. */
  holder(name: string): { readonly node: NodeId; readonly epoch: number } | undefined
  /** This node's own epoch, while its lease is certainly alive (own monotonic clock); undefined otherwise. */
  mine(name: string): number | undefined
  /**
   * Asks the store whether `epoch` is the present one: called before each effect of a singleton function, at the host
   * that is to carry it out. Rejects with FUNCTION_FENCED when it is stale or the store cannot say.
   */
  check(name: string, epoch: number, signal?: AbortSignal): Promise<void>
}

/** functions/observe: told of everything that happened to calls on this node. */
export interface Observer {
  called(call: CallRecord, outcome: { readonly status: InvokeOutcome['status']; readonly error?: ErrorRecord }): void
  /** A line of a function, or about it (level 'system'). */
  line(line: LogLine): void
  /** Counts that are no calls: busy answers, cold starts, retries, dead letters, ticks missed, breaker openings. */
  count(name: string, what: string, by?: number): void
}

export interface LogLine {
  readonly atMs: number
  readonly name: string
  readonly version: Hash
  readonly callId: string
  readonly trace: string
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'system'
  readonly text: string
  /** Fields of a structured line, plain data. */
  readonly fields?: Readonly<Record<string, unknown>>
}

/**
 * `scope.budget` of 'fn.*' and 'emit' is what the new call gets (its own place is paid already). `nested(n)`: the new call caused n
 * further ones, and the rest of the budget goes back to the caller; never called: nothing goes back.
 */
export type SystemCall = (args: readonly unknown[], scope: CallScope, authority: CallAuthority, nested: (calls: number) => void) => Promise<unknown>

/** Calls that a running function's context makes, by name ("state.get"): each part registers its own (plan/host-calls.ts). */
export interface SystemCalls {
  /** `args` were decoded with the hardened decoder; values that only the function understands come, and go, as bytes. */
  register(verb: string, call: SystemCall): void
}

// Contracts between the parts of functions/: what capture makes, what a plan says, what a cell is
// asked and answers. Loads nothing; every part imports this and no part another's internals.
//
//   capture/ (caller) --Program + Environment--> plan/ (relay) --Job--> sandbox/ (target) --ResultRun--> back
//
// User values are opaque here: Uint8Array holding value-codec bytes (functions/value), decoded only in
// isolates and in the shell that asked.

import type { ErrorRecord, Hash, NodeId } from '../fabric/base.ts'

// ---------------------------------------------------------------- capture

/** Code of one captured function with all it calls: content-addressed, deterministic, carries no values. */
export interface Program {
  /** SHA-256 of `code`. */
  readonly hash: Hash
  /** UTF-8 of a JavaScript expression: `(environment, runtime) => function` (see functions/value/link.ts). */
  readonly code: Uint8Array
}

/** Captured values of one function at one moment. */
export interface Environment {
  readonly hash: Hash
  /** Value-codec bytes; zero length when nothing was captured. */
  readonly bytes: Uint8Array
}

export interface CapturedName { readonly path: string; readonly type: string; readonly bytes: number }
export interface PackageImport { readonly specifier: string; readonly name: string; readonly version: string }

/** What `explain(fn)` shows, and what a node may refuse by. */
export interface Manifest {
  readonly name: string
  readonly location: string | undefined
  readonly codeHash: Hash
  readonly codeBytes: number
  readonly environmentHash: Hash
  readonly environmentBytes: number
  readonly captured: readonly CapturedName[]
  /** npm packages carried by reference (name + version); the target must have them. */
  readonly packages: readonly PackageImport[]
  /** Kinds of RMO references and collections reached ("PhysicalMachine", "pms"). */
  readonly capabilities: readonly string[]
}

export interface Captured {
  readonly program: Program
  readonly environment: Environment
  readonly manifest: Manifest
  /** The templates of the program's text and the function that each was first read from; never travels (capture/frames.ts). */
  readonly origins?: { readonly templates: readonly string[]; readonly functions: readonly object[] }
}

// ---------------------------------------------------------------- references

/** Property under which a remote reference (a proxy in a shell, a handle in a sandbox) carries its record. */
export const REFERENCE = Symbol.for('kumoi.reference')
/** Property under which a collection carries its SourceSpec (so that a captured `pms` re-binds). */
export const COLLECTION = Symbol.for('kumoi.collection')
/** Property under which a function names the one that stands for it inside shipped functions: its path from the sandbox's globalThis. */
export const COUNTERPART = Symbol.for('kumoi.counterpart')

/** Property under which a bundle marks a function that may be shipped: { program, site, values() } (functions/sandbox/prelude/bundle.ts). */
export const SHIPPED = Symbol.for('kumoi.shipped')

/** Identity of a resource-mapped object, never a table slot. */
export interface ReferenceRecord {
  readonly kind: string
  readonly uuid: string
  /** Node it was last known at. */
  readonly home: NodeId
  readonly name: string
  /** Attributes as of when the reference was made; of a cold object: its settings. */
  readonly attributes: Readonly<Record<string, unknown>>
  /** A draft: no resource stands behind it yet; it travels by value. */
  readonly cold?: true
}

/** A verb that a cold object carries out on its own settings: puts the argument into the list or the field `setting`. */
export interface ColdVerb { readonly setting: string; readonly how: 'append' | 'remove' | 'set' }

/** What the sandbox and the shell must know of a kind to make handles for it; plain data, made by rmo/defineKind. */
export interface KindShape {
  readonly kind: string
  /** Read without a call, from the reference's attributes. */
  readonly attributes: readonly string[]
  /** Asynchronous methods: handle.verb(...args) is one host call. */
  readonly verbs: readonly string[]
  /** Asynchronous collections of references: property -> kind. */
  readonly collections: Readonly<Record<string, string>>
  /** Single pipelined references, such as pm.vmm: property -> kind. */
  readonly references?: Readonly<Record<string, string>>
  /** Attributes that can be assigned: on a cold object at once, on a live one as a patch that later calls wait for. */
  readonly settable?: readonly string[]
  /** What a cold object of this kind can do; absent: the kind has no cold objects. */
  readonly coldVerbs?: Readonly<Record<string, ColdVerb>>
  /** Name of the collection of all of them ("pms"): a deployed function's context has it. */
  readonly plural?: string
}

// ---------------------------------------------------------------- plan

export type StageVerb = 'map' | 'filter' | 'flatMap' | 'forEach'
export interface FunctionRef { readonly code: Hash; readonly environment: Hash; readonly name: string }
export interface Stage extends FunctionRef { readonly verb: StageVerb }

/**
 * What happens to the outputs of the stages inside the cell. 'collect' returns them; the others fold them:
 * 'reduce' combines outputs (associative, order kept), 'fold' starts at `initial` (value bytes, same operator
 * for partials), 'count' counts, 'sum' | 'min' | 'max' are numeric (or bigint), 'group' makes key -> outputs
 * by a function, 'some' | 'every' | 'find' stop early.
 */
export type Terminal =
  | { readonly verb: 'collect' | 'count' | 'sum' | 'min' | 'max' }
  | ({ readonly verb: 'reduce' } & FunctionRef)
  | ({ readonly verb: 'fold'; readonly initial: Uint8Array } & FunctionRef)
  | ({ readonly verb: 'group' | 'some' | 'every' | 'find' } & FunctionRef)

/** Where elements come from. */
export type SourceSpec =
  /** All objects of a kind, resolved by rmo at the relay. */
  | { readonly type: 'kind'; readonly kind: string }
  /** These objects. */
  | { readonly type: 'references'; readonly references: readonly ReferenceRecord[] }
  | { readonly type: 'range'; readonly from: number; readonly to: number; readonly step: number }
  /** Items the caller sends, chunk by chunk. */
  | { readonly type: 'items' }

export interface RunLimits {
  readonly timeoutMs: number
  readonly heapLimitMiB: number
  readonly cpuTimeMs: number
  readonly resultBytes: number
  readonly hostCalls: number
  /** Async elements of one chunk under way at once inside an isolate. */
  readonly concurrency: number
  /** A new context for each call instead of the warm one. */
  readonly fresh: boolean
}

// ---------------------------------------------------------------- outcomes

export type OutcomeStatus = 'value' | 'error' | 'crash' | 'out-of-memory' | 'timeout' | 'cancelled' | 'unreachable'
export type FailureStatus = Exclude<OutcomeStatus, 'value'>

/** One per element that was asked; `.settled()` gives these. */
export type Outcome<T> =
  | { readonly status: 'value'; readonly index: number; readonly value: T; readonly node: NodeId; readonly nodeName: string }
  | { readonly status: FailureStatus; readonly index: number; readonly error: Error & { readonly code?: string }; readonly node: NodeId | undefined; readonly nodeName: string | undefined; readonly element: string | undefined; readonly mayHaveRun: boolean }

/**
 * Results of consecutive source elements [from, from + count): either all produced values, `outputs` of
 * them as one value-codec array in `values` (for a map outputs = count; `counts`, when present, is a u32
 * little-endian output count per element, for filter and flatMap), or one failure that they all share.
 * Folding terminals put one partial result (an array of one value) for all of the chunk.
 */
export type ResultRun =
  | { readonly from: number; readonly count: number; readonly outputs: number; readonly counts?: Uint8Array; readonly values: Uint8Array }
  | { readonly from: number; readonly count: number; readonly failure: Failure }

export interface Failure { readonly status: FailureStatus; readonly error: ErrorRecord; readonly mayHaveRun: boolean }

// ---------------------------------------------------------------- sandbox

/** Elements of one chunk. `items`: value-codec array of `count` values, or, for RMO elements, of references. */
export type ChunkInput =
  | { readonly type: 'items'; readonly count: number; readonly bytes: Uint8Array }
  | { readonly type: 'range'; readonly count: number; readonly start: number; readonly step: number }

/** One chunk of one run, given to the cell of its principal. */
export interface Job {
  readonly principal: string
  /** For logs and for naming in errors. */
  readonly trace: string
  readonly stages: readonly Stage[]
  readonly terminal: Terminal
  readonly input: ChunkInput
  /** Index of the first element, added to the indices in results. */
  readonly baseIndex: number
  readonly limits: RunLimits
  /** Runs that it is inside of: 0 (or left out) for one asked for from outside. Deeper ones never wait for places that shallower ones hold while they wait for them. */
  readonly depth?: number
  /** Of a plain map: elements that end long before the last are told at once (JobHooks.settled), each as an array of one. */
  readonly early?: boolean
  /** Code and environments by hash; asked at most once per cell for each hash that it lacks. */
  blob(hash: Hash): Uint8Array
}

/** A call out of the sandbox through a capability handle. `target` undefined: a fabric-wide function such as reading `pms`. */
export interface HostCall {
  readonly target: { readonly kind: string; readonly uuid: string; readonly home: NodeId } | undefined
  readonly verb: string
  /** Value-codec array of the arguments: hostile until decoded with the hardened decoder. */
  readonly args: Uint8Array
  /** Element of the job (0-based) that makes it; -1 when that is not known. */
  readonly element: number
}

export interface ConsoleLine {
  readonly level: 'log' | 'info' | 'warn' | 'error' | 'debug'
  readonly text: string
  /** Element of the job (0-based) whose line it is, as the cell says; -1 when it is not known. */
  readonly element: number
  /** Of a structured line; plain data out of a sandbox. */
  readonly fields?: Readonly<Record<string, unknown>>
}

export interface JobHooks {
  /** Answers value-codec bytes of the result; a rejection reaches the sandboxed caller as its error record. */
  hostCall(call: HostCall, signal: AbortSignal): Promise<Uint8Array>
  console(line: ConsoleLine): void
  /** Of a job with `early`: element `index` has ended while others go on; the result tells it again. May be told twice, after a run again. */
  settled?(index: number, ended: { readonly values: Uint8Array } | { readonly failure: Failure }): void
}

export interface JobResult {
  /** Covers exactly [baseIndex, baseIndex + count), each index in exactly one run, in order. */
  readonly runs: readonly ResultRun[]
  /** Time spent inside the isolate; feeds adaptive chunking. */
  readonly cpuMs: number
  readonly wallMs: number
  /** 'some' | 'every' | 'find': decided, later chunks need not run. */
  readonly decided: boolean
}

/** One node's sandbox: cells by principal. Implementations: cells (processes), and none other for user code. */
export interface Sandbox {
  /** Never rejects for what the user's code did: that is in the result. Rejects with a CodedError when the job was not accepted (busy, quarantined). */
  run(job: Job, hooks: JobHooks, signal: AbortSignal): Promise<JobResult>
  /** Makes a cell ready for a principal ahead of its first job. */
  warm(principal: string): Promise<void>
  stats(): SandboxStats
  /** SIGKILLs every cell. */
  close(): Promise<void>
}

export interface CellStats { readonly principal: string; readonly pid: number; readonly residentMiB: number; readonly running: number; readonly queued: number; readonly kills: number; /** By the kernel's count, where it keeps one. */ readonly peakMiB?: number }
/** One of the walls around cells: whether this machine allows it, and what stands instead when not. */
export interface WallReport { readonly wall: string; readonly state: 'up' | 'absent'; readonly how: string }
export interface SandboxStats { readonly cells: readonly CellStats[]; readonly quarantined: readonly Hash[]; readonly walls?: readonly WallReport[] }

// ---------------------------------------------------------------- capabilities (handed in by rmo)

/** On whose behalf something is done, and for how long. */
export interface Authority {
  readonly principal: string
  readonly trace: string
  readonly hop: number
  readonly signal: AbortSignal
  /** Id of the change that this is part of; given to the first node, carried to the object's home, written into its audit. */
  readonly operation?: string
  /** Hash of the shipped program that asks, for the audit; a deployed function's stands in its principal. */
  readonly code?: Hash
  remainingMs(): number
}

/** What functions/ knows of resources: a table handed in by rmo/, never an import. */
export interface Capabilities {
  readonly shapes: readonly KindShape[]
  /** Relay: all objects of a kind, ordered by name then uuid. Attributes may be absent (names, uuid and home are there); with 'names' none is fetched. */
  resolve(kind: string, authority: Authority, want?: 'names' | 'attributes'): Promise<readonly ReferenceRecord[]>
  /** Relay: references that a caller gave, each with the node that its element is worked on: what every node has is worked on here. */
  settle?(references: readonly ReferenceRecord[]): readonly ReferenceRecord[]
  /** Target: records with attributes as of now for objects that live on this node; an error record for one that does not. */
  refresh(references: readonly ReferenceRecord[], authority: Authority): Promise<readonly (ReferenceRecord | { readonly error: ErrorRecord })[]>
  /** The gate: every verb of every object, from a sandbox, a shell or another node, passes here; forwards to the object's home when it is not this node. */
  invoke(target: { readonly kind: string; readonly uuid: string; readonly home: NodeId }, verb: string, args: readonly unknown[], authority: Authority): Promise<unknown>
  /** As invoke, on value-codec bytes, decoded at the object's home only. */
  invokeEncoded(target: { readonly kind: string; readonly uuid: string; readonly home: NodeId }, verb: string, args: Uint8Array, authority: Authority): Promise<Uint8Array>
}

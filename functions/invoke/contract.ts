// What the parts of invoke/ share: one call as a node runs it, and what they need of the node around them.
// Loads nothing.

import type { Clock, ErrorRecord, Hash, NodeId, Random } from '../../fabric/base.ts'
import type { RpcPeer } from '../../fabric/mod.ts'
import type { Admission } from '../admission.ts'
import type { FailureStatus, Sandbox } from '../contract.ts'
import type { HostCalls } from '../plan/host-calls.ts'
import type { Catalog, Cause, Holders, InvokeOutcome, Observer, ResolvedFunction, VersionRecord } from '../deployed.ts'

/** A call whose version is chosen. */
export interface VersionCall {
  readonly resolved: ResolvedFunction
  /** Array of one value, checked (items.ts). */
  readonly payload: Uint8Array
  readonly cause: Cause
  readonly timeoutMs: number
  readonly budget: number
  readonly depth: number
  readonly traceparent: string | undefined
  readonly attempt: number
  readonly epoch: number | undefined
  /** The trigger whose filter is asked, instead of a run. */
  readonly filter?: number
}

export interface MemberLoad { readonly id: NodeId; readonly name: string; readonly cpuRatio: number }

/** What the part of a node that sends calls needs of the node. */
export interface InvokeSurroundings {
  readonly catalog: Catalog
  readonly holders: Holders
  readonly observer: Observer
  readonly clock: Clock
  readonly random: Random
  readonly self: { readonly id: NodeId; readonly name: string }
  /** Alive members, this node too. */
  nodes(): readonly MemberLoad[]
  peer(node: NodeId): RpcPeer | Promise<RpcPeer>
  /** Reads a version's record where the catalog has not seen it yet: a call may be ahead of the watch. */
  fetchVersion?(name: string, version: Hash): Promise<VersionRecord | undefined>
}

export type FailedOutcome = Exclude<InvokeOutcome, { status: 'value' }>
export const failed = (status: FailureStatus, error: ErrorRecord, mayHaveRun: boolean): FailedOutcome => ({ status, error, mayHaveRun })

export interface RunnerOptions {
  readonly sandbox: Sandbox
  readonly catalog: Pick<Catalog, 'code' | 'sourceMap'>
  readonly observer: Observer
  readonly clock: Clock
  readonly random: Random
  readonly self: { readonly id: NodeId; readonly name: string }
  /** Chunks that one node computes at once: its cores. */
  readonly lanes: number
  /** What this node refuses to run; default: nothing. */
  readonly admission?: Admission
  /** Whoever deployed it has been cut off: his functions run no more. */
  readonly cutOff?: (principal: string) => boolean
  /** Answers the calls out of running functions. */
  readonly hostCalls: Pick<HostCalls, 'answer'>
  /** Frames of a bundle's stack in the lines of its sources (functions/bundle). */
  originalStack?(stack: string, sourceMap: string): string
  /** Takes the values of secrets out of what a function threw, before anybody is told (functions/state/redaction.ts). */
  redact?(error: ErrorRecord): ErrorRecord
}

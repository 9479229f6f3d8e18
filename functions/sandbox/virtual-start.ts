// The sandbox of simulations: what it is asked (virtual.ts answers), and its start, which is late because it brings
// isolated-vm into the process.

import type { Clock, Random } from '../../fabric/base.ts'
import type { ChunkInput, HostCall, Job, JobHooks, JobResult, KindShape } from '../contract.ts'

export interface VirtualSandboxOptions {
  /** As a node's: the prelude is bundled into it. */
  readonly cacheDirectory: string
  readonly shapes: readonly KindShape[]
  readonly packageDirectories: readonly string[]
  readonly clock: Clock
  readonly random: Random
}

/** Something encoded that is often the same: while `version` is the same object, the bytes of that slot are the same. */
export interface Kept {
  readonly slot: number
  readonly version: object
  bytes(): Uint8Array
  /** Of an answer: an array of the same references' attributes that are other than in that version; undefined: there is more to it. */
  changes?(since: object): Uint8Array | undefined
}
/** Elements by number instead of `bytes`: references whose attributes hold nothing nested; each `Kept` is an array of one. */
export type KeptInput = Extract<ChunkInput, { readonly type: 'items' }> & { readonly kept: readonly Kept[] }
/** What is known of a world that stands still between two events. */
export interface Known {
  /** An array of references of a kind that has settable attributes, known without waiting; undefined: ask hostCall. */
  answer(call: HostCall): Kept | undefined
  /** While it is the same, so are all answers: the isolate gives them again by itself. */
  revision(): number
  /** So many calls were answered by the isolate itself. */
  answered(kind: string, verb: string, calls: number): void
}
export interface VirtualHooks extends JobHooks { readonly known?: Known }
export interface VirtualSandbox {
  /** Never rejects for what the code did. */
  run(job: Job, hooks: VirtualHooks, signal: AbortSignal): Promise<JobResult>
  close(): void
}

export async function createVirtualSandbox(options: VirtualSandboxOptions): Promise<VirtualSandbox> {
  return (await import('./virtual.ts')).createVirtualSandbox(options)
}

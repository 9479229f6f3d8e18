// What a relay needs of its node, and what it tells its caller (relay.ts).

import type { Clock, Hash, NodeId, Random } from '../../fabric/base.ts'
import type { Authority, Capabilities, ResultRun } from '../contract.ts'
import type { RateBook } from './chunking.ts'
import type { Blobs, ExecuteSession, ExecuteSink } from './executor.ts'
import type { RunSpec } from './wire.ts'

export interface RelayOptions {
  readonly self: NodeId
  readonly clock: Clock
  readonly random: Random
  readonly blobs: Blobs
  readonly capabilities: Capabilities
  readonly rates: RateBook
  /** Nodes that may run data chunks, with their load (0 idle .. 1 busy per core). */
  nodes(): readonly { readonly id: NodeId; readonly name: string; readonly load: number }[]
  nameOf(id: NodeId): string
  /** A session on a node; for other nodes `lost` is called once when the session ends before its close(). */
  openSession(node: NodeId, spec: RunSpec, authority: Authority, sink: ExecuteSink, lost: (error: unknown) => void, shape: SessionShape): Promise<ExecuteSession> | ExecuteSession
  /** Calls back when a member is declared dead or left; returns the unsubscription. */
  onMemberGone(gone: (id: NodeId) => void): () => void
}

/** 'one chunk': the first chunk is the only one the node will get, so it travels with the open. */
export type SessionShape = 'one chunk' | 'many chunks'

/** The caller's end of the run. */
export interface RunCaller {
  need(hashes: readonly Hash[]): void
  pull(items: number, chunks: number): void
  total(count: number): void
  /** Resolves when the caller can take more. */
  runs(node: NodeId | undefined, nodeName: string | undefined, runs: readonly ResultRun[]): Promise<void>
  console(nodeName: string, level: string, text: string, fields: Readonly<Record<string, unknown>> | undefined): void
}

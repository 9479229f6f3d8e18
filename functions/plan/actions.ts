// What the run core is told at the start and asks for as it goes (run-core.ts).

import type { NodeId, Random } from '../../fabric/base.ts'
import type { ResultRun } from '../contract.ts'
import type { Chunk } from './chunk.ts'
import type { Rate } from './chunking.ts'

export type Action =
  | { readonly type: 'dispatch'; readonly chunk: Chunk; readonly node: NodeId }
  | { readonly type: 'emit'; readonly node: NodeId | undefined; readonly runs: readonly ResultRun[] }
  /** Ask the caller for `chunks` more data chunks of `items` elements each. */
  | { readonly type: 'pull'; readonly items: number; readonly chunks: number }
  | { readonly type: 'cancel'; readonly chunk: Chunk; readonly node: NodeId }
  | { readonly type: 'retry-after'; readonly delayMs: number }
  | { readonly type: 'finish' }

export interface RunCoreOptions {
  /** For data chunks; machines use `retries` alone. */
  readonly retries: number
  readonly random: Random
  readonly rate: Rate | undefined
  /** Stops dispatching as soon as a chunk says it has decided the answer ('some', 'every', 'find'). */
  readonly stopsEarly: boolean
  readonly windowItems?: number
  /** A node's name, for messages; the id's beginning otherwise. */
  readonly nameOf?: (id: NodeId) => string
}

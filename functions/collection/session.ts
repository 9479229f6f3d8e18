// What a collection needs of the program that holds it: a connection to a node, how references and
// collections inside answers become live objects, and where console lines go.

import type { RpcPeer } from '../../fabric/mod.ts'
import type { ReferenceRecord, SourceSpec } from '../contract.ts'
import type { CollectionOptions } from './contract.ts'

export interface Session {
  readonly peer: RpcPeer
  /** Principal suffix: a cell of one's own. */
  readonly principal: string | undefined
  readonly defaults: CollectionOptions
  /** Makes the live object for a reference in an answer. */
  reference(record: ReferenceRecord): object
  collection(spec: SourceSpec): object
  /** A reference usable before it is known; resolves by `record`. */
  pipelined(record: Promise<ReferenceRecord>, kind: string): object
  console(line: { readonly nodeName: string; readonly level: string; readonly text: string }): void
  /** Names to treat as captured although they are globals (one-liners, REPL). */
  readonly globals: Readonly<Record<string, unknown>>
  /** References of a kind with their attributes, for plain verbs. */
  list(kind: string, options: CollectionOptions): Promise<readonly object[]>
  /** How many there are of a kind, without their attributes. */
  count(kind: string, options: CollectionOptions): Promise<number>
}

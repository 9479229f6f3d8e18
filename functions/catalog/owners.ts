// Which nodes keep a copy of a blob: rendezvous hashing (trigger/rendezvous.ts), so that every node says the same without
// asking, and a member that comes or goes moves only its own share. Pure.

import type { Hash, NodeId } from '../../fabric/base.ts'
import { score } from '../trigger/rendezvous.ts'

/** The nodes, those first that are to keep `hash`. */
export function byRendezvous<T extends { readonly id: NodeId }>(hash: Hash, nodes: readonly T[]): readonly T[] {
  return nodes.map((node) => ({ node, score: score(hash, node.id) }))
    .toSorted((a, b) => b.score - a.score || (a.node.id < b.node.id ? -1 : 1)).map(({ node }) => node)
}

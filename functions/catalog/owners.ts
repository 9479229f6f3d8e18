// Which nodes keep a copy of a blob: rendezvous hashing, so that every node says the same without asking, and a member
// that comes or goes moves only its own share. Pure.
//
// Source: Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous" (1996). Hashes and ids (public keys) are
// uniform already, so mixing 32 bits of each is enough (murmur3's finalizer); equal scores fall to the lesser id.

import type { Hash, NodeId } from '../../fabric/base.ts'

function score(hash: number, node: NodeId): number {
  let mixed = (hash ^ Math.imul(parseInt(node.slice(0, 8), 16), 0x9e3779b1)) >>> 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b) >>> 0
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35) >>> 0
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** The nodes, those first that are to keep `hash`. */
export function byRendezvous<T extends { readonly id: NodeId }>(hash: Hash, nodes: readonly T[]): readonly T[] {
  const head = parseInt(hash.slice(0, 8), 16)
  return nodes.map((node) => ({ node, score: score(head, node.id) }))
    .toSorted((a, b) => a.score - b.score || (a.node.id < b.node.id ? -1 : 1)).map(({ node }) => node)
}

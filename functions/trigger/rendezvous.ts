// Order of the candidates for a function: each node scores (function, node) alike, so all agree without a word, functions
// spread over the nodes, and a node that comes or goes changes only what it wins. Source: Thaler and Ravishankar 1998.

import type { NodeId } from '../../fabric/base.ts'

const OFFSET = 0x811c9dc5
const PRIME = 0x01000193

/** 32-bit FNV-1a with an avalanche at its end (murmur3's), so that near names score far apart. */
export function score(name: string, node: NodeId): number {
  let hash = OFFSET
  const text = `${name}\0${node}`
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), PRIME)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Place of `self` among `nodes` for `name`; 0 is the first choice. A node that is not in the list counts as if it were. */
export function rankOf(name: string, self: NodeId, nodes: readonly NodeId[]): number {
  const own = score(name, self)
  return nodes.filter((node) => {
    if (node === self) return false
    const other = score(name, node)
    return other > own || (other === own && node < self)
  }).length
}

// Which node runs a call that may run anywhere: the better of two, as this node knows them (calls of its own under way there,
// what the last answer told, gossip), preferring those that are warm for the version, and itself while it has little to
// do. Pure: what is known comes in as records.
//
// Source: Mitzenmacher, the power of two choices; warm affinity as in functions.md lesson 13.

import type { NodeId, Random } from '../../fabric/base.ts'

export interface NodeLoad {
  readonly id: NodeId
  /** Calls under way or waiting there: this node's own, or as told, whichever is more. */
  readonly calls: number
  /** 0 to 1, as gossiped. */
  readonly cpuRatio: number
  readonly warm: boolean
}

/** Calls that a cold start is worth waiting behind. */
const COLD_CALLS = 4
/** Calls that a hop is worth: a node that is itself asked keeps short queues to itself. */
const HOP_CALLS = 4

/** The lower the better. */
const costOf = ({ id, calls, cpuRatio, warm }: NodeLoad, self: NodeId): number =>
  calls + cpuRatio + (warm ? 0 : COLD_CALLS) + (id === self ? 0 : HOP_CALLS)

/** Undefined: nobody is there. */
export function chooseNode(nodes: readonly NodeLoad[], self: NodeId, random: Random): NodeId | undefined {
  const first = nodes[nodes.length < 2 ? 0 : random.int(nodes.length)]
  if (first === undefined) return undefined
  let best = first
  const consider = (other: NodeLoad | undefined): void => {
    if (other !== undefined && costOf(other, self) < costOf(best, self)) best = other
  }
  if (nodes.length > 1) {
    const warm = nodes.filter((node) => node.warm && node !== first)
    const others = warm.length > 0 ? warm : nodes.filter((node) => node !== first)
    consider(others[random.int(others.length)])
    consider(nodes.find(({ id }) => id === self))
  }
  return best.id
}

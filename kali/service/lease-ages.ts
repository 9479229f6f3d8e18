// Since when each node's lease has been there, or gone, as this node sees it: for people and policies. The permission to
// take a VM over is not read from here: the transaction itself asks whether the lease key is there (relocation.ts).

import type { Clock, NodeId } from '../../fabric/base.ts'
import type { CloudView, MachineView } from '../cloud/contract.ts'

export type LeaseAge = MachineView['lease']
export interface LeaseAges { of(node: NodeId): LeaseAge; stop(): void }

export function createLeaseAges({ view, clock }: { readonly view: CloudView; readonly clock: Clock }): LeaseAges {
  const startedAtMs = clock.nowMs()
  const seen = new Map<NodeId, { readonly state: LeaseAge['state']; readonly sinceMs: number }>()
  const look = (node: NodeId): void => {
    const state = view.lease(node) === undefined ? 'gone' : 'held'
    if (seen.get(node)?.state !== state) seen.set(node, { state, sinceMs: seen.has(node) ? clock.nowMs() : startedAtMs })
  }
  const lookAtAll = (): void => {
    const nodes = new Set(view.machines().map(({ node }) => node))
    for (const node of nodes) look(node)
    for (const node of seen.keys()) if (!nodes.has(node)) seen.delete(node)
  }
  lookAtAll()
  const stop = view.onChange(({ type }) => { if (type === 'lease' || type === 'machine') lookAtAll() })
  return {
    of(node) {
      look(node)
      const { state, sinceMs } = seen.get(node) ?? { state: 'gone', sinceMs: startedAtMs }
      return { state, ageMs: Math.max(0, clock.nowMs() - sinceMs) }
    },
    stop,
  }
}

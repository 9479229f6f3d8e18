// Whose rules hold for an object: itself, what it is part of, and the Global last. At once, from what this node has.
//
//   Snapshot, Port of a VM > VM > pool that manages it > machine > Global
//   Volume, Image, Network, Switch, VMM > machine > pool of the machine > Global        Elasticity > pool > Global
//
// Invariant: a pool's rules hold for the VMs that it manages, not for whatever else stands on its machines: a VM taken out
// of the pool is out of its rules, and who may operate a pool's VMs may not operate his neighbour's.

import type { Ancestors, LocalObjects, ObjectKey } from '../../../rmo/mod.ts'
import type { NodeCloudView } from '../../cloud/view.ts'
import { GLOBAL_UUID } from '../global.ts'

export const GLOBAL: ObjectKey = Object.freeze({ kind: 'Global', uuid: GLOBAL_UUID })

/** What is part of what is part of ...: a snapshot of a VM of a machine. */
const STEPS_MAX = 4

export function createAncestors({ view, objects }: { readonly view: Pick<NodeCloudView, 'intent' | 'machine'>; readonly objects: Pick<LocalObjects, 'get'> }): Ancestors {
  return ({ kind, uuid }) => {
    const chain: ObjectKey[] = []
    let ofVm = false
    let next: ObjectKey | undefined = { kind, uuid }
    for (let steps = 0; next !== undefined && next.kind !== 'Global' && steps < STEPS_MAX; steps++) {
      const at: ObjectKey = next
      chain.push(at)
      next = objects.get(at.kind, at.uuid)?.partOf?.()
      if (at.kind === 'VM') {
        ofVm = true
        const intent = view.intent(at.uuid)
        if (intent !== undefined) chain.push({ kind: 'Pool', uuid: intent.pool })
        // It is elsewhere, or on its way: what the cloud says.
        if (next === undefined && intent?.machine !== undefined) next = { kind: 'PhysicalMachine', uuid: intent.machine.uuid }
      } else if (at.kind === 'PhysicalMachine' && !ofVm) {
        const pool = view.machine(at.uuid)?.pool
        if (pool !== undefined) next = { kind: 'Pool', uuid: pool }
      }
    }
    chain.push(GLOBAL)
    return chain
  }
}

// What all simulated machines agree on, and what their hosts ask before they set anything going: the records of the cloud in a
// store in memory, one view and one book, and a lease a machine. The same parts as a node's (kali/cloud-node.ts), on virtual
// time. Machines are nodes of their own here, so that one can be lost: nodeOf names them, by machine.

import { createHash } from 'node:crypto'
import { seededRandom } from '../../fabric/base.ts'
import type { Clock, NodeId } from '../../fabric/base.ts'
import { createMemoryGlobalStore } from '../../fabric/mod.ts'
import type { GlobalStore, Log } from '../../fabric/mod.ts'
import type { VmGuard } from '../../rmo/mod.ts'
import { createCloudBook } from '../cloud/book.ts'
import type { CloudBook } from '../cloud/parts.ts'
import { createCloudView } from '../cloud/view.ts'
import type { NodeCloudView } from '../cloud/view.ts'
import { createGuard } from '../lease/guard.ts'
import { TIMINGS } from '../lease/timings.ts'
import { createSimulatedLease } from './lease.ts'
import type { SimulatedLease } from './lease.ts'

export interface CloudBaseOptions {
  readonly clock: Clock
  readonly seed: number
  readonly warn: (text: string, details?: Readonly<Record<string, unknown>>) => void
}
export interface SimulatedCloudBase {
  readonly store: GlobalStore
  readonly view: NodeCloudView
  readonly book: CloudBook
  readonly log: Log
  leaseOf(machine: string, name: string): SimulatedLease
  guardOf(machine: string, name: string): VmGuard
  stop(): Promise<void>
}

export const timings = TIMINGS.fast
/** The node that a simulated machine would be. */
export const nodeOf = (machine: string): NodeId => createHash('sha256').update(`simulated node of ${machine}`).digest('hex') as NodeId

/** Nothing of it takes time until view.start(). */
export function createCloudBase({ clock, seed, warn }: CloudBaseOptions): SimulatedCloudBase {
  const random = seededRandom(seed ^ 0x2545f491)
  const store = createMemoryGlobalStore({ clock, random })
  const ignore = (): void => {}
  const log: Log = { info: ignore, warn: (text, details) => warn(text, details), error: (text, details) => warn(text, details) }
  const view = createCloudView({ store, clock, log })
  const book = createCloudBook({ store, view, clock, random, log })
  const leases = new Map<string, SimulatedLease>()
  const leaseOf = (machine: string, name: string): SimulatedLease => {
    const present = leases.get(machine)
    if (present !== undefined) return present
    const made = createSimulatedLease({ store, clock, node: nodeOf(machine), name, timings, failed: (error) => warn('a simulated lease failed', { reason: String(error) }) })
    leases.set(machine, made)
    return made
  }
  return {
    store, view, book, log, leaseOf,
    guardOf: (machine, name) => createGuard({ view, book, lease: leaseOf(machine, name), clock, bootClock: { nowMs: () => clock.nowMs() }, machine, name }),
    async stop() {
      await Promise.all([...leases.values()].map((lease) => lease.stop()))
      await view.stop()
      await store.close()
    },
  }
}

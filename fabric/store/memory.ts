// The global store in memory: for tests and simulation, on the clock that it is given. Gone with the process.

import { seededRandom } from '../clock.ts'
import type { Clock, Random } from '../clock.ts'
import type { StoreEngine } from './engine.ts'
import { createLocalStore } from './local.ts'

/** Ids of leases are drawn from `random`; left out: from a fixed seed. */
export function createMemoryGlobalStore(options: { readonly clock: Clock; readonly random?: Random }): StoreEngine {
  return createLocalStore({ kind: 'memory', description: 'memory', clock: options.clock, random: options.random ?? seededRandom(1) })
}

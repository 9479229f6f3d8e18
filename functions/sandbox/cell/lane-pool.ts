// piscina's owner: the threads of a cell, one for each lane.

import { createRequire } from 'node:module'
import type { Piscina } from 'piscina'
import type { LaneSettings } from './lane-worker.ts'

declare const KUMOI_PISCINA: string

export function createLanePool(worker: string, lanes: number): { run(settings: LaneSettings): Promise<void> } {
  const { Piscina: Pool } = createRequire(import.meta.url)(KUMOI_PISCINA) as { Piscina: typeof Piscina }
  const pool = new Pool({
    filename: worker, minThreads: 0, maxThreads: lanes, concurrentTasksPerWorker: 1, atomics: 'disabled', idleTimeout: Infinity,
    recordTiming: false, workerHistogram: false, resourceLimits: { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 256 },
  })
  return { run: (settings) => pool.run(settings) as Promise<void> }
}

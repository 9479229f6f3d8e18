// The schedulers there are; a new one is a file and a line here. `pool.scheduler = 'NAME'`.

import type { Scheduler } from '../../cloud/contract.ts'
import { energy } from './energy.ts'
import { load } from './load.ts'
import { packing } from './packing.ts'
import { rank } from './rank.ts'
import { striping } from './striping.ts'

export const SCHEDULERS: readonly Scheduler[] = [rank, packing, striping, load, energy]

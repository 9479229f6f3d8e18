// The paper's scheduler (Figure 3): machines by rank, the first that is available.

import type { Scheduler } from '../../cloud/contract.ts'
import { freeShare } from '../shares.ts'

export const rank: Scheduler = {
  name: 'rank',
  doc: 'the machine with the greatest free share of vcpus and memory',
  options: {},
  score: (_vm, machine) => ({ score: freeShare(machine) }),
}

// Spreads by number: the machine with the fewest VMs, of equals the one with the greater free share.

import type { Scheduler } from '../../cloud/contract.ts'
import { freeShare, vmsOn } from '../shares.ts'

/** Less than one VM, so that it only orders equals. */
const FREE_WEIGHT = 0.5

export const striping: Scheduler = {
  name: 'striping',
  doc: 'the machine with the fewest VMs',
  options: {},
  score(_vm, machine) {
    const vms = -vmsOn(machine), free = FREE_WEIGHT * freeShare(machine)
    return { score: vms + free, parts: { vms, free } }
  },
}

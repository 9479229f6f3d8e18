// Best fit: the machine that the VM leaves least free, so that others stay empty for big VMs, or for sleep.

import type { Scheduler } from '../../cloud/contract.ts'
import { freeShare } from '../shares.ts'

export const packing: Scheduler = {
  name: 'packing',
  doc: 'the machine that it leaves least free, so that others stay empty',
  options: {},
  score: (vm, machine) => ({ score: 1 - freeShare(machine, vm) }),
}

// By measured load: the machine whose processors would be least busy with the VM, what is in flight there counted at full
// load (board.ts). `memory` weighs free memory against it: a machine that idles but has its memory full is no good place.

import type { Scheduler } from '../../cloud/contract.ts'
import { capacityOf } from '../shares.ts'

export const load: Scheduler = {
  name: 'load',
  doc: 'the machine whose processors would be least busy, VMs in flight counted',
  options: { memory: 0.1 },
  score(vm, machine, _request, options) {
    const capacity = capacityOf(machine).memoryMiB
    const cpu = -(machine.cpuRatio + vm.vcpus / Math.max(1, machine.cores))
    const memory = capacity > 0 ? Number(options['memory']) * (machine.freeMemoryMiB - vm.memoryMiB) / capacity : 0
    return { score: cpu + memory, parts: { cpu, memory } }
  },
}

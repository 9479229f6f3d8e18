// Consolidation as placement: machines that run VMs are filled before empty ones, and no machine is woken while an awake one
// has room (ranking.ts sees to that for every scheduler). In watts: what the VM would add at full load, and the idle draw of
// a machine that without it could sleep. Among equals the fuller machine.
//
// Source: Beloglazov and Buyya's power-aware best fit decreasing, by increase of power; linear model of power by load.

import type { Scheduler } from '../../cloud/contract.ts'
import { freeShare, vmsOn } from '../shares.ts'

export const energy: Scheduler = {
  name: 'energy',
  doc: 'fills machines that are in use, by the least watts that are added',
  options: {},
  score(vm, machine) {
    const { idleWatts, fullWatts } = machine.power
    const idle = vmsOn(machine) === 0 ? -idleWatts : 0
    const running = -(fullWatts - idleWatts) * vm.vcpus / Math.max(1, machine.cores)
    const filled = 1 - freeShare(machine, vm)
    return { score: idle + running + filled, parts: { idle, running, filled } }
  },
}

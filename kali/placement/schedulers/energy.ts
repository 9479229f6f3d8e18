// Consolidation as placement: machines that run VMs are filled before empty ones, and empty ones before a sleeping one is
// woken. In watts: what the VM would add at full load, the idle draw of a machine that without it could sleep, and
// `wakeWatts`, more than any machine draws, for waking. Among equals the fuller machine.
//
// Source: Beloglazov and Buyya's power-aware best fit decreasing, by increase of power; linear model of power by load.

import type { Scheduler } from '../../cloud/contract.ts'
import { freeShare, vmsOn } from '../shares.ts'

export const energy: Scheduler = {
  name: 'energy',
  doc: 'fills machines that are awake and in use, wakes the fewest',
  options: { wakeWatts: 10_000 },
  score(vm, machine, _request, options) {
    const { idleWatts, fullWatts, asleep } = machine.power
    const wake = asleep ? -Number(options['wakeWatts']) : 0
    const idle = asleep || vmsOn(machine) === 0 ? -idleWatts : 0
    const running = -(fullWatts - idleWatts) * vm.vcpus / Math.max(1, machine.cores)
    const filled = 1 - freeShare(machine, vm)
    return { score: wake + idle + running + filled, parts: { wake, idle, running, filled } }
  },
}

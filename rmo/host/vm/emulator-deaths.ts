// A guest whose emulator died, from the kernel's word to the hypervisor's: told as a crash at once, because libvirt says
// so only some 200 ms later.
//
//   'emulatorDied' --grace, nothing explains it--> crashed, told --> hypervisor agrees: settled, told once
//                                                               `--> it says otherwise, or runs it still: its word counts
//
// Until the hypervisor has noticed it counts the guest as running. Readings that say so are held off, and a verb that
// would decide by one (start: "runs already") waits for it; both for LIMITS.hostDeathConfirmMs at most.

import { LIMITS } from '../../../fabric/base.ts'
import type { Clock } from '../../../fabric/base.ts'
import type { Call, DomainRecord } from '../../driver/contract.ts'
import { isActive } from '../../vm-state.ts'
import type { HostVm } from './vm.ts'

export interface EmulatorDeaths {
  /** Its emulator died; `tell` is called, or not, within LIMITS.hostDeathGraceMs. */
  died(vm: HostVm, tell: () => void): void
  /** The hypervisor has not noticed yet: this record is not to be believed. Ends the doubt when it has, or in time. */
  doubts(vm: HostVm, record: DomainRecord): boolean
  /** Resolves when the hypervisor has noticed, or was given up. */
  confirmed(vm: HostVm, call: Call): Promise<void>
}

/** Somebody wants it to end, or knows better: the hypervisor will say what it was. */
const isExplained = (vm: HostVm): boolean => vm.moving || vm.changing > 0 || vm.leaving || !isActive(vm.record.state)

export function createEmulatorDeaths({ clock, later }: { readonly clock: Clock; later(delayMs: number): void }): EmulatorDeaths {
  return {
    died(vm, tell) {
      const { lifecycle } = vm
      clock.after(LIMITS.hostDeathGraceMs, () => {
        if (vm.gone !== undefined || vm.lifecycle !== lifecycle || isExplained(vm)) return
        vm.diedAtMs = clock.nowMs()
        tell()
        later(LIMITS.hostDeathConfirmMs)
      }, { background: true })
    },
    doubts(vm, { state }) {
      if (vm.diedAtMs === undefined) return false
      const leftMs = vm.diedAtMs + LIMITS.hostDeathConfirmMs - clock.nowMs()
      if (!isActive(state) || leftMs <= 0) {
        vm.diedAtMs = undefined
        return false
      }
      // Looked at again then, whatever is read or not until then.
      later(leftMs)
      return true
    },
    async confirmed(vm, call) {
      if (vm.diedAtMs === undefined) return
      const leftMs = vm.diedAtMs + LIMITS.hostDeathConfirmMs - clock.nowMs()
      await vm.until(() => vm.diedAtMs === undefined, Math.min(leftMs, call.remainingMs()), call.signal ?? new AbortController().signal)
      vm.diedAtMs = undefined
    },
  }
}

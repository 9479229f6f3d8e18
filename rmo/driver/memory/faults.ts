// What can go wrong on a simulated host, on demand: for tests and research. The same calls at the same virtual times
// with the same seed give the same run.

import { RMO } from '../../errors.ts'
import type { VmSettings } from '../../settings.ts'
import { define, destroy, end, slowDisks } from './domains.ts'
import { hangGuest } from './guest.ts'
import { domainOf, invalidState, isActive, tell } from './world.ts'
import type { World } from './world.ts'

/** Names of calls, as failNext() takes them: the driver's methods; those of networks end in "Network". */
export type MemoryOperation =
  | 'facts' | 'inventory' | 'stats'
  | 'define' | 'undefine' | 'start' | 'shutdown' | 'reboot' | 'destroy' | 'suspend' | 'resume' | 'save' | 'attach' | 'detach' | 'setAutostart' | 'get' | 'describe' | 'openConsole'
  | 'acceptIncoming' | 'refuseIncoming' | 'migrate' | 'completeIncoming' | 'createSnapshot' | 'revertSnapshot' | 'deleteSnapshot'
  | 'definePool' | 'startPool' | 'stopPool' | 'undefinePool' | 'refreshPool' | 'createVolume' | 'copyVolume' | 'resizeVolume' | 'deleteVolume' | 'uploadVolume'
  | 'defineNetwork' | 'startNetwork' | 'stopNetwork' | 'undefineNetwork'

export interface MemoryFaults {
  /** Its emulator dies. Throws RMO_ERR_GONE, RMO_ERR_STATE_INVALID when it does not run. */
  crash(uuid: string): void
  /** The guest hangs: busy, no balloon figures, deaf to shutdown and console; ended by destroy. */
  hang(uuid: string): void
  /** Disks of all its guests, and all copying, take this many times as long; 1: as before. */
  slowDisk(factor: number): void
  /** The hypervisor is not reachable: calls reject with RMO_ERR_DRIVER_UNAVAILABLE, events are missed. Guests go on. */
  disconnect(reason?: string): void
  reconnect(): void
  /** The next call of that name rejects before it does anything; default RMO_ERR_DRIVER_FAILED. Several are taken in order. */
  failNext(operation: MemoryOperation, error?: Error): void
  /** Calls from now on take this long; Infinity: they never come back (their deadlines do); 0: at once again. */
  stallCalls(stallMs: number): void
  /** Somebody else, with the hypervisor's own tools, defines a domain that Kumoi did not make. */
  defineForeign(uuid: string, settings: VmSettings): void
  /** Somebody else destroys and undefines it. */
  removeForeign(uuid: string): void
}

const INTERNAL_ERROR = 1

export function createFaults(world: World, setConnected: (connected: boolean, reason: string) => void): MemoryFaults {
  return {
    crash(uuid) {
      world.settle()
      const domain = domainOf(world, uuid)
      if (!isActive(domain)) throw invalidState(domain, 'a crash', 'running')
      end(world, domain, 'crashed', 'crashed')
      tell(world, domain, 'crashed', 'crashed')
    },
    hang(uuid) {
      world.settle()
      const domain = domainOf(world, uuid)
      if (!isActive(domain)) throw invalidState(domain, 'a hang', 'running')
      domain.guest = hangGuest(domain.guest, world.clock.nowMs())
      world.touch(domain)
    },
    slowDisk: (factor) => slowDisks(world, Math.max(1, factor)),
    disconnect: (reason = 'connection reset by the simulation') => setConnected(false, reason),
    reconnect: () => setConnected(true, 'connected'),
    failNext: (operation, error = RMO.DRIVER_FAILED({ operation, name: world.host, number: INTERNAL_ERROR, text: 'simulated failure' })) => world.gate.failNext(operation, error),
    stallCalls: (stallMs) => world.gate.stallCalls(stallMs),
    defineForeign(uuid, settings) { define(world, uuid, settings, {}, false) },
    removeForeign(uuid) {
      const domain = domainOf(world, uuid)
      destroy(world, domain)
      world.domains.delete(uuid)
      world.touch()
      tell(world, domain, 'undefined', 'removed')
    },
  }
}

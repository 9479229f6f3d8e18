// A fleet: many simulated hosts with VMs that run from the start, in one process (`kumoi up --driver memory --hosts
// 1000`), for research and for tests of scale. Same seed: same uuids, names and loads.
//
// Nothing ticks: figures are computed when read, and one timer serves all who watch machines, while there are any.

import { assert, LIMITS, seededRandom } from '../../../fabric/base.ts'
import type { Clock, Random, Timer } from '../../../fabric/base.ts'
import type { LocalMachine } from '../../kinds/physical-machine.ts'
import type { VmSettings } from '../../settings.ts'
import { namedUuid } from '../../uuid.ts'
import { createMemoryDriver } from './driver.ts'
import type { MemoryDriver, MemoryDriverOptions } from './driver.ts'
import { createSimulatedMachine } from './fleet-machine.ts'
import type { MachineSelf } from './fleet-machine.ts'
import { frozen } from './world.ts'

export interface FleetOptions {
  readonly hosts: number
  /** Running from the start on each; default 0. */
  readonly vmsPerHost?: number
  readonly seed: number
  readonly clock: Clock
  /** The node that all of them live on, as membership sees it. */
  readonly self: () => MachineSelf
  /** Uuid of the first machine: the one that the node itself counts as; default: one like the others'. */
  readonly firstUuid?: string
  /** Of each host; default: the memory driver's. */
  readonly host?: Pick<MemoryDriverOptions, 'capacity' | 'bootMs' | 'shutdownMs' | 'copyMiBps' | 'images'>
  /** File that keeps what there is on a host over restarts, by its name; default: none. */
  readonly stateOf?: (host: string) => string
}
export interface FleetHost { readonly name: string; readonly uuid: string; readonly driver: MemoryDriver; readonly machine: LocalMachine }
export interface Fleet {
  /** By number; drivers are not open yet. */
  readonly hosts: readonly FleetHost[]
  /** Ends the timer of those who watch. */
  stop(): void
}

/** Namespace of the uuids of simulated machines. */
const NAMESPACE = '6b756d6f-6920-466c-a565-740000000000'
const VM_MEMORY_MIB = 256
/** One load in so many is a VM that needs help. */
const HOT_EVERY = 16
/** Loads that VMs are given from; few, so that 10,000 VMs share them. */
const LOADS = 64
const LOAD_STEPS = 24
const LOAD_STEP_MS = 2_500

type Load = NonNullable<VmSettings['simulate']>
/** Drifting around a mean, some of them near the top. */
function makeLoads(random: Random): readonly Load[] {
  return Array.from({ length: LOADS }, (_, i) => {
    const hot = i % HOT_EVERY === HOT_EVERY - 1
    const mean = hot ? 0.96 : 0.03 + 0.5 * random.next() ** 2, spread = hot ? 0.06 : mean
    const cpuRatios = Array.from({ length: LOAD_STEPS }, () => Math.round(1_000 * Math.min(1, Math.max(0, mean + (random.next() - 0.5) * spread))) / 1_000)
    return frozen({ cpuRatios, stepMs: LOAD_STEP_MS })
  })
}

const numbered = (prefix: string, index: number, count: number): string => prefix + String(index + 1).padStart(String(count).length, '0')

/** Calls all listeners once each LIMITS.cpuSampleMs while there are any. */
function createTicker(clock: Clock): { add(listener: (atMs: number) => void): () => void; stop(): void } {
  const listeners = new Set<(atMs: number) => void>()
  let timer: Timer | undefined
  const tick = (): void => {
    const atMs = clock.wallMs()
    for (const listener of [...listeners]) listener(atMs)
    arm()
  }
  const arm = (): void => { timer = listeners.size === 0 ? undefined : clock.after(LIMITS.cpuSampleMs, tick, { background: true }) }
  return {
    add(listener) {
      listeners.add(listener)
      if (timer === undefined) arm()
      return () => { listeners.delete(listener) }
    },
    stop() {
      timer?.cancel()
      listeners.clear()
    },
  }
}

export function createFleet({ hosts: count, vmsPerHost = 0, seed, clock, self, firstUuid, host = {}, stateOf }: FleetOptions): Fleet {
  assert(count >= 1 && count <= LIMITS.fleetHostsMax, `a fleet has 1 to ${LIMITS.fleetHostsMax} hosts`)
  const loads = makeLoads(seededRandom(seed))
  const ticker = createTicker(clock)
  const hosts = Array.from({ length: count }, (_, index): FleetHost => {
    const name = numbered('sim', index, count), uuid = index === 0 && firstUuid !== undefined ? firstUuid : namedUuid(NAMESPACE, `${seed}/${index}`)
    const random = seededRandom(seed + index + 1)
    const guests = Array.from({ length: vmsPerHost }, (_, number) => ({
      uuid: namedUuid(uuid, `vm/${number}`),
      settings: frozen<VmSettings>({ name: numbered(`${name}-vm`, number, vmsPerHost), memoryMiB: VM_MEMORY_MIB, vcpus: 1, devices: [], simulate: loads[random.int(LOADS)] as Load }),
    }))
    const driver = createMemoryDriver({ ...host, name, uuid, clock, random, guests, ...(stateOf === undefined ? {} : { state: stateOf(name) }) })
    return { name, uuid, driver, machine: createSimulatedMachine({ name, uuid, driver, clock, self, onTick: (listener) => ticker.add(listener) }) }
  })
  return { hosts, stop: () => ticker.stop() }
}

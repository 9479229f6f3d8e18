// A simulated machine: its hypervisor (the memory driver, which keeps the truth about what runs there), its watchdog, and
// what a life of its node sees of both. Hypervisor and watchdog are processes of their own: they outlive the node.
//
//   life --driverFor(life)--> memory driver --events--> truth (the world's checks), every life that lives
//   life --watchdogFor(life)--> deadlines.ts on the machine's clock --passed--> domains are killed, within killMs
//
// The watchdog is the real one's arithmetic (kali/lease/watchdog/deadlines.ts) in the order of its main.ts: a guest that
// was given up is killed until it is off, and only then forgotten.

import type { Clock, NodeId, Random, Timer } from '../../fabric/base.ts'
import { createMemoryStore } from '../../fabric/mod.ts'
import type { LocalStore } from '../../fabric/mod.ts'
import type { SimClock } from '../../fabric/sim-clock.ts'
import type { Watchdog } from '../../kali/lease/watchdog/client.ts'
import { NO_DEADLINES, drop, due, extend, nextDueMs } from '../../kali/lease/watchdog/deadlines.ts'
import type { Deadlines } from '../../kali/lease/watchdog/deadlines.ts'
import type { Call, DriverEvent, HypervisorDriver } from '../../rmo/driver/contract.ts'
import { createMemoryDriver } from '../../rmo/driver/memory/driver.ts'
import type { MemoryDriver } from '../../rmo/driver/memory/driver.ts'
import type { Life } from './cloud-life.ts'

export type DomainEvent = Extract<DriverEvent, { readonly type: 'domain' }>
const CALL: Call = { remainingMs: () => 60_000 }
const KILL_LOOK_MS = 50
const WATCHDOG_START_MS = 50

export interface MachineOptions {
  readonly sim: SimClock
  readonly clock: Clock
  readonly random: Random
  readonly name: string
  readonly node: NodeId
  readonly uuid: string
  readonly cores: number
  readonly memoryMiB: number
  readonly giveUpMs: number
  /** To kill an emulator, at most: K. */
  readonly killMs: number
  readonly onDomain: (event: DomainEvent) => void
  readonly note: (text: string) => void
}

export interface SimMachine extends MachineOptions {
  readonly driver: MemoryDriver
  /** What the node writes on its own disk. */
  readonly notes: LocalStore
  /** Time of a command of the hypervisor, at most. */
  commandMs: number
  /** Commands answer that they failed, so often (0 to 1). */
  failRatio: number
  driverFor(life: Life): HypervisorDriver
  watchdogFor(life: Life): Watchdog
  watchdogDies(): void
  /** The power goes: guests and watchdog are gone. The node's life is the caller's. */
  powerOff(): Promise<void>
}

/** Commands that change something, and so take their time. */
const COMMANDS: ReadonlySet<string | symbol> = new Set(['define', 'undefine', 'start', 'shutdown', 'destroy', 'acceptIncoming', 'refuseIncoming', 'migrate', 'completeIncoming'])

export function createSimMachine(options: MachineOptions): SimMachine {
  const { sim, clock, random, name, cores, memoryMiB, giveUpMs, killMs, note } = options
  const driver = createMemoryDriver({ name, clock: sim, random, capacity: { cores, memoryMiB: memoryMiB * 4, storageMiB: 1 }, bootMs: 500, shutdownMs: 300, copyMiBps: 200 })
  driver.onEvent((event) => { if (event.type === 'domain') options.onDomain(event) })

  // ---------------------------------------------------------------- watchdog

  let deadlines: Deadlines = NO_DEADLINES
  let alive = false
  let connected: Life | undefined
  let timer: Timer | undefined
  /** Guests that are being killed, and when they will have ended. */
  const killing = new Map<string, number>()
  const lost = new Map<Life, Set<(reason: string) => void>>()
  const running = async (uuid: string): Promise<boolean> => {
    const domain = await driver.domains.get(uuid, CALL)
    return domain !== undefined && domain.state !== 'stopped' && domain.state !== 'crashed' && domain.state !== 'saved'
  }
  const look = (): void => {
    timer?.cancel()
    timer = undefined
    if (!alive) return
    for (const { uuid } of due(deadlines, clock.nowMs())) {
      if (!killing.has(uuid)) { killing.set(uuid, sim.nowMs() + random.next() * killMs); note(`${name}: the time of ${uuid.slice(-4)} is over`) }
      void (async () => {
        if (!await running(uuid)) { if (killing.delete(uuid)) deadlines = drop(deadlines, [uuid]); return }
        const atMs = killing.get(uuid)
        if (atMs !== undefined && sim.nowMs() >= atMs) { note(`${name}: the watchdog kills ${uuid.slice(-4)}`); await driver.domains.destroy(uuid, CALL).catch(() => {}) }
      })()
    }
    const dueMs = nextDueMs(deadlines)
    if (dueMs === undefined) return
    timer = clock.after(killing.size > 0 ? KILL_LOOK_MS : Math.max(1, dueMs - clock.nowMs()), look)
  }

  const watchdogFor = (life: Life): Watchdog => {
    const listeners = new Set<(reason: string) => void>()
    lost.set(life, listeners)
    life.onEnd(() => { lost.delete(life); if (connected === life) connected = undefined })
    const answer = <T>(work: () => T): Promise<T> => life.hear((async () => {
      if (!alive || connected !== life) throw new Error('there is no watchdog')
      return work()
    })(), 1)
    return {
      async start() {
        if (alive && connected === life) return
        await new Promise<void>((resolve) => { life.clock.after(WATCHDOG_START_MS, resolve) })
        // One that is there already is taken over, with the guests that it knows.
        if (!alive) { alive = true; deadlines = NO_DEADLINES; killing.clear() }
        connected = life
      },
      feed: (guests, untilMs) => answer(() => {
        look()
        const fed = extend(deadlines, guests, untilMs, giveUpMs, clock.nowMs())
        deadlines = fed.deadlines
        look()
        return fed.refused
      }),
      drop: (uuids) => uuids.length === 0 || !alive || connected !== life ? Promise.resolve() : answer(() => { deadlines = drop(deadlines, uuids); for (const uuid of uuids) killing.delete(uuid); look() }),
      onLost(listener) { listeners.add(listener); return () => listeners.delete(listener) },
      stop() { connected = undefined; if (deadlines.size === 0) alive = false },
    }
  }
  const watchdogDies = (): void => {
    if (!alive) return
    alive = false
    deadlines = NO_DEADLINES
    killing.clear()
    timer?.cancel()
    const told = connected
    connected = undefined
    if (told !== undefined) for (const listener of [...lost.get(told) ?? []]) told.run(() => listener('killed'))
  }

  // ---------------------------------------------------------------- hypervisor

  const driverFor = (life: Life): HypervisorDriver => {
    let open = false
    const answered = <T>(command: boolean, work: () => Promise<T>): Promise<T> => {
      const lagMs = command ? random.next() * machine.commandMs : 0
      const done = lagMs > 0 ? new Promise<T>((resolve, reject) => { sim.after(lagMs / 2, () => { work().then(resolve, reject) }) }) : work()
      return life.hear(done, lagMs / 2)
    }
    const group = <G extends object>(of: G): G => new Proxy(of, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key)
        if (typeof value !== 'function') return value
        const run = (value as (...args: unknown[]) => Promise<unknown>).bind(target)
        const command = COMMANDS.has(key)
        return (...args: unknown[]) => {
          if (command && random.next() < machine.failRatio) return answered(true, () => Promise.reject(Object.assign(new Error(`simulated failure of ${String(key)}`), { code: 'RMO_ERR_DRIVER_FAILED' })))
          return answered(command, () => run(...args))
        }
      },
    })
    return {
      name: 'memory', uri: driver.uri, domains: group(driver.domains), storage: group(driver.storage), networks: group(driver.networks),
      get connected() { return open },
      async open() { await life.hear(driver.open()); open = true },
      async close() { open = false },
      onEvent: (listener) => {
        const stop = driver.onEvent((event) => { if (event.type !== 'connection') life.run(() => { if (open) listener(event) }) })
        life.onEnd(stop)
        return stop
      },
      facts: (call) => answered(false, () => driver.facts(call)),
      inventory: (call) => answered(false, () => driver.inventory(call)),
      stats: (call) => answered(false, () => driver.stats(call)),
    }
  }
  const machine: SimMachine = {
    ...options, driver, notes: createMemoryStore(), commandMs: 20, failRatio: 0, driverFor, watchdogFor, watchdogDies,
    async powerOff() {
      watchdogDies()
      const { domains } = await driver.inventory(CALL)
      for (const { uuid, state } of domains) if (state !== 'stopped' && state !== 'crashed' && state !== 'saved') driver.faults.crash(uuid)
    },
  }
  return machine
}

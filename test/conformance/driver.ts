// What every HypervisorDriver must do (rmo/driver/contract.ts), run against each implementation:
//
//   await driverSuite(t, { name: 'memory', setup })
//
// One hypervisor serves all checks, so that few guests boot; each check makes its own domains and removes them. What an
// implementation cannot do is named in `skip` with its reason: nothing is left out silently. Changes are awaited by
// their events; only the bound on a wait is in time.

import { randomBytes, randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import { errorCode } from '../../fabric/base.ts'
import type { Call, DomainRecord, DriverEvent, HypervisorDriver } from '../../rmo/driver/contract.ts'
import type { Device, VmSettings } from '../../rmo/settings.ts'
import { connectionChecks } from './driver-connection.ts'
import { deviceChecks } from './driver-devices.ts'
import { lifeChecks } from './driver-life.ts'
import { storageChecks } from './driver-storage.ts'

export interface DriverSetup {
  /** Not open yet. */
  readonly driver: HypervisorDriver
  teardown(): Promise<void>
  /** A directory that may become a pool. */
  readonly poolPath: string
  /** Disks of a guest that boots and hears the power button; none: the checks that need one must be in `skip`. */
  readonly guestDevices?: readonly Device[]
  /** Resolves when the guest of a domain that was started hears. */
  whenUp?(uuid: string): Promise<void>
  /** By id of the check: why this implementation cannot do it. */
  readonly skip?: Readonly<Record<string, string>>
  /** Kills the domain's emulator. */
  crash?(uuid: string): Promise<void> | void
  /** Another driver to the same hypervisor, to see what is left when the first was closed. */
  again?(): Promise<HypervisorDriver>
  /** A driver of another host that this one's domains can migrate to. */
  readonly peer?: HypervisorDriver
}
export interface DriverHarness { readonly name: string; setup(): Promise<DriverSetup> }

/** One promise of the contract. `id` is what `skip` names. */
export interface Check { readonly id: string; readonly title: string; run(t: Test, world: DriverWorld): Promise<void> }

/** Longest wait for an event; a real guest under emulation on a busy machine shuts down within some seconds. */
const WAIT_MS = 60_000
const CALL_MS = 60_000
const MEMORY_MIB = 64

export const within = (ms: number): Call => {
  const endsAtMs = performance.now() + ms
  return { remainingMs: () => Math.max(0, endsAtMs - performance.now()) }
}

/** What checks work with. */
export class DriverWorld {
  readonly setup: DriverSetup
  readonly #events: DriverEvent[] = []
  readonly #waiting = new Set<(event: DriverEvent) => void>()
  readonly #suffix = randomBytes(3).toString('hex')

  constructor(setup: DriverSetup) {
    this.setup = setup
    setup.driver.onEvent((event) => {
      this.#events.push(event)
      for (const wake of [...this.#waiting]) wake(event)
    })
  }
  get driver(): HypervisorDriver { return this.setup.driver }
  get call(): Call { return within(CALL_MS) }
  /** A name nobody else has. */
  named(name: string): string { return `${name}-${this.#suffix}` }

  settings(name: string, more: Partial<VmSettings> = {}): VmSettings {
    return { name: this.named(name), memoryMiB: MEMORY_MIB, vcpus: 1, devices: [], ...more }
  }
  /** A defined domain that is gone when the check ends, however it ends. */
  async domain(t: Test, name: string, more: Partial<VmSettings> = {}): Promise<string> {
    const uuid = randomUUID()
    this.removeAfter(t, uuid)
    await this.driver.domains.define(uuid, this.settings(name, more), { createdBy: 'conformance' }, this.call)
    return uuid
  }
  async running(t: Test, name: string, more: Partial<VmSettings> = {}): Promise<string> {
    const uuid = await this.domain(t, name, more)
    await this.driver.domains.start(uuid, {}, this.call)
    return uuid
  }
  removeAfter(t: Test, uuid: string): void {
    t.teardown(async () => {
      const { domains } = this.driver
      if (!this.driver.connected || await domains.get(uuid, this.call) === undefined) return
      await domains.destroy(uuid, this.call)
      await domains.undefine(uuid, this.call)
    })
  }
  async state(uuid: string): Promise<string | undefined> { return (await this.record(uuid))?.state }
  record(uuid: string): Promise<DomainRecord | undefined> { return this.driver.domains.get(uuid, this.call) }

  /** Resolves with the first event that fits, past (since the suite began) or coming. */
  event(what: string, fits: (event: DriverEvent) => boolean): Promise<DriverEvent> {
    const past = this.#events.find(fits)
    if (past !== undefined) return Promise.resolve(past)
    return new Promise((resolve, reject) => {
      const bound = setTimeout(() => { this.#waiting.delete(wake); reject(new Error(`no event: ${what}`)) }, WAIT_MS)
      const wake = (event: DriverEvent): void => {
        if (!fits(event)) return
        clearTimeout(bound)
        this.#waiting.delete(wake)
        resolve(event)
      }
      this.#waiting.add(wake)
    })
  }
  /** The lifecycle event of one domain. */
  told(uuid: string, ...events: readonly string[]): Promise<DriverEvent> {
    return this.event(`${events.join(' or ')} of ${uuid}`, (event) => event.type === 'domain' && event.uuid === uuid && events.includes(event.event))
  }
  signalled(uuid: string, signal: string): Promise<DriverEvent> {
    return this.event(`${signal} of ${uuid}`, (event) => event.type === 'domain-signal' && event.uuid === uuid && event.event === signal)
  }
}

/** The work is refused with one of these codes (without their prefix); answers the error. */
export async function refused(t: Test, work: Promise<unknown>, codes: string | readonly string[], what: string): Promise<unknown> {
  const wanted = [codes].flat().map((code) => `RMO_ERR_${code}`)
  const [outcome] = await Promise.allSettled([work])
  if (outcome.status === 'fulfilled') return t.fail(`${what}: not refused`)
  const { reason } = outcome as PromiseRejectedResult
  const code = errorCode(reason) ?? String(reason)
  t.ok(wanted.includes(code), `${what}: ${code}`, { wanted, message: (reason as Error).message })
  return reason
}

export async function driverSuite(t: Test, { name, setup: makeSetup }: DriverHarness): Promise<void> {
  const setup = await makeSetup()
  // A driver's threads and timers do not keep the process: whoever waits for one must.
  const awake = setInterval(() => {}, WAIT_MS)
  t.teardown(async () => {
    clearInterval(awake)
    await setup.teardown()
  })
  await setup.driver.open()
  const world = new DriverWorld(setup)
  if (!setup.driver.connected) await world.event('connected', (event) => event.type === 'connection' && event.connected)
  // The last check closes the driver.
  const checks = [...lifeChecks, ...deviceChecks, ...storageChecks, ...connectionChecks]
  const ids = new Set(checks.map(({ id }) => id))
  for (const id of Object.keys(setup.skip ?? {})) t.ok(ids.has(id), `"${id}" in skip is a check`)
  for (const { id, title, run } of checks) {
    const reason = setup.skip?.[id]
    await t.test(`${name}: ${id}: ${title}`, reason === undefined ? {} : { skip: reason }, (t) => run(t, world))
  }
}

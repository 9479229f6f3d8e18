// An emulator that died, as its host tells of it: at once, once, and never when something else explains it. Simulated
// hypervisors; the driver's word comes from the test, so that it can come early, late and wrongly. On virtual time.

import { test } from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import { SimClock } from '../../../fabric/sim-clock.ts'
import type { DriverEvent, HypervisorDriver } from '../../../rmo/driver/contract.ts'
import type { HostVm } from '../../../rmo/host/vm/vm.ts'
import { createTestHosts, eventually } from '../../support/hosts.ts'
import type { Listened, TestHost } from '../../support/hosts.ts'
import { authority } from '../../support/rmo-fabric.ts'

type Told = { readonly type: 'domain' | 'domain-signal'; readonly event: string; readonly detail: string }
interface Scene {
  readonly it: TestHost
  readonly vm: HostVm
  readonly heard: Listened
  /** The driver says so of the VM. */
  say(...told: readonly Told[]): void
  /** What the driver itself would say is lost from now on. */
  mute(): void
  /** Time passes, and what became due has run. */
  pass(ms: number): Promise<void>
}
const died: Told = { type: 'domain-signal', event: 'emulatorDied', detail: 'signal 9' }
const lifecycle = (event: string, detail: string): Told => ({ type: 'domain', event, detail })
const turn = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })

async function scene(t: { teardown(fn: () => unknown): unknown }): Promise<Scene> {
  const clock = new SimClock()
  let listener = (_event: DriverEvent): void => {}
  let muted = false
  const wrap = (driver: HypervisorDriver): HypervisorDriver => ({
    ...driver, get connected() { return driver.connected },
    onEvent(next) { listener = next; return driver.onEvent((event) => { if (!muted) next(event) }) },
  })
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 5) {
      clock.advance(Math.min(5, left))
      for (let turns = 0; turns < 4; turns++) await turn()
    }
  }
  // The test's own time goes on while somebody waits for the hypervisor's.
  const waiting = async <T>(work: Promise<T>): Promise<T> => {
    let over = false
    work.finally(() => { over = true }).catch(() => {})
    while (!over) await pass(5)
    return work
  }
  const fabric = await waiting(createTestHosts(['host1'], { clock, wrap }))
  t.teardown(() => fabric.stop())
  const it = fabric.host('host1')
  const vm = await waiting(it.add({ name: 'web' }, { start: true }))
  await pass(LIMITS.hostEventGraceMs * 2)
  const heard = it.listen(vm.uuid)
  return {
    it, vm, heard, pass,
    say(...told) { for (const each of told) listener({ uuid: vm.uuid, name: vm.name, atMs: clock.wallMs(), ...each } as DriverEvent) },
    mute() { muted = true },
  }
}

test('told at once, and not again when the hypervisor says so', async (t) => {
  const { it, vm, heard, say, mute, pass } = await scene(t)
  say(died)
  await pass(LIMITS.hostDeathGraceMs)
  t.match(heard.events, [{ type: 'crashed', state: 'crashed', reason: 'emulator ended: signal 9' }])
  t.equal(vm.attributes().state, 'crashed')
  await it.host.resync()
  await pass(LIMITS.hostEventGraceMs * 2)
  t.same([heard.types, vm.attributes().state], [['crashed'], 'crashed'], 'the hypervisor still counts it as running')
  mute()
  it.driver.faults.crash(vm.uuid)
  say(lifecycle('crashed', 'failed'))
  await pass(LIMITS.hostDeathConfirmMs * 2)
  t.same([heard.types, vm.attributes().state], [['crashed'], 'crashed'])
})

test('explained: by an event before, by one on its way, by a change of our own', async (t) => {
  const { it, vm, heard, say, pass } = await scene(t)
  say(lifecycle('shutdown', 'guest'), died)
  await pass(LIMITS.hostDeathGraceMs * 2)
  t.same(heard.types, [])
  say(lifecycle('resumed', 'unpaused'))
  await pass(LIMITS.hostEventGraceMs * 2)
  say(died)
  await pass(LIMITS.hostDeathGraceMs / 2)
  say(lifecycle('shutdown', 'host'))
  await pass(LIMITS.hostDeathGraceMs * 2)
  t.same(heard.types.filter((type) => type === 'crashed'), [])
  say(lifecycle('resumed', 'unpaused'))
  it.driver.faults.stallCalls(LIMITS.hostDeathGraceMs * 3)
  const destroying = vm.destroy(authority())
  await pass(LIMITS.hostDeathGraceMs * 4)
  t.equal(vm.changing, 1)
  say(died)
  it.driver.faults.stallCalls(0)
  await pass(LIMITS.hostDeathGraceMs * 20)
  await destroying
  t.same([heard.types.includes('crashed'), heard.types.at(-1)], [false, 'stopped'])
})

test('the hypervisor says otherwise: that is told as well', async (t) => {
  const { it, vm, heard, say, mute, pass } = await scene(t)
  say(died)
  await pass(LIMITS.hostDeathGraceMs)
  mute()
  await it.driver.domains.destroy(vm.uuid, { remainingMs: () => 1_000 })
  say(lifecycle('stopped', 'destroyed'))
  t.match(heard.events, [{ type: 'crashed' }, { type: 'stopped', reason: 'destroyed' }])
  t.equal(vm.attributes().state, 'stopped')
  await pass(LIMITS.hostDeathConfirmMs)
  t.same(heard.types, ['crashed', 'stopped'])
})

test('it runs after all: believed after a time', async (t) => {
  const { vm, heard, say, pass } = await scene(t)
  say(died)
  await pass(LIMITS.hostDeathGraceMs)
  say(lifecycle('suspended', 'paused'), lifecycle('resumed', 'unpaused'))
  t.same(heard.types, ['crashed'], 'what is said of its time before is late')
  await pass(LIMITS.hostDeathConfirmMs + LIMITS.hostEventGraceMs * 4)
  t.same([heard.types, vm.attributes().state], [['crashed', 'started'], 'running'])
})

test('start() waits until the hypervisor has noticed, then starts it', async (t) => {
  const { it, vm, heard, say, pass } = await scene(t)
  say(died)
  await pass(LIMITS.hostDeathGraceMs)
  let done = false
  const starting = vm.start({}, authority()).then(() => { done = true })
  await pass(100)
  t.notOk(done, 'the hypervisor says that it runs already')
  it.driver.faults.crash(vm.uuid)
  await pass(LIMITS.hostEventGraceMs * 2)
  await starting
  await eventually(() => vm.attributes().state === 'running')
  t.same(heard.types, ['crashed', 'started'])
})

// Events and readings that cross: late, lost, doubled, older than what is known.

import { test } from 'tap'
import type { DriverEvent, HypervisorDriver, Inventory } from '../../../rmo/driver/contract.ts'
import { createEventQueue } from '../../../rmo/event-queue.ts'
import { LIMITS, systemClock } from '../../../fabric/base.ts'
import { vm as vmKind } from '../../../rmo/kinds/vm.ts'
import type { ObjectEvent } from '../../../rmo/mod.ts'
import { createTestHosts, eventually } from '../../support/hosts.ts'
import type { TestHost } from '../../support/hosts.ts'
import { authority, must } from '../../support/rmo-fabric.ts'

/** Between host and driver: events can be held back or thrown away, a reading kept and given out late. */
function between() {
  const state = { events: 'pass' as 'pass' | 'hold' | 'lose', held: [] as DriverEvent[], listener: undefined as ((event: DriverEvent) => void) | undefined, gate: undefined as Promise<void> | undefined }
  return {
    state,
    release() { state.events = 'pass'; for (const event of state.held.splice(0)) state.listener?.(event) },
    wrap: (driver: HypervisorDriver): HypervisorDriver => ({
      ...driver, get connected() { return driver.connected },
      onEvent(listener) {
        state.listener = listener
        return driver.onEvent((event) => {
          if (state.events === 'hold') state.held.push(event)
          else if (state.events === 'pass' || event.type === 'connection') listener(event)
        })
      },
      async inventory(call): Promise<Inventory> {
        const read = await driver.inventory(call)
        await state.gate
        return read
      },
    }),
  }
}
async function oneHost(t: { teardown(fn: () => unknown): unknown }): Promise<{ it: TestHost; line: ReturnType<typeof between> }> {
  const line = between()
  const fabric = await createTestHosts(['host1'], { wrap: line.wrap })
  t.teardown(() => fabric.stop())
  return { it: fabric.host('host1'), line }
}

test('a reading that is older than an event, or than our own change, changes nothing back', async (t) => {
  const { it, line } = await oneHost(t)
  const [vm, other] = [await it.add({ name: 'web' }), await it.add({ name: 'other' })]
  const heard = it.listen(vm.uuid)
  const gate = Promise.withResolvers<void>()
  line.state.gate = gate.promise
  const old = it.host.resync()
  await new Promise((resolve) => setImmediate(resolve))
  // What that reading saw: web stopped, other there, no third.
  const made = it.host.vmm.createVM({ name: 'third' })
  const adding = it.host.vmm.add(made, {}, authority())
  const removing = it.host.vmm.remove(other.reference(), {}, authority())
  await vm.start({}, authority())
  await eventually(() => it.host.vms.get(made.uuid) !== undefined && it.host.vms.get(other.uuid) === undefined)
  gate.resolve()
  await old
  t.equal(vm.attributes().state, 'running')
  t.ok(it.host.vms.get(made.uuid), 'not removed again')
  t.notOk(it.host.vms.get(other.uuid), 'not brought back')
  await Promise.all([adding, removing])
  t.same(heard.types, ['started'])
})

test('lost events are told by level, late ones are not told twice', async (t) => {
  const { it, line } = await oneHost(t)
  const vm = await it.add({ name: 'web' })
  const heard = it.listen(vm.uuid)
  line.state.events = 'lose'
  await vm.start({}, authority())
  t.same(heard.types, [], 'the event may only be late')
  await heard.until('started')
  line.state.events = 'hold'
  it.driver.faults.crash(vm.uuid)
  await it.host.resync()
  t.equal(vm.attributes().state, 'crashed', 'seen at once')
  line.release()
  t.same(heard.types, ['started', 'crashed'])
  await it.host.resync()
  t.same(heard.types, ['started', 'crashed'])
  // As libvirt tells of a start.
  line.state.events = 'lose'
  await vm.start({}, authority())
  line.state.events = 'pass'
  for (const [event, detail] of [['resumed', 'unpaused'], ['started', 'booted']] as const) line.state.listener?.({ type: 'domain', uuid: vm.uuid, name: 'web', atMs: 1, event, detail })
  t.same(heard.types.slice(2), ['started'])
  t.match(heard.events.at(-1), { state: 'running', reason: 'booted' })
  // An event of a VM that no reading has found yet.
  const vmm = it.listen()
  line.state.listener?.({ type: 'domain', uuid: '11111111-2222-4333-8444-555555555555', name: 'x', atMs: 1, event: 'started', detail: 'booted' })
  it.driver.faults.defineForeign('11111111-2222-4333-8444-555555555555', { name: 'x', memoryMiB: 64, vcpus: 1, devices: [] })
  await vmm.until('vmAdded')
  t.equal(vmm.events.filter(({ type }) => type === 'vmAdded').length, 1)
})

test('a part of the inventory that cannot be read is unknown, not gone', async (t) => {
  const { it } = await oneHost(t)
  const vm = await it.add({ name: 'web' })
  const empty: Inventory = { domains: [], pools: [], volumes: [], networks: [], snapshots: [], failures: [{ room: 'domains', error: new Error('on purpose') }] }
  it.host.vms.sync(empty, Number.MAX_SAFE_INTEGER)
  t.equal(it.host.vms.get(vm.uuid), vm)
  it.host.vms.sync({ ...empty, failures: [] }, Number.MAX_SAFE_INTEGER)
  t.equal(it.host.vms.get(vm.uuid), undefined)
})

test('watch: thresholds with hysteresis, samples, and a slow watcher', async (t) => {
  let sample = (_ratio: number): void => {}
  let tell = (_event: ObjectEvent): void => {}
  const local = {
    onEvent: (listener: typeof tell) => { tell = listener; return () => {} },
    onSample: (listener: (sample: { cpuRatio: number }, atMs: number) => void) => { let atMs = 0; sample = (cpuRatio) => listener({ cpuRatio }, atMs += 1_000); return () => {} },
  }
  const events: string[] = []
  vmKind.watch.start(local, { cpuAboveRatio: 0.8, sampleEveryMs: 2_000 }, (event) => events.push(event.type))
  for (const ratio of [0.5, 0.8, 0.76, 0.8, 0.74, 0.9]) sample(ratio)
  t.same(events, ['sampled', 'cpuAbove', 'sampled', 'cpuBelow', 'sampled', 'cpuAbove'])
  const queue = createEventQueue({ clock: systemClock, eventsMax: 2 })
  vmKind.watch.start(local, {}, (event) => queue.push(event))
  for (let i = 0; i < 5; i++) tell({ type: 'started', atMs: i })
  t.match(await queue.next(), { type: 'lost', count: 3 })
  t.match(await queue.next(), { type: 'started', atMs: 3 })
  t.ok(must(vmKind.events.cpuAbove))
})

test('thousands of VMs: observing what did not change costs nothing', async (t) => {
  const fabric = await createTestHosts(['host1'], {
    // No samples meanwhile: figures do change.
    clock: { ...systemClock, after: (delayMs, work, how) => delayMs === LIMITS.hostSampleMs ? { cancel() {} } : systemClock.after(delayMs, work, how) },
    driver: () => ({ guests: Array.from({ length: 2_000 }, (_, i) => ({ uuid: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`, settings: { name: `vm${i}`, memoryMiB: 1, vcpus: 1, devices: [] } })), capacity: { cores: 64, memoryMiB: 1_000_000, storageMiB: 1 } }),
  })
  t.teardown(() => fabric.stop())
  const { host } = fabric.host('host1')
  const first = host.vms.list().map((vm) => vm.attributes())
  await host.resync()
  const same = host.vms.list().filter((vm, i) => vm.attributes() === first[i]).length
  t.equal(same, 2_000, 'a reading alone changes none')
  t.equal(host.vms.list().length, 2_000)
})

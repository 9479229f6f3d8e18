import { test } from 'tap'
import { errorCode } from '../../../fabric/base.ts'
import { createTestHosts, eventually, revocable } from '../../support/hosts.ts'
import type { TestHost, TestHostsOptions } from '../../support/hosts.ts'
import { authority } from '../../support/rmo-fabric.ts'

const codeOf = (work: Promise<unknown>): Promise<string | undefined> => work.then(() => undefined, (error: unknown) => errorCode(error) ?? String(error))

async function oneHost(t: { teardown(fn: () => unknown): unknown }, options: TestHostsOptions = {}): Promise<TestHost> {
  const fabric = await createTestHosts(['host1'], options)
  t.teardown(() => fabric.stop())
  return fabric.host('host1')
}
const bridge = { type: 'interface', bridge: 'br0' } as const

test('createVM fills in defaults and makes nothing', async (t) => {
  const { host, driver } = await oneHost(t)
  const draft = host.vmm.createVM({})
  t.match(draft, { kind: 'VM', home: host.self, cold: true, name: `vm-${draft.uuid.slice(0, 6)}`, attributes: { memoryMiB: 512, vcpus: 1, devices: [] } })
  t.equal((await driver.inventory({ remainingMs: () => 1_000 })).domains.length, 0)
  for (const [wish, path] of [[{ name: 'a/b' }, 'name'], [{ name: '' }, 'name'], [{ name: 'x'.repeat(256) }, 'name'], [{ name: 'a\nb' }, 'name'], [{ memoryMiB: 0 }, 'memoryMiB'], [{ vcpus: 1.5 }, 'vcpus'], [{ devices: [{ type: 'disk', format: 'raw' }] }, 'devices[0]']] as const) {
    t.throws(() => host.vmm.createVM(wish as never), { code: 'RMO_ERR_ARGUMENT_INVALID', message: new RegExp(path.replaceAll(/[[\]]/g, '\\$&')) }, JSON.stringify(wish).slice(0, 60))
  }
  for (const name of ['web 1', 'größe', '虚拟机', '<&">\'', '-', 'x'.repeat(255), '🐙']) t.equal(host.vmm.createVM({ name }).name, name)
})

test('the life of a VM, and what watchers hear of it', async (t) => {
  const it = await oneHost(t)
  const vmm = it.listen()
  const vm = await it.add({ name: 'web 1', memoryMiB: 64, devices: [bridge] })
  t.match(vm.attributes(), { name: 'web 1', state: 'stopped', host: 'host1', managed: true, macs: [/^5a(:[0-9a-f]{2}){5}$/], cpuRatio: 0 })
  t.equal(vm.attributes(), vm.attributes(), 'the same object while nothing changed')
  const heard = it.listen(vm.uuid)
  const by = authority()
  await vm.start({}, by)
  t.equal(vm.attributes().state, 'running')
  await vm.start({}, by)
  await vm.suspend(by)
  await vm.suspend(by)
  t.equal(vm.attributes().state, 'paused')
  t.equal(await codeOf(vm.reboot(by)), 'RMO_ERR_STATE_INVALID')
  t.equal(await codeOf(vm.stop({}, by)), 'RMO_ERR_STATE_INVALID', 'a paused guest cannot answer')
  await vm.resume(by)
  await vm.save(by)
  t.equal(vm.attributes().state, 'saved')
  await vm.start({}, by)
  await vm.stop({}, by)
  await vm.stop({}, by)
  await vm.destroy(by)
  await vm.start({}, by)
  await vm.destroy(by)
  await eventually(() => heard.types.filter((type) => type === 'stopped').length === 2)
  await it.host.resync()
  t.same(heard.types, ['started', 'suspended', 'resumed', 'saved', 'started', 'stopped', 'started', 'stopped'], 'each once, in order')
  t.ok(vmm.events.some((event) => event.type === 'vmAdded' && event.name === 'web 1'))
  t.same(vmm.events.filter(({ type }) => type === 'vm').map(({ event }) => event).filter((event) => event === 'started').length, 3)

  await it.host.vmm.remove(vm.reference(), {}, by)
  await heard.until('gone')
  t.equal(it.objects.get('VM', vm.uuid), undefined)
  t.equal(await codeOf(vm.start({}, by)), 'RMO_ERR_GONE')
  t.equal(await codeOf(it.host.vmm.remove({ kind: 'VM', uuid: vm.uuid, home: it.id, name: 'web 1', attributes: {} }, {}, by)), undefined, 'removing twice is removing once')
})

test('remove refuses a running VM unless forced', async (t) => {
  const it = await oneHost(t)
  const vm = await it.add({ name: 'a' }, { start: true })
  t.equal(await codeOf(it.host.vmm.remove(vm.reference(), {}, authority())), 'RMO_ERR_STATE_INVALID')
  await it.host.vmm.remove(vm.reference(), { force: true }, authority())
  t.equal(it.host.vms.list().length, 0)
  t.same((await it.driver.inventory({ remainingMs: () => 1_000 })).domains, [])
})

test('a guest that does not stop: an error, or the plug', async (t) => {
  const it = await oneHost(t)
  const vm = await it.add({ name: 'deaf' }, { start: true })
  it.driver.faults.hang(vm.uuid)
  t.equal(await codeOf(vm.stop({ timeoutMs: 20 }, authority())), 'RMO_ERR_STOP_TIMEOUT')
  t.equal(vm.attributes().state, 'running')
  // It waits without the lock: others are not kept waiting.
  const caller = revocable()
  const stopping = codeOf(vm.stop({ timeoutMs: 20_000 }, caller.authority))
  await vm.destroy(authority())
  t.equal(await stopping, undefined, 'somebody else pulled the plug: it is stopped')
  await vm.start({}, authority())
  it.driver.faults.hang(vm.uuid)
  await vm.stop({ force: true, timeoutMs: 20 }, authority())
  t.equal(vm.attributes().state, 'stopped')
})

test('crashes, and what happens behind our back', async (t) => {
  const it = await oneHost(t)
  const vm = await it.add({ name: 'web' }, { start: true })
  const heard = it.listen(vm.uuid)
  it.driver.faults.crash(vm.uuid)
  const crash = await heard.until('crashed')
  t.match(crash, { state: 'crashed', reason: 'crashed' })
  t.equal(vm.attributes().state, 'crashed')
  await vm.start({}, authority())
  await heard.until('started')

  it.driver.faults.removeForeign(vm.uuid)
  await heard.until('gone')
  t.equal(it.host.vms.get(vm.uuid), undefined)
  t.equal(await codeOf(vm.destroy(authority())), 'RMO_ERR_GONE')
  t.equal(heard.types.filter((type) => type === 'gone').length, 1)

  const vmm = it.listen()
  it.driver.faults.defineForeign('11111111-2222-4333-8444-555555555555', { name: 'foreign', memoryMiB: 64, vcpus: 1, devices: [] })
  await vmm.until('vmAdded')
  const foreign = it.vm('11111111-2222-4333-8444-555555555555')
  t.equal(foreign.attributes().managed, false)
  await it.host.vmm.adopt(foreign.reference(), authority())
  t.equal(foreign.attributes().managed, true)
  t.match(await foreign.info(authority()), { createdBy: 'local:0', managed: true, host: 'host1', version: /^[0-9a-f]{16}$/ })
})

test('what events missed, readings tell; nothing twice', async (t) => {
  const it = await oneHost(t)
  const [stays, dies, goes] = [await it.add({ name: 'stays' }, { start: true }), await it.add({ name: 'dies' }, { start: true }), await it.add({ name: 'goes' })]
  await it.host.resync()
  const heard = [stays, dies, goes].map(({ uuid }) => it.listen(uuid))
  const vmm = it.listen()
  it.driver.faults.disconnect()
  await vmm.until('disconnected')
  t.equal(it.host.vmm.attributes().state, 'disconnected')
  t.equal(await codeOf(stays.destroy(authority())), 'RMO_ERR_DRIVER_UNAVAILABLE')
  it.driver.faults.crash(dies.uuid)
  it.driver.faults.removeForeign(goes.uuid)
  it.driver.faults.reconnect()
  await vmm.until('connected')
  await heard[2]?.until('gone')
  await heard[1]?.until('crashed')
  await it.host.resync()
  t.same(heard.map(({ types }) => types), [[], ['crashed'], ['gone']])
})

test('a restart of the node finds everything again', async (t) => {
  const it = await oneHost(t)
  const vm = await it.add({ name: 'web', devices: [bridge], labels: { tier: 'front' } }, { start: true })
  const before = vm.settings()
  await it.restart()
  const again = it.vm(vm.uuid)
  t.not(again, vm)
  t.same(again.settings(), before)
  t.match(again.attributes(), { state: 'running', managed: true, labels: { tier: 'front' } })
  t.equal(await codeOf(vm.start({}, authority())), 'RMO_ERR_GONE', 'the old object has ended')
})

test('figures: cpuRatio over a window, usage, VMM', async (t) => {
  const it = await oneHost(t)
  const vm = await it.add({ name: 'busy', vcpus: 2, memoryMiB: 256, simulate: { cpuRatios: [0.5], stepMs: 1_000, bootMs: 1 } }, { start: true })
  const samples: number[] = []
  const stop = vm.onSample(({ cpuRatio }) => samples.push(cpuRatio))
  await eventually(() => samples.length >= 3)
  stop()
  t.ok(Math.abs((samples.at(-1) ?? 0) - 0.5) < 0.1, `about half: ${samples.join(' ')}`)
  t.match(vm.stats(), { state: 'running', cpuSeconds: Number, disks: [], interfaces: [] })
  t.ok((vm.used().vcpuSeconds ?? 0) > (vm.used().vmSeconds ?? 0))
  t.match(it.host.vmm.attributes(), { state: 'connected', driver: 'memory', vmsCount: 1, vcpusUsed: 2, memoryTotalMiB: 16_384, memoryFreeMiB: 16_384 - 256 })
})

test('the serial console: what it said, and what it answers', async (t) => {
  const it = await oneHost(t)
  const vm = await it.add({ name: 'web' })
  t.equal(await codeOf(vm.serial({}, authority())), 'RMO_ERR_STATE_INVALID')
  await vm.start({}, authority())
  const answer = await vm.serial({ input: 'hostname\n', until: 'web', timeoutMs: 2_000 }, authority())
  t.match(answer, /web/)
  t.match(await vm.serial({}, authority()), /web/, 'kept for a while')
  await vm.destroy(authority())
  t.equal(await codeOf(vm.serial({}, authority())), 'RMO_ERR_STATE_INVALID')
})

test('a clone on another machine', async (t) => {
  const fabric = await createTestHosts(['host1', 'host2'])
  t.teardown(() => fabric.stop())
  const [a, b] = [fabric.host('host1'), fabric.host('host2')]
  const vm = await a.add({ name: 'web', devices: [bridge] })
  const clone = await vm.clone({ name: 'web2', to: b.pm, start: true }, authority())
  t.equal(clone.home, b.id)
  t.match(b.vm(clone.uuid).attributes(), { name: 'web2', state: 'running', host: 'host2' })
  t.not(b.vm(clone.uuid).attributes().macs[0], vm.attributes().macs[0])
  t.equal(await codeOf(vm.clone({ name: 'web2', to: b.pm }, authority())), 'RMO_ERR_NAME_TAKEN')
  t.same([a.host.vms.list().length, b.host.vms.list().length], [1, 1])
})

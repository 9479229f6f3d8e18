import { test } from 'tap'
import { errorCode, systemClock } from '../../../fabric/base.ts'
import { RMO } from '../../../rmo/errors.ts'
import type { HypervisorDriver } from '../../../rmo/driver/contract.ts'
import { createTestHosts } from '../../support/hosts.ts'
import type { TestHost, TestHostsOptions } from '../../support/hosts.ts'
import { authority } from '../../support/rmo-fabric.ts'

const codeOf = (work: Promise<unknown>): Promise<string | undefined> => work.then(() => undefined, (error: unknown) => errorCode(error) ?? String(error))
const call = { remainingMs: () => 5_000 }
const domains = async (it: TestHost): Promise<number> => (await it.driver.inventory(call)).domains.length
/** Files that VMs could have left. */
const files = async (it: TestHost): Promise<readonly string[]> => (await it.driver.inventory(call)).volumes.map(({ name }) => name).filter((name) => !name.endsWith('.image')).sort()

async function oneHost(t: { teardown(fn: () => unknown): unknown }, options: TestHostsOptions = {}): Promise<TestHost> {
  const fabric = await createTestHosts(['host1'], { storage: true, ...options })
  t.teardown(() => fabric.stop())
  return fabric.host('host1')
}
const wish = (name: string) => ({ name, image: 'guest', context: { hostname: name }, devices: [{ type: 'interface', bridge: 'br0' }] as const })

test('add makes disks, seed, addresses; remove takes all of it away', async (t) => {
  const it = await oneHost(t)
  const vm = await it.add(wish('web 1'), { start: true })
  const { devices, instanceId, image } = vm.settings()
  t.same(devices.map((device) => device.type === 'disk' ? device.role : device.type), ['root', 'seed', 'interface'])
  t.ok(instanceId)
  t.equal(image, 'guest')
  t.equal((await files(it)).length, 2)
  t.equal(vm.related('Volume').length, 2)
  await it.host.vmm.remove(vm.reference(), { force: true }, authority())
  t.same(await files(it), [])
})

test('a failure at any step leaves nothing', async (t) => {
  const it = await oneHost(t)
  for (const [step, start] of [['define', false], ['start', true], ['setAutostart', false]] as const) {
    const draft = it.host.vmm.createVM({ ...wish(`fails-${step}`), autostart: true })
    it.driver.faults.failNext(step)
    t.equal(await codeOf(it.host.vmm.add(draft, { start }, authority())), 'RMO_ERR_DRIVER_FAILED', step)
    t.same([await domains(it), await files(it), it.host.vms.list().length], [0, [], 0], `${step}: nothing is left`)
    await it.host.vmm.add(draft, { start }, authority())
    t.equal(await domains(it), 1, 'and it can be tried again')
    await it.host.vmm.remove(it.vm(draft.uuid).reference(), { force: true }, authority())
  }
})

test('an image that is missing; a disk that fails', async (t) => {
  const it = await oneHost(t)
  t.equal(await codeOf(it.add({ name: 'a', image: 'none' })), 'RMO_ERR_IMAGE_MISSING')
  it.driver.faults.failNext('createVolume')
  t.ok(await codeOf(it.add(wish('b'))))
  t.same([await domains(it), await files(it)], [0, []])
})

test('what cannot be taken back is named', async (t) => {
  const it = await oneHost(t)
  it.driver.faults.failNext('start')
  it.driver.faults.failNext('undefine')
  const error = await it.add(wish('stuck'), { start: true }).then(() => undefined, (failure: unknown) => failure as Error & { code: string; details: { left: readonly string[] } })
  t.equal(error?.code, 'RMO_ERR_PARTLY_DONE')
  t.match(error?.details.left, [/^domain stuck \(/])
})

test('names and addresses are taken once', async (t) => {
  const it = await oneHost(t)
  const outcomes = await Promise.all(Array.from({ length: 4 }, () => codeOf(it.add(wish('one')))))
  t.same(outcomes.sort(), ['RMO_ERR_NAME_TAKEN', 'RMO_ERR_NAME_TAKEN', 'RMO_ERR_NAME_TAKEN', undefined].sort())
  t.equal((await files(it)).length, 2, 'the others left nothing')
  const mac = '5a:00:00:00:00:01'
  const withMac = (name: string) => ({ name, devices: [{ type: 'interface', bridge: 'br0', mac }] as const })
  t.same((await Promise.all(['a', 'b'].map((name) => codeOf(it.add(withMac(name)))))).sort(), ['RMO_ERR_ALREADY_EXISTS', undefined].sort())
  const many = await Promise.all(Array.from({ length: 30 }, (_, i) => it.add({ name: `m${i}`, devices: [{ type: 'interface', bridge: 'br0' }, { type: 'interface', bridge: 'br1' }] })))
  t.equal(new Set(many.flatMap((vm) => vm.attributes().macs)).size, 60)
})

test('the same draft again is done already; another one under its uuid is refused', async (t) => {
  const it = await oneHost(t)
  const draft = it.host.vmm.createVM(wish('web'))
  const [first, second] = await Promise.all([it.host.vmm.add(draft, {}, authority()), it.host.vmm.add(draft, {}, authority())])
  t.equal(first.uuid, second.uuid)
  t.equal(await domains(it), 1)
  t.equal(await codeOf(it.host.vmm.add({ ...draft, attributes: { ...draft.attributes, memoryMiB: 1 } }, {}, authority())), 'RMO_ERR_ALREADY_EXISTS')
  await it.host.vmm.add(draft, { start: true }, authority())
  t.equal(it.vm(draft.uuid).attributes().state, 'running')
})

test('a dump makes the same VM again', async (t) => {
  const it = await oneHost(t)
  const vm = await it.add(wish('web'))
  const settings = vm.settings()
  await it.host.vmm.remove(vm.reference(), {}, authority())
  const again = await it.host.vmm.add({ kind: 'VM', uuid: vm.uuid, home: it.id, name: 'web', attributes: { ...settings }, cold: true }, {}, authority())
  t.same(it.vm(again.uuid).settings(), settings)
})

test('changes: all or nothing', async (t) => {
  const it = await oneHost(t)
  const vm = await it.add(wish('web'))
  const heard = it.listen(vm.uuid)
  await vm.apply({ name: 'shop', memoryMiB: 128, labels: { a: 'b' } }, authority())
  t.match(vm.attributes(), { name: 'shop', memoryMiB: 128, labels: { a: 'b' } })
  await heard.until('changed')
  t.equal(it.host.vms.byName('shop')?.uuid, vm.uuid)
  t.equal(await codeOf(vm.apply({ image: 'other' }, authority())), 'RMO_ERR_READ_ONLY')
  const before = vm.settings()
  it.driver.faults.failNext('define')
  t.equal(await codeOf(vm.apply({ memoryMiB: 256, autostart: true }, authority())), 'RMO_ERR_DRIVER_FAILED')
  await it.host.resync()
  t.same({ ...vm.settings(), autostart: false }, { ...before, autostart: false })
  await it.add(wish('other'))
  t.equal(await codeOf(vm.apply({ name: 'other' }, authority())), 'RMO_ERR_NAME_TAKEN')
  await vm.start({}, authority())
  t.equal(await codeOf(vm.apply({ name: 'new' }, authority())), 'RMO_ERR_STATE_INVALID')

  await vm.addDevice({ type: 'interface', bridge: 'br1' }, authority())
  t.equal(vm.attributes().macs.length, 2)
  await vm.addDevice({ type: 'disk', path: '/var/lib/simulated/default/data.qcow2', format: 'qcow2', create: 'auto', sizeMiB: 10 }, authority())
  t.ok((await files(it)).includes('data.qcow2'))
  const mac = vm.attributes().macs[1] ?? ''
  await vm.removeDevice({ type: 'interface', mac }, authority())
  await vm.removeDevice({ type: 'interface', mac }, authority())
  t.equal(vm.attributes().macs.length, 1)
  await vm.setContext({ hostname: 'told' }, { again: true }, authority())
  t.not(vm.settings().instanceId, before.instanceId)
  t.same(vm.settings().context, { hostname: 'told' })
})

test('clones have an identity of their own', async (t) => {
  const it = await oneHost(t)
  const vm = await it.add(wish('web'))
  const clone = await vm.clone({ name: 'web2', start: true }, authority())
  const two = it.vm(clone.uuid)
  t.match(two.attributes(), { name: 'web2', state: 'running' })
  t.not(two.attributes().macs[0], vm.attributes().macs[0])
  t.not(two.settings().instanceId, vm.settings().instanceId)
  t.equal(two.settings().context?.hostname, 'web2')
  t.equal(await codeOf(vm.clone({ name: 'web2' }, authority())), 'RMO_ERR_NAME_TAKEN')
  const before = await files(it)
  it.driver.faults.failNext('define')
  t.ok(await codeOf(vm.clone({ name: 'web3' }, authority())))
  t.same(await files(it), before, 'a clone that fails leaves nothing')
  t.equal(await codeOf(two.clone({}, authority())), 'RMO_ERR_STATE_INVALID', 'its disks must hold still')
  await vm.start({}, authority())
})

test('snapshots live with their VM', async (t) => {
  const it = await oneHost(t)
  const vm = await it.add({ name: 'web' }, { start: true })
  const reference = await vm.snapshot({ name: 'before' }, authority())
  t.match(reference, { kind: 'Snapshot', name: 'before', attributes: { vmName: 'web', content: 'memory', state: 'running' } })
  t.equal(await codeOf(vm.snapshot({ name: 'before' }, authority())), 'RMO_ERR_ALREADY_EXISTS')
  await vm.snapshot({ content: 'disk' }, authority())
  t.equal(vm.related('Snapshot').length, 2)
  const local = it.objects.get('Snapshot', reference.uuid)?.local as { revert(by: unknown): Promise<void>; remove(by: unknown): Promise<void> }
  await vm.destroy(authority())
  await local.revert(authority())
  t.equal(vm.attributes().state, 'running')
  await local.remove(authority())
  t.equal(vm.related('Snapshot').length, 1)
  await it.host.vmm.remove(vm.reference(), { force: true }, authority())
  t.equal(it.objects.list('Snapshot').length, 0)
})

test('a driver that hangs: the deadline holds, the lock comes free', async (t) => {
  let stuck = false
  const it = await oneHost(t, {
    wrap: (driver): HypervisorDriver => ({
      ...driver, get connected() { return driver.connected }, onEvent: (listener) => driver.onEvent(listener),
      domains: { ...driver.domains, start: (...args) => stuck ? new Promise(() => {}) : driver.domains.start(...args) },
    }),
    clock: { ...systemClock, after: (delayMs, work, how) => systemClock.after(stuck ? delayMs / 100 : delayMs, work, how) },
  })
  const vm = await it.add({ name: 'web' })
  stuck = true
  const hung = codeOf(vm.start({}, authority({ remainingMs: () => 20 })))
  const next = vm.apply({ description: 'after' }, authority())
  t.equal(await hung, RMO.DRIVER_TIMEOUT.code)
  stuck = false
  await next
  t.equal(vm.attributes().description, 'after')
})

// Nodes that die between two steps, answers that are lost, members that lie: what is found afterwards is whole, or said.
import t from 'tap'
import { seededRandom } from '../../fabric/base.ts'
import type { HypervisorDriver } from '../../rmo/driver/contract.ts'
import { createValueCodec } from '../../rmo/codec.ts'
import { partsOf } from '../../rmo/listing.ts'
import { load } from '../../rmo/load.ts'
import { readListing } from '../../rmo/messages.ts'
import { referenceRecord } from '../../rmo/schema.ts'
import { randomUuid } from '../../rmo/uuid.ts'
import { createTestHosts, eventually } from '../support/hosts.ts'
import type { TestHosts } from '../support/hosts.ts'
import { authority, must } from '../support/rmo-fabric.ts'

const call = { remainingMs: () => 10_000 }
const volumesOf = async (hosts: TestHosts, name: string, suffix = '.qcow2'): Promise<readonly string[]> => (await hosts.host(name).driver.inventory(call)).volumes.map((volume) => volume.name).filter((each) => /^(web|kept|copy|other)-/.test(each) && each.endsWith(suffix))
const never = (): Promise<never> => new Promise(() => {})

/** The driver as it is, but the next call of that name never comes back: the node dies in it. */
function deadly(of: 'storage' | 'domains', name: string): { readonly wrap: (driver: HypervisorDriver) => HypervisorDriver; arm(): void; readonly entered: Promise<void> } {
  let armed = false
  const { promise, resolve } = Promise.withResolvers<void>()
  const guard = <G extends object>(group: G): G => new Proxy(group, {
    get: (target, key) => key !== name ? Reflect.get(target, key) as unknown : (...args: unknown[]) => {
      if (!armed) return (Reflect.get(target, key) as (...args: unknown[]) => unknown)(...args)
      armed = false
      resolve()
      return never()
    },
  })
  return {
    // Not a copy: whether it is connected changes.
    wrap: (driver) => new Proxy(driver, { get: (target, key) => key === of ? guard(target[of]) : Reflect.get(target, key) as unknown }),
    arm() { armed = true }, entered: promise,
  }
}

t.test('a node that dies between a VM\'s definition and its disks takes the disks when it comes back', async (t) => {
  const death = deadly('storage', 'deleteVolume')
  const hosts = await createTestHosts(['host1'], { storage: true, wrap: death.wrap })
  t.teardown(() => hosts.stop())
  const host1 = hosts.host('host1')
  const vm = await host1.add({ name: 'web', image: 'guest', context: { hostname: 'web' } })
  const kept = await host1.add({ name: 'kept', image: 'guest' })
  t.equal((await volumesOf(hosts, 'host1')).length, 2)
  death.arm()
  host1.host.vmm.remove(vm.reference(), {}, authority()).catch(() => {})
  await death.entered
  t.same((await host1.driver.inventory(call)).domains.map(({ settings }) => settings.name), ['kept'], 'its definition is gone')
  await host1.restart()
  let left: readonly string[] = []
  for (let tries = 0; tries < 200 && left.length !== 2; tries++) { await new Promise((resolve) => setImmediate(resolve)); left = await volumesOf(hosts, 'host1', '') }
  t.match(left, [/^kept-/, /^kept-/], 'its disks are gone too, and no others')
  t.equal(host1.vm(kept.uuid).record.state, 'stopped')
})

t.test('a node that dies before the definition goes has removed nothing', async (t) => {
  const death = deadly('domains', 'undefine')
  const hosts = await createTestHosts(['host1'], { storage: true, wrap: death.wrap })
  t.teardown(() => hosts.stop())
  const host1 = hosts.host('host1')
  const vm = await host1.add({ name: 'web', image: 'guest' })
  death.arm()
  host1.host.vmm.remove(vm.reference(), {}, authority()).catch(() => {})
  await death.entered
  await host1.restart()
  await eventually(() => host1.store.range({ prefix: 'removal/', limit: 10 }).length === 0)
  t.equal((await volumesOf(hosts, 'host1')).length, 1)
  await host1.vm(vm.uuid).start({}, authority())
  t.equal(host1.vm(vm.uuid).record.state, 'running')
})

t.test('add() asked again after the VM has moved on does not make it twice, also after a restart', async (t) => {
  const hosts = await createTestHosts(['host1', 'host2', 'host3'])
  t.teardown(() => hosts.stop())
  const [host1, host2, host3] = [hosts.host('host1'), hosts.host('host2'), hosts.host('host3')]
  const draft = host1.host.vmm.createVM({ name: 'web' })
  await host1.host.vmm.add(draft, { start: true }, authority())
  await host1.vm(draft.uuid).migrate(host2.pm, {}, authority())
  await host2.vm(draft.uuid).migrate(host3.pm, {}, authority())
  await t.rejects(host1.host.vmm.add(draft, {}, authority()), { code: 'RMO_ERR_ALREADY_EXISTS' })
  await host1.restart()
  await t.rejects(host1.host.vmm.add(draft, {}, authority()), { code: 'RMO_ERR_ALREADY_EXISTS' }, 'after a restart')
  hosts.cut('host2')
  await t.rejects(host1.host.vmm.add(draft, {}, authority()), { code: 'FABRIC_ERR_UNREACHABLE' }, 'it may be there: nobody says')
  hosts.mend('host2')
  const dump = { kind: 'VM', uuid: draft.uuid, name: 'web', attributes: {}, settings: host3.vm(draft.uuid).settings() as never, version: '' }
  await host3.host.vmm.remove(host3.vm(draft.uuid).reference(), { force: true }, authority())
  await host1.host.vmm.add(must(referenceRecord(load(dump))), {}, authority())
  t.ok(host1.host.vms.get(draft.uuid), 'gone there, it can be made again here')
})

t.test('a clone on another host whose answer was lost keeps its disks or is not there', async (t) => {
  const hosts = await createTestHosts(['host1', 'host2'], { storage: true })
  t.teardown(() => hosts.stop())
  const [host1, host2] = [hosts.host('host1'), hosts.host('host2')]
  const vm = await host1.add({ name: 'web', context: { hostname: 'web' } })
  const clone = await vm.clone({ to: host2.pm, name: 'copy' }, authority())
  t.match(host2.vm(clone.uuid).settings(), { context: { hostname: 'copy' } }, 'told what the original was told')
  t.match(await volumesOf(hosts, 'host1', '.iso'), [/^web-/], 'its seed was made over there')
  host2.driver.faults.failNext('define')
  await t.rejects(vm.clone({ to: host2.pm, name: 'other' }, authority()), { code: 'RMO_ERR_DRIVER_FAILED' })
  t.equal((await volumesOf(hosts, 'host2', '')).length, 1)
})

t.test('a member that did not bring a VM cannot finish it off', async (t) => {
  const hosts = await createTestHosts(['host1', 'host2', 'host3'])
  t.teardown(() => hosts.stop())
  const [host1, host2, host3] = [hosts.host('host1'), hosts.host('host2'), hosts.host('host3')]
  const vm = await host1.add({ name: 'web' }, { start: true })
  const seen: string[] = []
  const liar = { node: host3.id, name: 'host3' }
  let turn: Promise<unknown> = Promise.resolve()
  hosts.intercept(({ to, body }, when) => {
    if (to !== 'host2' || body['step'] !== 'accept' || when !== 'answer') return
    const lie = (step: 'refuse' | 'complete') => host2.host.migrations.answer({ step, id: String(body['id']), uuid: vm.uuid, machine: host2.pm.uuid, speaker: host3.pm.uuid, handover: '{}' }, liar, authority())
    turn = lie('refuse').then(() => lie('complete')).then(() => { seen.push('believed') }, (error: { code?: string }) => { seen.push(String(error.code)) })
  })
  await vm.migrate(host2.pm, {}, authority())
  await turn
  t.same(seen, ['RMO_ERR_OBJECT_UNKNOWN'])
  t.equal(host2.vm(vm.uuid).record.state, 'running')
  t.equal(host1.host.vms.get(vm.uuid), undefined)
})

t.test('fifty add one name: one has it', async (t) => {
  const hosts = await createTestHosts(['host1'], { storage: true })
  t.teardown(() => hosts.stop())
  const { host, driver } = hosts.host('host1')
  const random = seededRandom(5)
  const settled = await Promise.allSettled(Array.from({ length: 50 }, () => host.vmm.add({ kind: 'VM', uuid: randomUuid(random), home: '', name: 'web', cold: true, attributes: { name: 'web', memoryMiB: 64, vcpus: 1, image: 'guest', devices: [{ type: 'interface', network: 'default' }] } }, {}, authority())))
  t.equal(settled.filter(({ status }) => status === 'fulfilled').length, 1)
  for (const each of settled) if (each.status === 'rejected') t.match((each.reason as { code?: string }).code, /^RMO_ERR_(BUSY|NAME_TAKEN)$/)
  t.equal((await driver.inventory(call)).domains.length, 1)
  t.equal((await volumesOf(hosts, 'host1')).length, 1)
})

t.test('forged cold references are refused before anything is made', async (t) => {
  const hosts = await createTestHosts(['host1'], { storage: true })
  t.teardown(() => hosts.stop())
  const { host, driver } = hosts.host('host1')
  const random = seededRandom(6)
  const base = { name: 'web', memoryMiB: 64, vcpus: 1, devices: [] as unknown[] }
  const forge = (attributes: object) => host.vmm.add({ kind: 'VM', uuid: randomUuid(random), home: '', name: 'web', cold: true, attributes: attributes as never }, {}, authority())
  const cyclic: unknown[] = []
  cyclic.push(cyclic)
  for (const [what, attributes] of Object.entries({
    'a million devices': { ...base, devices: Array.from({ length: 1_000_000 }, () => ({ type: 'interface', network: 'default' })) },
    'a sparse array': { ...base, devices: Object.assign([], { length: 2 ** 32 - 1 }) },
    cycle: { ...base, devices: cyclic }, 'no list': { ...base, devices: { length: 1, 0: {} } },
    'a device with a prototype': { ...base, devices: [Object.create({ type: 'disk', path: '/a', format: 'raw' })] },
    'NaN memory': { ...base, memoryMiB: NaN }, 'endless memory': { ...base, memoryMiB: Infinity }, 'negative vcpus': { ...base, vcpus: -1 },
    'a name with a line': { ...base, name: 'a\nb' }, 'a name with a slash': { ...base, name: '../../etc/x' }, 'half a character': { ...base, name: 'a\ud800' }, 'no name': { ...base, name: ' ' },
    'a long name': { ...base, name: 'x'.repeat(1_000) }, 'a relative path': { ...base, devices: [{ type: 'disk', path: 'etc/passwd', format: 'raw' }] },
    'two places': { ...base, devices: [{ type: 'disk', path: '/a', volume: { pool: 'default', name: 'a' }, format: 'raw' }] },
    'one address twice': { ...base, devices: [{ type: 'interface', network: 'default', mac: '52:54:00:00:00:01' }, { type: 'interface', network: 'default', mac: '52:54:00:00:00:01' }] },
  })) await t.rejects(forge(attributes), { code: /RMO_ERR_ARGUMENT_(INVALID|UNKNOWN)/ }, what)
  const odd = JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}') as object
  await t.rejects(forge({ ...base, labels: JSON.parse('{"__proto__":"x"}') as object }), { code: 'RMO_ERR_ARGUMENT_INVALID' }, 'a key that cannot travel')
  await t.resolves(forge({ ...base, ...odd, labels: { constructor: 'x' } }), 'what is no setting is left out')
  t.equal(({} as { polluted?: unknown }).polluted, undefined)
  t.equal((await driver.inventory(call)).domains.length, 1)
})

t.test('one object that cannot travel does not hide the others from a listing', (t) => {
  const codec = createValueCodec()
  const record = (name: string, attributes: object) => ({ kind: 'VM', uuid: randomUuid(random), home: '01'.repeat(32), name, attributes: attributes as never })
  const random = seededRandom(7)
  const references = [record('a', { vcpus: 1 }), record('hostile', { labels: JSON.parse('{"__proto__":"x"}') as object }), record('deep', { labels: JSON.parse('['.repeat(5_000) + ']'.repeat(5_000)) as object }), record('z', { vcpus: 2 })]
  const back = [...partsOf({ references, failures: [] }, { codec, withAttributes: true })].flatMap((part) => readListing(codec.decode(part, 'value')).references)
  t.same(back.map(({ name }) => name), ['a', 'hostile', 'deep', 'z'])
  t.same(back.map(({ attributes }) => Object.keys(attributes)), [['vcpus'], [], [], ['vcpus']])
  t.end()
})

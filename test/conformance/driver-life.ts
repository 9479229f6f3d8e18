// Conformance of drivers: the life of domains.

import { randomUUID } from 'node:crypto'
import type { DomainMetadata } from '../../rmo/driver/contract.ts'
import { refused } from './driver.ts'
import type { Check, DriverWorld } from './driver.ts'

const HOSTILE_NAMES = ['two words', 'Grüße 東京 🖥', `<vm a="1">&amp; 'x' ]]>`, 'x'.repeat(255), '-rf', '..', '%s%n${x}`y`']

/** Every command that names a domain, tried on one that does not exist. */
const commandsOn = ({ driver: { domains }, call }: DriverWorld, uuid: string): Readonly<Record<string, () => Promise<unknown>>> => ({
  start: () => domains.start(uuid, {}, call), shutdown: () => domains.shutdown(uuid, call), reboot: () => domains.reboot(uuid, call),
  destroy: () => domains.destroy(uuid, call), suspend: () => domains.suspend(uuid, call), resume: () => domains.resume(uuid, call),
  save: () => domains.save(uuid, call), undefine: () => domains.undefine(uuid, call), describe: () => domains.describe(uuid, call),
  setAutostart: () => domains.setAutostart(uuid, true, call), attach: () => domains.attach(uuid, { type: 'interface', bridge: 'br0' }, call),
  createSnapshot: () => domains.createSnapshot(uuid, { name: 's', content: 'disk' }, call), revertSnapshot: () => domains.revertSnapshot(uuid, 's', call),
  deleteSnapshot: () => domains.deleteSnapshot(uuid, 's', call), openConsole: () => domains.openConsole(uuid, call),
})

export const lifeChecks: readonly Check[] = [
  { id: 'facts', title: 'says what host it is', async run(t, { driver, call }) {
    const facts = await driver.facts(call)
    t.match(facts.uuid, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    t.ok(facts.cores >= 1 && facts.memoryBytes > 0 && facts.hypervisor !== '' && facts.version !== '')
  } },
  { id: 'define', title: 'a definition answers its record, is told, and is in the inventory', async run(t, world) {
    const uuid = randomUUID(), settings = world.settings('define', { memoryMiB: 96, vcpus: 2, description: 'a & b' })
    world.removeAfter(t, uuid)
    const record = await world.driver.domains.define(uuid, settings, {}, world.call)
    t.match(record, { uuid, state: 'stopped', managed: true, persistent: true, settings: { name: settings.name, memoryMiB: 96, vcpus: 2, description: 'a & b' } })
    await world.told(uuid, 'defined')
    const { domains, failures } = await world.driver.inventory(world.call)
    t.strictSame(failures, [])
    t.strictSame(domains.find((domain) => domain.uuid === uuid), record, 'the inventory and the answer are the same')
    t.strictSame(await world.record(uuid), record, 'get and the answer are the same')
  } },
  { id: 'define-again', title: 'the same definition again changes nothing', async run(t, world) {
    const uuid = await world.domain(t, 'again')
    const before = await world.record(uuid)
    await world.driver.domains.define(uuid, world.settings('again'), { createdBy: 'conformance' }, world.call)
    t.strictSame(await world.record(uuid), before)
  } },
  { id: 'define-change', title: 'a stopped one is changed by its next definition', async run(t, world) {
    const uuid = await world.domain(t, 'change', { description: 'old', labels: { a: '1' } })
    await world.driver.domains.define(uuid, world.settings('change', { memoryMiB: 128, vcpus: 2, labels: { b: '2' } }), {}, world.call)
    const settings = (await world.record(uuid))?.settings
    t.match(settings, { memoryMiB: 128, vcpus: 2 })
    t.strictSame(settings?.labels, { b: '2' })
    t.notOk(settings?.description, 'what is left out is gone')
  } },
  { id: 'settings', title: 'what hypervisors have no word for comes back as well', async run(t, world) {
    const own = { image: 'guest', labels: { 'a b': '<c>' }, context: { hostname: 'h', runcmd: ['a && b', ['c']] }, instanceId: 'i-1', simulate: { cpuRatios: [0, 0.5], stepMs: 100 } }
    const uuid = await world.domain(t, 'own', own)
    const { settings } = await world.record(uuid) ?? {}
    for (const [key, value] of Object.entries(own)) t.strictSame(settings?.[key as keyof typeof own], value, key)
  } },
  { id: 'metadata', title: 'metadata is kept with the domain', async run(t, world) {
    const uuid = randomUUID()
    world.removeAfter(t, uuid)
    const metadata: DomainMetadata = { image: 'guest', instanceId: 'i-2', context: { hostname: 'h' }, labels: { k: 'v' }, epoch: 7, createdBy: 'user:ä&<', createdAtMs: 1_700_000_000_000 }
    await world.driver.domains.define(uuid, world.settings('metadata'), metadata, world.call)
    t.strictSame((await world.record(uuid))?.metadata, metadata)
  } },
  { id: 'names', title: 'names are any text', async run(t, world) {
    for (const name of HOSTILE_NAMES) {
      const uuid = await world.domain(t, 'named', { name })
      const record = await world.record(uuid)
      t.equal(record?.settings.name, name)
      await refused(t, world.driver.domains.define(randomUUID(), world.settings('', { name }), {}, world.call), 'NAME_TAKEN', `a second ${name.slice(0, 20)}`)
    }
  } },
  { id: 'name-taken', title: 'a taken name is refused, and the loser is not there', async run(t, world) {
    const uuid = await world.domain(t, 'taken'), other = randomUUID()
    world.removeAfter(t, other)
    await refused(t, world.driver.domains.define(other, world.settings('taken'), {}, world.call), 'NAME_TAKEN', 'the name of another')
    t.equal(await world.record(other), undefined)
    t.ok(await world.record(uuid))
  } },
  { id: 'rename', title: 'a stopped one takes another name, a running one does not', async run(t, world) {
    const uuid = await world.domain(t, 'old-name')
    await world.driver.domains.define(uuid, world.settings('new-name'), {}, world.call)
    t.equal((await world.record(uuid))?.settings.name, world.named('new-name'))
    await world.driver.domains.start(uuid, {}, world.call)
    await refused(t, world.driver.domains.define(uuid, world.settings('third-name'), {}, world.call), ['STATE_INVALID', 'DRIVER_UNSUPPORTED'], 'renaming a running one')
    t.equal((await world.record(uuid))?.settings.name, world.named('new-name'))
  } },
  { id: 'undefine', title: 'a definition is removed, told, and not there any more', async run(t, world) {
    const uuid = await world.domain(t, 'undefine')
    await world.driver.domains.undefine(uuid, world.call)
    await world.told(uuid, 'undefined')
    t.equal(await world.record(uuid), undefined)
    t.notOk((await world.driver.inventory(world.call)).domains.some((domain) => domain.uuid === uuid))
  } },
  { id: 'unknown', title: 'commands on a domain that is not there say that it is gone', async run(t, world) {
    for (const [name, command] of Object.entries(commandsOn(world, randomUUID()))) await refused(t, command(), 'GONE', name)
    t.equal(await world.record(randomUUID()), undefined)
  } },
  { id: 'start', title: 'start runs it, tells, and may be repeated', async run(t, world) {
    const uuid = await world.running(t, 'start')
    t.match(await world.record(uuid), { state: 'running' })
    await world.told(uuid, 'started')
    await world.driver.domains.start(uuid, {}, world.call)
    t.equal(await world.state(uuid), 'running')
  } },
  { id: 'start-paused', title: 'started paused it waits for resume', async run(t, world) {
    const uuid = await world.domain(t, 'paused')
    await world.driver.domains.start(uuid, { paused: true }, world.call)
    t.equal(await world.state(uuid), 'paused')
    await world.driver.domains.resume(uuid, world.call)
    t.equal(await world.state(uuid), 'running')
  } },
  { id: 'suspend', title: 'suspend and resume, told, repeatable', async run(t, world) {
    const uuid = await world.running(t, 'suspend'), { domains } = world.driver
    for (const again of [false, true]) {
      await domains.suspend(uuid, world.call)
      t.equal(await world.state(uuid), 'paused', again ? 'again' : 'once')
    }
    await world.told(uuid, 'suspended')
    for (const again of [false, true]) {
      await domains.resume(uuid, world.call)
      t.equal(await world.state(uuid), 'running', again ? 'again' : 'once')
    }
    await world.told(uuid, 'resumed')
  } },
  { id: 'destroy', title: 'destroy stops it at once, is told, repeatable, and leaves the definition', async run(t, world) {
    const uuid = await world.running(t, 'destroy')
    await world.driver.domains.destroy(uuid, world.call)
    await world.driver.domains.destroy(uuid, world.call)
    t.match(await world.record(uuid), { state: 'stopped', reason: 'destroyed' })
    await world.told(uuid, 'stopped')
  } },
  { id: 'illegal', title: 'moves that the state does not allow are refused and change nothing', async run(t, world) {
    const uuid = await world.domain(t, 'illegal'), { domains } = world.driver
    for (const verb of ['suspend', 'resume', 'reboot', 'save'] as const) await refused(t, domains[verb](uuid, world.call), 'STATE_INVALID', `${verb} of a stopped one`)
    await refused(t, domains.openConsole(uuid, world.call), 'STATE_INVALID', 'console of a stopped one')
    t.equal(await world.state(uuid), 'stopped')
    await domains.start(uuid, {}, world.call)
    await refused(t, domains.undefine(uuid, world.call), 'STATE_INVALID', 'undefine of a running one')
    t.equal(await world.state(uuid), 'running')
  } },
  { id: 'shutdown', title: 'a guest that is asked stops by itself; a stopped one has done so', async run(t, world) {
    const uuid = await world.running(t, 'shutdown', { devices: world.setup.guestDevices ?? [] })
    await world.setup.whenUp?.(uuid)
    await world.driver.domains.shutdown(uuid, world.call)
    await world.told(uuid, 'stopped')
    t.match(await world.record(uuid), { state: 'stopped', reason: 'shutdown' })
    await world.driver.domains.shutdown(uuid, world.call)
  } },
  { id: 'reboot', title: 'a guest that reboots goes on running and tells', async run(t, world) {
    const uuid = await world.running(t, 'reboot', { devices: world.setup.guestDevices ?? [] })
    await world.setup.whenUp?.(uuid)
    await world.driver.domains.reboot(uuid, world.call)
    await world.signalled(uuid, 'reboot')
    t.equal(await world.state(uuid), 'running')
  } },
  { id: 'save', title: 'saved, it starts where it was', async run(t, world) {
    const uuid = await world.running(t, 'save'), { domains } = world.driver
    await domains.save(uuid, world.call)
    t.equal(await world.state(uuid), 'saved')
    await world.told(uuid, 'saved', 'stopped')
    await domains.start(uuid, {}, world.call)
    t.match(await world.record(uuid), { state: 'running' })
    await domains.save(uuid, world.call)
    await domains.undefine(uuid, world.call)
    t.equal(await world.record(uuid), undefined, 'undefine removes the saved memory as well')
  } },
  { id: 'crash', title: 'a killed emulator is told as a crash, and the domain starts again', async run(t, world) {
    const uuid = await world.running(t, 'crash')
    if (world.setup.crash === undefined) return void t.fail('no crash: name the reason in skip')
    await world.setup.crash(uuid)
    await world.told(uuid, 'crashed')
    t.equal(await world.state(uuid), 'crashed')
    await world.driver.domains.start(uuid, {}, world.call)
    t.equal(await world.state(uuid), 'running')
  } },
  { id: 'missing-disk', title: 'without its disk it does not start and stays as it was', async run(t, world) {
    const uuid = await world.domain(t, 'no-disk', { devices: [{ type: 'disk', volume: { pool: 'default', name: world.named('absent') }, format: 'qcow2' }] })
    await refused(t, world.driver.domains.start(uuid, {}, world.call), ['DRIVER_FAILED', 'IMAGE_MISSING', 'GONE'], 'start without its disk')
    t.equal(await world.state(uuid), 'stopped')
  } },
  { id: 'capacity', title: 'more memory than there is is refused at start', async run(t, world) {
    const { memoryBytes } = await world.driver.facts(world.call)
    const uuid = await world.domain(t, 'large', { memoryMiB: Math.ceil(memoryBytes / 1024 ** 2) * 4 })
    await refused(t, world.driver.domains.start(uuid, {}, world.call), 'NO_CAPACITY', 'start of one that is too large')
    t.equal(await world.state(uuid), 'stopped')
  } },
  { id: 'autostart', title: 'autostart is set and seen', async run(t, world) {
    const uuid = await world.domain(t, 'autostart')
    for (const autostart of [true, true, false]) {
      await world.driver.domains.setAutostart(uuid, autostart, world.call)
      t.equal((await world.record(uuid))?.settings.autostart ?? false, autostart)
    }
  } },
  { id: 'describe', title: "the driver's own text names it", async run(t, world) {
    const uuid = await world.domain(t, 'described')
    t.match(await world.driver.domains.describe(uuid, world.call), uuid)
  } },
]

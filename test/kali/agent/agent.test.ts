// The agent over simulated hosts and the store in memory: what an intent says becomes so, and what ends is answered.

import t from 'tap'
import type { Test } from 'tap'
import type { IntentRecord } from '../../../kali/cloud/contract.ts'
import type { AgentHost } from '../../../kali/cloud/parts.ts'
import type { TestHost } from '../../support/hosts.ts'
import { until } from '../../support/until.ts'
import { createAgentLab, domainsOf, uuid } from './agent-lab.ts'
import type { AgentLab } from './agent-lab.ts'

const PROTECTION: NonNullable<IntentRecord['protection']> = { restarts: 1, relocations: 1, windowMs: 3_600_000, onGuestShutdown: 'leave', priority: 0, armed: false }
const VM = uuid(1)

/** As if simulated emulators were processes. */
const withPids = (host: AgentHost, at: TestHost): AgentHost => ({
  ...host,
  domain(vm) {
    const domain = host.domain(vm), pid = at.host.vms.get(vm)?.record.pid
    return domain === undefined || pid === undefined ? domain : { ...domain, pid }
  },
})

async function labFor(t: Test, names: readonly string[] = ['a'], options: Parameters<typeof createAgentLab>[1] = {}): Promise<AgentLab> {
  const lab = await createAgentLab(names, options)
  t.teardown(() => lab.stop())
  return lab
}

t.test('a new intent is made, stamped with its epoch and started; its settings follow what was made of them', async (t) => {
  const lab = await labFor(t, ['a'], { storage: true })
  await lab.intend(lab.intent(VM, 'a', { settings: { name: 'vm-001', memoryMiB: 64, vcpus: 1, image: 'guest', devices: [], autostart: true } }))
  await lab.phase(VM, 'running')
  t.match(await domainsOf(lab.node('a')), [{ uuid: VM, state: 'running', epoch: 1 }])
  await until('the settings follow', () => lab.view.intent(VM)?.settings.devices.length === 2)
  const { settings } = lab.view.intent(VM) ?? t.fail('no intent') as never
  t.match(settings.devices, [{ type: 'disk', role: 'root' }, { type: 'disk', role: 'seed' }])
  t.type(settings.instanceId, 'string')
  t.equal(lab.node('a').at.vm(VM).record.settings.autostart ?? false, false, 'the hypervisor starts none by itself')
})

t.test('a crash of a protected VM is answered in place: counted first, then started, with the new emulator under the watchdog', async (t) => {
  const lab = await labFor(t, ['a'], { wrapHost: withPids })
  const { at, lease } = lab.node('a')
  await lab.intend(lab.intent(VM, 'a', { protection: PROTECTION }))
  await lab.phase(VM, 'running')
  await until('armed', () => lab.view.intent(VM)?.protection?.armed === true && lease.armed.get(VM)?.pid !== undefined)
  t.equal(lease.calls[0], `arm ${VM}`, 'before its first start')

  at.driver.faults.crash(VM)
  await until('it runs again', async () => (await domainsOf(lab.node('a')))[0]?.state === 'running')
  await until('counted', () => lab.view.intent(VM)?.tries.restarts === 1)
  await until('the new emulator is guarded', async () => lease.armed.get(VM)?.pid === (await domainsOf(lab.node('a')))[0]?.pid)

  at.driver.faults.crash(VM)
  const status = await lab.phase(VM, 'crashed')
  t.equal(status.epoch, 1)
  t.equal((await domainsOf(lab.node('a')))[0]?.state, 'crashed', 'no try is left: it is the HA policy\'s')
  t.notOk(lease.armed.has(VM), 'and nothing holds the lease for it')

  await lab.decide(VM, () => ({}))
  await lab.phase(VM, 'running')
  t.pass('somebody decided anew')
})

t.test('an unprotected VM that crashes is started again, and moved nowhere', async (t) => {
  const lab = await labFor(t)
  await lab.intend(lab.intent(VM, 'a'))
  await lab.phase(VM, 'running')
  const before = (await domainsOf(lab.node('a')))[0]?.pid
  lab.node('a').at.driver.faults.crash(VM)
  await until('it runs again', async () => { const [domain] = await domainsOf(lab.node('a')); return domain?.state === 'running' && domain.pid !== before })
  t.same(lab.view.intent(VM)?.tries.restarts, 0)
  t.same(lab.node('a').lease.calls, [], 'no lease for it')
})

t.test('a guest that shuts itself down is left off, or started again when it is said so', async (t) => {
  const lab = await labFor(t)
  const other = uuid(2)
  await lab.intend(lab.intent(VM, 'a', { protection: PROTECTION }))
  await lab.intend(lab.intent(other, 'a', { protection: { ...PROTECTION, onGuestShutdown: 'restart' } }))
  await Promise.all([lab.phase(VM, 'running'), lab.phase(other, 'running')])
  const { driver } = lab.node('a').at
  const call = { remainingMs: () => 5_000 }
  const before = (await domainsOf(lab.node('a'))).find(({ uuid }) => uuid === other)?.pid
  await driver.domains.shutdown(VM, call)
  await driver.domains.shutdown(other, call)
  await lab.phase(VM, 'shut-down')
  const intent = lab.view.intent(VM)
  t.match(intent, { desired: 'stopped', decidedBy: 'guest', booked: false })
  await until('the other one runs again', async () => { const domain = (await domainsOf(lab.node('a'))).find(({ uuid }) => uuid === other); return domain?.state === 'running' && domain.pid !== before })
  t.equal(lab.view.intent(other)?.tries.restarts, 0, 'which is no failure')

  await lab.decide(VM, () => ({ desired: 'running', booked: true }))
  await lab.phase(VM, 'running')
  t.pass('a user starts it')
})

t.test('stopped is stopped, running again runs, absent is gone with its disks and its intent', async (t) => {
  const lab = await labFor(t, ['a'], { storage: true })
  const { at } = lab.node('a')
  await lab.intend(lab.intent(VM, 'a', { settings: { name: 'vm-001', memoryMiB: 64, vcpus: 1, image: 'guest', devices: [] }, protection: PROTECTION }))
  await lab.phase(VM, 'running')
  await lab.decide(VM, () => ({ desired: 'stopped', booked: false }))
  await lab.phase(VM, 'stopped')
  t.equal((await domainsOf(lab.node('a')))[0]?.state, 'stopped')
  await until('disarmed', () => !lab.node('a').lease.armed.has(VM))
  await lab.decide(VM, () => ({ desired: 'running', booked: true }))
  await lab.phase(VM, 'running')
  t.equal(lab.view.intent(VM)?.tries.restarts, 0, 'a start that was asked for is no restart')
  await lab.decide(VM, () => ({ desired: 'absent', booked: false }))
  await lab.forgotten(VM)
  t.same(await domainsOf(lab.node('a')), [])
  const { volumes } = await at.driver.inventory({ remainingMs: () => 5_000 })
  t.notOk(volumes.some(({ name }) => name.startsWith('vm-001')), 'no disk is left')
})

t.test('a VM that another machine has is destroyed at once and kept nowhere here; the other one restores it on its disks', async (t) => {
  const lab = await labFor(t, ['a', 'b'])
  const { at: b } = lab.node('b')
  await lab.intend(lab.intent(VM, 'a', { protection: PROTECTION }))
  await lab.phase(VM, 'running')
  await lab.decide(VM, ({ settings }) => ({ machine: { uuid: b.pm.uuid, name: 'b', node: b.id }, epoch: 2, origin: 'restore', protection: PROTECTION, settings }))
  await lab.phase(VM, 'running')
  t.match(await domainsOf(lab.node('b')), [{ uuid: VM, state: 'running', epoch: 2 }])
  await until('gone from a', async () => (await domainsOf(lab.node('a'))).length === 0)
  t.notOk(lab.node('a').lease.armed.has(VM))
  await until('armed on b', () => lab.view.intent(VM)?.protection?.armed === true)
})

t.test('what is restored elsewhere is the same machine: disks, seed, instance id, addresses', async (t) => {
  const lab = await labFor(t, ['a', 'b'], { storage: true })
  const { at: b } = lab.node('b')
  await lab.intend(lab.intent(VM, 'a', { settings: { name: 'vm-001', memoryMiB: 64, vcpus: 1, image: 'guest', devices: [{ type: 'interface', network: 'default' }] } }))
  await lab.phase(VM, 'running')
  await until('the settings follow', () => lab.view.intent(VM)?.settings.devices.length === 3)
  const before = lab.view.intent(VM)?.settings
  await lab.decide(VM, () => ({ machine: { uuid: b.pm.uuid, name: 'b', node: b.id }, epoch: 2, origin: 'restore' }))
  await lab.phase(VM, 'running')
  const { settings } = b.vm(VM).record
  t.equal(settings.instanceId, before?.instanceId)
  t.match(settings.devices.map((device) => device.type === 'disk' ? device.path : device.mac), before?.devices.map((device) => device.type === 'disk' ? device.path : device.mac))
})

t.test('a disk that the other machine does not see is not made anew: nothing starts without it', async (t) => {
  const lab = await labFor(t, ['a', 'b'], { storage: true })
  const { at: b } = lab.node('b')
  const local = { type: 'disk', format: 'qcow2', path: '/var/lib/simulated/default/data.qcow2', create: 'auto', sizeMiB: 64 } as const
  await lab.intend(lab.intent(VM, 'a', { settings: { name: 'vm-001', memoryMiB: 64, vcpus: 1, devices: [local] } }))
  await lab.phase(VM, 'running')
  await lab.decide(VM, () => ({ machine: { uuid: b.pm.uuid, name: 'b', node: b.id }, epoch: 2, origin: 'restore' }))
  t.match(await lab.phase(VM, 'failed'), { error: /no such file/ })
})

t.test('taken out of the pool and given back at once: the running copy is taken over, whatever its epoch was', async (t) => {
  const lab = await labFor(t, ['a'])
  const a = lab.node('a')
  await lab.intend(lab.intent(VM, 'a', { epoch: 3 }))
  await lab.phase(VM, 'running')
  const [{ pid } = { pid: undefined }] = await domainsOf(a)
  // Before its agent has marked it as nobody's.
  await a.halt()
  await lab.book.forget(VM, () => true)
  await lab.intend(lab.intent(VM, 'a', { origin: 'present', epoch: 1 }))
  await a.restart()
  await lab.phase(VM, 'running')
  t.match(await domainsOf(a), [{ uuid: VM, state: 'running', epoch: 1, pid }])
})

t.test('a node that comes back destroys stale copies before anything else, and leaves what is in no record any more', async (t) => {
  const lab = await labFor(t, ['a', 'b'])
  const a = lab.node('a'), { at: b } = lab.node('b')
  const forgotten = uuid(2), kept = uuid(3), foreign = await a.at.add({ name: 'foreign' }, { start: true })
  for (const vm of [VM, forgotten, kept]) await lab.intend(lab.intent(vm, 'a'))
  for (const vm of [VM, forgotten, kept]) await lab.phase(vm, 'running')
  const [, , , { pid } = { pid: undefined }] = await domainsOf(a)
  await a.halt()
  await lab.decide(VM, () => ({ machine: { uuid: b.pm.uuid, name: 'b', node: b.id }, epoch: 2, origin: 'restore' }))
  await lab.book.forget(forgotten, () => true)
  await lab.phase(VM, 'running')
  t.equal((await domainsOf(a)).length, 4)
  await a.restart()
  const left = await domainsOf(a)
  t.same(left.map(({ uuid }) => uuid).sort(), [foreign.uuid, kept, forgotten].sort())
  t.ok(left.every(({ state }) => state === 'running'), 'the others go on')
  t.equal(left.find(({ uuid }) => uuid === kept)?.pid, pid, 'as they were')
  t.same(a.lease.calls, [])
})

t.test('without a lease nothing protected starts; when the lease is given up all of it is destroyed, and comes back with it', async (t) => {
  const lab = await labFor(t)
  const { lease, agent } = lab.node('a')
  const other = uuid(2)
  lease.refuse(true)
  await lab.intend(lab.intent(VM, 'a', { protection: PROTECTION }))
  await lab.intend(lab.intent(other, 'a'))
  await lab.phase(VM, 'failed')
  await lab.phase(other, 'running')
  t.equal((await domainsOf(lab.node('a'))).find(({ uuid }) => uuid === VM)?.state, 'stopped')
  lease.refuse(false)
  await lab.phase(VM, 'running')

  lease.refuse(true)
  lease.set(false)
  await agent.fence()
  const states = new Map((await domainsOf(lab.node('a'))).map(({ uuid, state }) => [uuid, state]))
  t.equal(states.get(VM), 'stopped')
  t.equal(states.get(other), 'running', 'what is not protected goes on')
  lease.refuse(false)
  await until('it is back', async () => (await domainsOf(lab.node('a'))).find(({ uuid }) => uuid === VM)?.state === 'running')
  t.equal(lab.view.intent(VM)?.tries.restarts, 0, 'a fence is no failure of the VM')
})

t.test('an agent that stops does not say of a VM that still runs that it has been seen off', async (t) => {
  const lab = await labFor(t)
  const node = lab.node('a')
  await lab.intend(lab.intent(VM, 'a', { protection: PROTECTION }))
  await lab.phase(VM, 'running')
  await node.agent.stop()
  // Resolved, the keeper would take it from the watchdog and give the lease back.
  await t.rejects(node.agent.fence([{ uuid: VM }]), { name: 'AbortError' })
  t.equal((await domainsOf(node))[0]?.state, 'running')
})

t.test('a live migration is the source\'s to do; the destination stamps and arms what comes', async (t) => {
  const lab = await labFor(t, ['a', 'b'], { wrapHost: withPids })
  const { at: b } = lab.node('b')
  await lab.intend(lab.intent(VM, 'a', { protection: PROTECTION }))
  await lab.phase(VM, 'running')
  await lab.decide(VM, () => ({ machine: { uuid: b.pm.uuid, name: 'b', node: b.id }, epoch: 2, origin: 'migrate', protection: PROTECTION }))
  await lab.phase(VM, 'running')
  t.match(await domainsOf(lab.node('b')), [{ uuid: VM, state: 'running', epoch: 2 }])
  t.same(await domainsOf(lab.node('a')), [])
  await until('armed on b', () => lab.view.intent(VM)?.protection?.armed === true && lab.node('b').lease.armed.get(VM)?.pid !== undefined)
  await until('let go on a', () => !lab.node('a').lease.armed.has(VM))
})

t.test('a migration that is refused is taken back: the VM stays, and the intent says so', async (t) => {
  const lab = await labFor(t, ['a', 'b'], { admit: async (name) => { if (name === 'b') throw new Error('not here') } })
  const { at: b } = lab.node('b'), { at: a } = lab.node('a')
  await lab.intend(lab.intent(VM, 'a'))
  await lab.phase(VM, 'running')
  const before = await domainsOf(lab.node('a'))
  await lab.decide(VM, () => ({ machine: { uuid: b.pm.uuid, name: 'b', node: b.id }, epoch: 2, origin: 'migrate' }))
  await until('taken back', () => lab.view.intent(VM)?.machine?.uuid === a.pm.uuid)
  await lab.phase(VM, 'running')
  t.match(lab.view.intent(VM), { epoch: 3, origin: 'present', decidedBy: 'system:agent', reason: /could not be moved to b/ })
  t.match(await domainsOf(lab.node('a')), [{ uuid: VM, state: 'running', epoch: 3, pid: before[0]?.pid }])
})

t.test('a VM that is managed no more goes on, and its epoch is taken out', async (t) => {
  const lab = await labFor(t)
  await lab.intend(lab.intent(VM, 'a', { protection: PROTECTION }))
  await lab.phase(VM, 'running')
  await lab.book.forget(VM, () => true)
  await until('let go', async () => (await domainsOf(lab.node('a')))[0]?.epoch === undefined)
  t.equal((await domainsOf(lab.node('a')))[0]?.state, 'running')
  t.notOk(lab.node('a').lease.armed.has(VM))
})

t.test('what cannot be made is tried again with a pause; a protected VM is then the HA policy\'s', async (t) => {
  const lab = await labFor(t, ['a'], { wrapHost: (host) => ({ ...host, create: async () => { throw Object.assign(new Error('no disk of that name'), { code: 'RMO_ERR_DISK_UNUSABLE' }) } }) })
  await lab.intend(lab.intent(VM, 'a', { protection: PROTECTION }))
  const failed = await lab.phase(VM, 'failed')
  t.match(failed, { error: /no disk/, attempts: 1 })
  t.match(await lab.phase(VM, 'crashed'), { error: /no disk/, attempts: 3 })
})

t.test('members of a group are ready when their console says so', async (t) => {
  const lab = await labFor(t, ['a'], { driver: () => ({ bootMs: 30 }) })
  const group = uuid(9)
  await lab.book.putGroup({
    uuid: group, name: 'web', pool: '00000000-0000-4000-8000-0000000000aa', template: { name: 'web', memoryMiB: 64, vcpus: 1, devices: [] }, paused: false, account: 'local:0', createdAtMs: 0,
    spec: { out: 0.8, in: 0.3, min: 1, max: 4, metric: { type: 'cpu' }, hold: 1, periodMs: 1_000, warmUpMs: 3_600_000, cooldownOutMs: 0, cooldownInMs: 0, stepOut: 1, stepIn: 1, margin: 0.1, flightMs: 900_000, drainMs: 10, readyText: 'kumoi-guest: up' },
  }, 'new')
  await lab.intend(lab.intent(VM, 'a', { group }))
  await lab.phase(VM, 'ready')
  t.pass('long before its warm-up is over')
})

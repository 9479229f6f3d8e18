import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { systemClock } from '../../../fabric/base.ts'
import { allOrNothing } from '../../../rmo/host/all-or-nothing.ts'
import { shareOf, withReading } from '../../../rmo/host/vm/cpu-window.ts'
import type { CpuReading } from '../../../rmo/host/vm/cpu-window.ts'
import { admitted } from '../../../rmo/admission.ts'
import { createExclusive } from '../../../rmo/host/exclusive.ts'
import { createReadings } from '../../../rmo/host/readings.ts'
import { fillInterfaces, macOf, sameVm } from '../../../rmo/host/vm/vm-devices.ts'
import { macAddress, vmName, vmSettings } from '../../../rmo/vm-schema.ts'
import { VM_OPERATIONS, VM_STATES, decide, mustDo } from '../../../rmo/vm-state.ts'
import type { VmDecision, VmState } from '../../../rmo/vm-state.ts'
import { codeOf } from '../../support/code-of.ts'

const place = { call: 'test', path: 'it' }

test('the state machine: every verb in every state has one answer, and repeating it is done already', (t) => {
  fc.assert(fc.property(fc.array(fc.constantFrom(...VM_OPERATIONS), { maxLength: 30 }), (operations) => {
    let state: VmState = 'cold'
    for (const operation of operations) {
      const decision: VmDecision = decide(operation, state)
      const vm = { name: 'web', state }
      if (decision.answer === 'refuse') {
        const code = codeOf(() => mustDo(operation, vm))
        if (code !== (state === 'gone' ? 'RMO_ERR_GONE' : state === 'cold' ? 'RMO_ERR_COLD' : 'RMO_ERR_STATE_INVALID')) return false
        continue
      }
      if (mustDo(operation, vm) !== (decision.answer === 'do')) return false
      if (decision.answer === 'done') continue
      const before: VmState = state
      state = decision.to
      // What changed the state is done when asked again.
      if (state !== before && operation !== 'add' && decide(operation, state).answer !== 'done') return false
    }
    return true
  }))
  for (const state of VM_STATES.filter((each) => each !== 'cold')) t.equal(decide('add', state).answer, 'refuse')
  for (const operation of VM_OPERATIONS.filter((each) => each !== 'remove')) t.equal(decide(operation, 'gone').answer, 'refuse')
  t.end()
})

test('cpuRatio: exact over its window, from 0 to 1, new after a restart', (t) => {
  fc.assert(fc.property(fc.array(fc.record({ stepMs: fc.integer({ min: 1, max: 3_000 }), ratio: fc.double({ min: 0, max: 1, noNaN: true }) }), { minLength: 2, maxLength: 40 }), fc.integer({ min: 1, max: 64 }), (steps, vcpus) => {
    let window: readonly CpuReading[] = withReading([], { atMs: 0, cpuNs: 0n, vcpus }, 5_000)
    let atMs = 0, cpuNs = 0n
    for (const { stepMs, ratio } of steps) {
      atMs += stepMs
      cpuNs += BigInt(Math.round(stepMs * ratio * vcpus * 1e6))
      window = withReading(window, { atMs, cpuNs, vcpus }, 5_000)
      const { cpuRatio, windowMs } = shareOf(window)
      if (cpuRatio < 0 || cpuRatio > 1 || windowMs > 8_000 || window.length > 6_000) return false
    }
    return true
  }))
  const steady = [0, 1, 2, 3].reduce<readonly CpuReading[]>((window, n) => withReading(window, { atMs: n * 1_000, cpuNs: BigInt(n) * 500_000_000n, vcpus: 2 }, 5_000), [])
  t.same(shareOf(steady), { cpuRatio: 0.25, windowMs: 3_000 })
  t.same(shareOf(withReading(steady, { atMs: 4_000, cpuNs: 0n, vcpus: 2 }, 5_000)), { cpuRatio: 0, windowMs: 0 }, 'the counter fell: started again')
  t.end()
})

test('addresses: valid, the same for the same VM, never two alike', (t) => {
  fc.assert(fc.property(fc.uuid(), fc.integer({ min: 0, max: 63 }), (uuid, index) => macAddress.check(macOf(uuid, index), place) === macOf(uuid, index)))
  const uuid = '11111111-2222-4333-8444-555555555555'
  const taken = new Set([macOf(uuid, 0), macOf(uuid, 0, 1)])
  const [first, second] = fillInterfaces([{ type: 'interface', bridge: 'a' }, { type: 'interface', bridge: 'a', mac: macOf(uuid, 0, 2) }], { uuid, name: 'x', host: 'h', taken })
  t.match([first, second], [{ mac: macOf(uuid, 0, 3) }, { mac: macOf(uuid, 0, 2) }])
  t.equal(codeOf(() => fillInterfaces([{ type: 'interface', bridge: 'a', mac: macOf(uuid, 0) }], { uuid, name: 'x', host: 'h', taken })), 'RMO_ERR_ALREADY_EXISTS')
  t.end()
})

test('names: any Unicode but control characters and "/"', (t) => {
  fc.assert(fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 80 }), (name) => {
    const fits = !/[\p{Cc}\p{Cs}/]/u.test(name) && name.trim() !== '' && name.length <= 255
    return (codeOf(() => vmName.check(name, place)) === undefined) === fits
  }))
  t.equal(codeOf(() => vmName.check('\ud800', place)), 'RMO_ERR_ARGUMENT_INVALID', 'half a character')
  t.end()
})

test('settings: what contradicts itself is refused', (t) => {
  const base = { name: 'web', memoryMiB: 64, vcpus: 1 }
  const disk = { type: 'disk', format: 'qcow2', path: '/a' } as const
  const link = { type: 'interface', bridge: 'br0' } as const
  for (const devices of [
    [{ ...disk, volume: { pool: 'p', name: 'n' } }], [{ ...link, network: 'n' }], [{ type: 'interface' }], [{ type: 'usb' }], [disk, disk],
    [{ ...link, mac: 'ff:ff:ff:ff:ff:ff' }], [{ ...link, mac: '5a:00:00:00:00:01' }, { ...link, mac: '5a:00:00:00:00:01' }], [{ ...link, switchType: 'linux', vlan: { tag: 1 } }], [{ ...link, vlan: { tag: 4_095 } }],
  ]) t.equal(codeOf(() => vmSettings.check({ ...base, devices }, place)), 'RMO_ERR_ARGUMENT_INVALID', JSON.stringify(devices))
  const asked = { ...base, devices: [link] }
  t.ok(sameVm({ ...asked, instanceId: 'i', devices: [{ ...disk, role: 'root' }, { ...link, mac: '5a:00:00:00:00:01' }] }, asked))
  t.notOk(sameVm({ ...asked, devices: [] }, asked))
  t.end()
})

test('exclusive: one after the other by key, in order, whatever fails', async (t) => {
  const exclusive = createExclusive(() => 'host1')
  const order: string[] = []
  const step = (key: string, name: string, fails = false): Promise<void> => exclusive(key, async () => {
    order.push(`${name} begins`)
    await new Promise((resolve) => setImmediate(resolve))
    order.push(`${name} ends`)
    if (fails) throw new Error('on purpose')
  })
  await Promise.all([t.rejects(step('a', '1', true)), step('a', '2'), exclusive('b', () => exclusive('a', async () => { order.push('3') }))])
  t.same(order, ['1 begins', '1 ends', '2 begins', '2 ends', '3'])
  const held = Promise.withResolvers<void>()
  const waiting = Array.from({ length: 64 }, () => exclusive('c', () => held.promise))
  await t.rejects(exclusive('c', async () => {}), { code: 'RMO_ERR_BUSY' })
  held.resolve()
  await Promise.all(waiting)
})

test('exclusive: who had to wait is asked about again before its turn', async (t) => {
  const exclusive = createExclusive(() => 'host1')
  const stale = Object.assign(new Error('stale'), { code: 'STALE' })
  let present = true
  const again = async (): Promise<void> => { if (!present) throw stale }
  const held = Promise.withResolvers<void>()
  const first = admitted(again, () => exclusive('a', () => held.promise))
  let ran = false
  const second = admitted(again, () => exclusive('a', async () => { ran = true }))
  const other = exclusive('a', async () => 'no epoch, no question')
  present = false
  held.resolve()
  await first
  await t.rejects(second, { code: 'STALE' })
  t.notOk(ran)
  t.equal(await other, 'no epoch, no question')
})

test('readings: who asks while one is under way shares the next', async (t) => {
  let begun = 0
  const gate = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const readings = createReadings({ clock: systemClock, intervalMs: 60_000, read: () => gate[begun++]?.promise ?? Promise.reject(new Error('no more')) })
  t.teardown(() => readings.stop())
  const first = readings.now()
  const [second, third] = [readings.now(), readings.now()]
  t.equal(second, third)
  gate[0]?.resolve()
  await first
  gate[1]?.resolve()
  await second
  t.equal(begun, 2)
  await t.rejects(readings.now(), { message: 'no more' })
})

test('all or nothing: newest first; what is left is named', async (t) => {
  const undone: string[] = []
  await t.rejects(allOrNothing('add', 'web', async (steps) => {
    steps.note('first', async () => { undone.push('first') })
    steps.note('second', async () => { undone.push('second') })
    throw new Error('on purpose')
  }), { message: 'on purpose' })
  t.same(undone, ['second', 'first'])
  await t.rejects(allOrNothing('add', 'web', async (steps) => {
    steps.note('a disk', async () => ['volume default/x'])
    steps.note('a domain', async () => { throw new Error('no way') })
    throw new Error('on purpose')
  }), { code: 'RMO_ERR_PARTLY_DONE', details: { left: ['a domain (no way)', 'volume default/x'] } })
})

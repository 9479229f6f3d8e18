// Fleets of simulated hosts: the same for the same seed, figures from their VMs, nothing that ticks.

import { test } from 'tap'
import { errorCode, LIMITS } from '../../../fabric/base.ts'
import { createSimClock } from '../../../fabric/sim-clock.ts'
import { createFleet } from '../../../rmo/mod.ts'
import type { Fleet } from '../../../rmo/mod.ts'

const call = { remainingMs: () => Infinity }
const self = () => ({ id: 'a'.repeat(64), state: 'alive', addresses: ['127.0.0.1:1'], version: '1', startedAtMs: 0 } as const)
const make = (hosts: number, vmsPerHost: number, seed = 1, clock = createSimClock()): Fleet => createFleet({ hosts, vmsPerHost, seed, clock, self })
const open = async (fleet: Fleet): Promise<void> => { await Promise.all(fleet.hosts.map(({ driver }) => driver.open())) }

test('a thousand hosts with ten VMs each, none with a timer', async (t) => {
  const clock = createSimClock(), fleet = make(1_000, 10, 1, clock)
  await open(fleet)
  t.equal(clock.pending, 0)
  t.equal(new Set(fleet.hosts.map(({ uuid }) => uuid)).size, 1_000)
  t.equal(new Set(fleet.hosts.map(({ name }) => name)).size, 1_000)
  const all = await Promise.all(fleet.hosts.map(({ driver }) => driver.stats(call)))
  const vms = all.flat()
  t.equal(new Set(vms.map(({ uuid }) => uuid)).size, 10_000)
  t.ok(vms.every(({ state }) => state === 'running'))
  clock.advance(LIMITS.hostCpuWindowMs)
  const later = new Map((await Promise.all(fleet.hosts.map(({ driver }) => driver.stats(call)))).flat().map(({ uuid, cpuNs }) => [uuid, cpuNs]))
  const hot = vms.filter(({ uuid, cpuNs }) => Number((later.get(uuid) ?? 0n) - cpuNs) / 1e6 > 0.9 * LIMITS.hostCpuWindowMs).length
  t.ok(hot > 100 && hot < 2_000, `${hot} of 10,000 VMs need help`)
})

test('the same seed is the same fleet; another is not', async (t) => {
  const look = async (fleet: Fleet): Promise<unknown> => {
    await open(fleet)
    return Promise.all(fleet.hosts.map(async ({ name, uuid, driver, machine }) => [name, uuid, machine.attributes(), await driver.stats(call)]))
  }
  t.strictSame(await look(make(3, 4)), await look(make(3, 4)))
  t.strictNotSame(await look(make(3, 4)), await look(make(3, 4, 2)))
  t.strictSame(make(50, 0).hosts.slice(0, 3).map(({ uuid }) => uuid), make(3, 4).hosts.map(({ uuid }) => uuid), 'a larger fleet begins with the same machines')
})

test('a machine shows what its VMs do', async (t) => {
  const clock = createSimClock(), fleet = make(2, 3, 1, clock)
  const [host] = fleet.hosts
  if (host === undefined) throw new Error('no host')
  await open(fleet)
  const { machine, driver } = host
  const before = machine.attributes()
  t.equal(machine.attributes(), before, 'the same object until the next sample')
  for (const { uuid } of await driver.stats(call)) driver.faults.hang(uuid)
  clock.advance(LIMITS.cpuSampleMs)
  const after = machine.attributes()
  t.ok(Math.abs(after.cpuRatio - (3 / 8 + 0.01)) < 1e-9, 'three busy vcpus of eight cores')
  t.ok(after.memoryFreeBytes < before.memoryFreeBytes)
  t.match(await machine.stats(), { cpu: { cpuRatio: after.cpuRatio } })
  t.match(await machine.info(), { name: host.name, uuid: host.uuid, hardware: { cores: 8 } })
  for (const refused of [machine.exec('ls', [], {}, call as never), machine.readFile('/x', {}, call as never)]) {
    t.equal(await refused.then(() => undefined, errorCode), 'RMO_ERR_DRIVER_UNSUPPORTED')
  }
})

test('one timer for all who watch, and none when nobody does', (t) => {
  const clock = createSimClock(), fleet = make(20, 0, 1, clock)
  const seen: string[] = []
  const stops = fleet.hosts.map(({ machine }) => machine.onSample(({ name }) => seen.push(name)))
  t.equal(clock.pending, 1)
  clock.advance(LIMITS.cpuSampleMs)
  t.equal(seen.length, 20)
  for (const stop of stops) stop()
  clock.advance(2 * LIMITS.cpuSampleMs)
  t.equal(seen.length, 20)
  t.equal(clock.pending, 0)
  fleet.hosts[0]?.machine.onSample(() => seen.push('again'))
  t.equal(clock.pending, 1)
  fleet.stop()
  t.equal(clock.pending, 0)
  t.end()
})

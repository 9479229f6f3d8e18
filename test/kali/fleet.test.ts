// A fleet of simulated machines on one node, whole: VMs move between its machines, are watched across the move, are
// listed once; a principal that may not add there may not move there. And what a node without a hypervisor says.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { test } from 'tap'
import { connect, startNode } from '../../kali/mod.ts'
import type { DataCenter, HypervisorOptions } from '../../kali/mod.ts'
import type { PhysicalMachine, VM } from '../../rmo/mod.ts'
import { until } from '../support/fabric-lab.ts'
import { must } from '../support/rmo-fabric.ts'

t.setTimeout(60_000)

async function node(t: { teardown(fn: () => unknown): unknown }, hypervisor: HypervisorOptions): Promise<{ dc: DataCenter; as(name: string): Promise<DataCenter> }> {
  const data = await mkdtemp(join(tmpdir(), 'kumoi-fleet-'))
  const running = await startNode({ data, name: 'fleet', listen: '127.0.0.1', hypervisor })
  const centers: DataCenter[] = []
  t.teardown(async () => {
    for (const center of centers) await center.close().catch(() => {})
    await running.stop()
    await rm(data, { recursive: true, force: true })
  })
  const open = async (as?: string): Promise<DataCenter> => {
    const center = await connect({ data, defaults: { timeoutMs: 30_000 }, ...as === undefined ? {} : { as } })
    centers.push(center)
    return center
  }
  return { dc: await open(), as: open }
}
const machines = async (dc: DataCenter): Promise<readonly [PhysicalMachine, PhysicalMachine]> => {
  const [first, second] = await dc.pms
  return [must(first), must(second)]
}
const namesOn = async (pm: PhysicalMachine): Promise<readonly string[]> => (await pm.vms).map(({ name }) => name)

test('a VM moves between two machines of one node', async (t) => {
  const { dc } = await node(t, { driver: 'memory', hosts: 2, vmsPerHost: 1 })
  const [one, two] = await machines(dc)
  const vm = must((await one.vms)[0]) as VM
  const watch = vm.watch()
  const types: string[] = []
  const watching = (async () => { for await (const event of watch) types.push(event.type) })()
  t.teardown(async () => { watch.unwatch(); await watching })
  // Opened when it is first heard.
  const nudge = async (): Promise<void> => { await vm.suspend(); await vm.resume() }
  await until('the watch is open', async () => { await nudge(); return types.includes('resumed') })
  const there = await vm.migrate(two)
  t.same([there.name, there.host], [vm.name, two.name])
  t.same([await namesOn(one), (await namesOn(two)).includes(vm.name)], [[], true], 'listed where it is, and nowhere else')
  // The old reference still names it.
  await until('the watch has gone along', async () => { await nudge(); return types.slice(types.indexOf('migrated')).includes('resumed') })
  t.ok(types.includes('migrated'))
  await vm.migrate(one)
  t.same(await namesOn(one), [vm.name])
})

test('who may move it, but may not add to the other machine, is refused there', async (t) => {
  const { dc, as } = await node(t, { driver: 'memory', hosts: 2, vmsPerHost: 1 })
  const [one, two] = await machines(dc)
  const vm = must((await one.vms)[0]) as VM
  const principal = `local:${process.getuid?.() ?? 0}/tenant`
  await vm.acls([{ effect: 'allow', principal, verbs: ['read', 'operate'] }])
  const tenant = await as('tenant')
  const [theirs, target] = await machines(tenant)
  const own = must((await theirs.vms)[0]) as VM
  await t.rejects(Promise.resolve(own.migrate(target)), { code: 'RMO_ERR_MIGRATION_REFUSED', message: /may not add VMs to VMM/ })
  t.same([await namesOn(one), (await vm.info()).host], [[vm.name], one.name], 'it is where it was')
  await (await two.vmm).acls([{ effect: 'allow', principal, verbs: ['create'] }])
  await own.migrate(target)
  t.equal((await namesOn(two)).length, 2)
  t.match(await (await vm.migrate(one)).acls(), [{ effect: 'allow', principal }], 'its rules go with it')
})

test('a node without a hypervisor says what to do', async (t) => {
  const { dc } = await node(t, { driver: 'none' })
  const [pm] = await dc.pms
  await t.rejects(Promise.resolve(must(pm).vmm.info()), { code: 'RMO_ERR_NO_HYPERVISOR', message: /Start that node with --driver libvirt/ })
})

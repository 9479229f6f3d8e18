// The paper's listing, word for word (issue 3), on a fabric of two nodes with simulated hosts: a hundred machines from
// one closure, here and in the cells; assignments; load(dump); the collections of the data center.

import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t from 'tap'
import { Bridge, FileDiskAuto, load, mac } from '../../cli/api.ts'
import { connect, startNode } from '../../kali/mod.ts'
import type { DataCenter, RunningNode } from '../../kali/mod.ts'
import { openLab, until } from '../support/fabric-lab.ts'
import { LAUNCHER } from '../support/shell-run.ts'

t.setTimeout(150_000)
const lab = await openLab(t)
const nodes: RunningNode[] = []
t.teardown(async () => { for (const node of nodes.reverse()) await node.stop() })

async function fabric(): Promise<DataCenter> {
  nodes.push(await startNode({ data: lab.dir('alpha'), name: 'alpha', listen: '127.0.0.1', hypervisor: { driver: 'memory' } }))
  const center = await connect({ data: lab.dir('alpha'), defaults: { timeoutMs: 60_000 } })
  t.teardown(() => center.close())
  nodes.push(await startNode({ data: lab.dir('beta'), name: 'beta', listen: '127.0.0.1', join: await center.ticket(), hypervisor: { driver: 'memory' } }))
  await until('both hypervisors', async () => (await center.vmms.length) === 2)
  return center
}
const dc = await fabric()
const { pms, range } = dc

/** Without the image: it has a test of its own, with the storage it needs. */
const context = async (no: number) => {
  const pm = pms.at(no % await pms.length)
  const v = await pm.vmm.createVM({ memoryMiB: 128, vcpus: 1 })
  v.name = 'centos' + no
  v.add(FileDiskAuto(`/tmp/centos${no}.qcow2`, { sizeMiB: 16 }))
  v.add(Bridge('xenbr', 'vnet' + no, mac(no)))
  v.context({ hostname: v.name, users: [], runcmd: [] })
  return pm.vmm.add(v)
}

t.test('machines from one closure, here', async (t) => {
  const made = await range(6).map(context)
  t.same(made.map((vm) => vm.name), [0, 1, 2, 3, 4, 5].map((no) => `centos${no}`))
  t.same(await dc.vms.dmap((vm) => vm.name), made.map((vm) => vm.name))
  t.equal(new Set(made.map((vm) => vm.host)).size, 2, 'on both machines')
  t.same(made.flatMap((vm) => vm.macs), [0, 1, 2, 3, 4, 5].map(mac))
})

t.test('and in the cells', async (t) => {
  const made = await range(6, 12).dmap(context)
  t.same(made.map((vm) => vm.name), [6, 7, 8, 9, 10, 11].map((no) => `centos${no}`))
  t.match({ ...made[0] }, { memoryMiB: 128, vcpus: 1, state: 'stopped' })
  t.equal(await dc.vms.length, 12)
  t.same((await pms.dmap((pm) => pm.vms.filter((vm) => vm.cpuRatio > 0.9)).flat()), [])
})

t.test('an assignment is a patch, here and in the cells', async (t) => {
  const vm = await dc.vms.at(0)
  vm.description = 'first'
  vm.memoryMiB = 160
  const dump = await vm.dump()
  t.match(dump.settings, { description: 'first', memoryMiB: 160 })
  await dc.vms.dforEach((each) => { each.description = `of ${each.host}` })
  t.match(await dc.vms.dmap((each) => each.description).at(0), /^of (alpha|beta)$/)
  vm.name = 'centos2'
  await t.rejects(dc.settled(), { code: 'RMO_ERR_NAME_TAKEN' }, 'what nobody was told: that name is taken on its machine')
  t.equal(vm.name, 'centos0')
})

t.test('load(dump) makes it again', async (t) => {
  const vm = await dc.vms.at(0)
  const dump = await vm.dump()
  const { vmm } = vm
  const elsewhere = (await dc.vmms).find(({ name }) => name !== vm.host)
  await t.rejects(elsewhere!.add(load(dump)), { code: 'RMO_ERR_ALREADY_EXISTS', details: { host: vm.host } }, 'it lives: twice it would run on the same disks')
  await vmm.remove(vm)
  await until('gone', async () => (await dc.vms.length) === 11)
  const cold = load(dump)
  t.match(inspect(cold), /^VM centos0 \(cold\) \{/)
  const again = await vmm.add(cold)
  t.same([again.uuid, again.name, cold.state], [vm.uuid, 'centos0', 'stopped'])
  const copies = await range(1).dmap(async (no) => { const copy = load(dump, { fresh: true }); copy.name = `copy${no}`; return copy })
  t.match(inspect(copies[0]), /^VM copy0 \(cold\) \{/, 'a cold object comes back as one')
  t.not(copies[0]?.uuid, vm.uuid)
})

t.test('from the shell and from a script', async (t) => {
  const kumoi = async (...args: string[]): Promise<{ readonly status: number; readonly stdout: string; readonly stderr: string }> => new Promise((resolve) => {
    execFile(process.execPath, [LAUNCHER, ...args], { env: { ...process.env, KUMOI_DATA: lab.dir('alpha') } }, (error, stdout, stderr) => resolve({ status: Number(error?.code ?? 0), stdout, stderr }))
  })
  const listing = `const context = ${context.toString()}; (await range(20, 22).map(context)).concat(await range(22, 24).dmap(context)).map(v => v.name)`
  t.match(await kumoi('--json', listing), { status: 0, stdout: '["centos20","centos21","centos22","centos23"]\n' })
  t.match(await kumoi('vms.at(0).name = "centos2"; 1'), { status: 1, stdout: '1\n', stderr: /RMO_ERR_NAME_TAKEN/ })
  t.match(await kumoi('[await pms.at(0).vmm.createVM({ name: "draft" })]'), { stdout: /name +state[^]*draft +cold/ })
  const file = join(lab.dir('alpha'), 'script.ts')
  await writeFile(file, "import { connect, mac } from 'kumoi'\nconst dc = await connect()\nconst v = await dc.vms.at(0)\nv.name = 'centos2'\nconsole.log(v.name, mac(3))\n")
  t.match(await kumoi('run', file), { status: 1, stdout: 'centos2 52:54:00:00:00:03\n', stderr: /RMO_ERR_NAME_TAKEN/ })
})

t.test('what a machine has is a collection of objects: by index, again, and where they live', async (t) => {
  const { vms } = pms.at(0)
  const names = (await vms).map((vm) => vm.name)
  t.equal(await vms.length, names.length, 'asked again, it answers again')
  t.equal((await vms.at(0)).name, names[0])
  await pms.at(0).vms.at(0).start()
  t.match(await pms.at(0).vms.at(0).info(), { host: 'alpha' }, 'Table I: index')
  t.same(await vms.dmap((vm) => vm.name), names)
  const moved = await pms.at(0).vms.at(0).migrate(pms.at(1))
  t.match([moved.name, moved.host, moved.state], [names[0], 'beta', 'running'])
})

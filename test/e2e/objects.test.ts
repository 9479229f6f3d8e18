// The data center as objects, on a lab of three libvirt hosts with real guests: the listings of the paper as a user
// types them, each operation of Table I and each member of Table II on a live VM, a hot VM found, a crash heard.
//
// README's feature table cites the titles of these tests.

import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import t from 'tap'
import { Bridge, FileDiskAuto, load, mac } from '../../rmo/mod.ts'
import type { VM } from '../../rmo/mod.ts'
import { until } from '../support/fabric-lab.ts'
import { GUEST_PATIENCE_MS, ask, domainState, emulatorPid, listen, machine, must, prefer, recall } from '../support/guest.ts'
import { labObstacle, useLab } from '../support/lab.ts'
import { LAUNCHER } from '../support/shell-run.ts'

t.setTimeout(230_000)

/** The paper's listing, as a user's file. */
const LISTING = `
import { connect, Bridge, FileDiskAuto, mac } from 'kumoi'
const dc = await connect()
const { pms, range } = dc
const context = async (no: number) => {
  const pm = pms.at(no % await pms.length)
  const v = await pm.vmm.createVM({ memoryMiB: 128, vcpus: 1, image: 'guest' })
  v.name = 'centos' + no
  v.add(FileDiskAuto(\`/nfs/centos\${no}.qcow2\`))
  v.add(Bridge('xenbr', 'vnet' + no, mac(no)))
  v.context({ hostname: v.name, users: [{ name: 'ops' }], runcmd: ['echo made of ' + no + ' >/state/word'] })
  return pm.vmm.add(v)
}
const made = await range(3).map(context)
await dc.from(made).dforEach(vm => vm.start())
console.log(JSON.stringify(made.map(vm => [vm.name, vm.host, vm.macs])))
await dc.close()
`

t.test('objects over three libvirt hosts', { skip: await labObstacle('libvirt'), timeout: 220_000 }, async (t) => {
  const lab = await useLab(t, { driver: 'libvirt', hosts: 3 })
  const dc = await lab.host('host1').connect()
  const far = await lab.host('host3').connect()
  const json = async (...args: string[]): Promise<unknown> => JSON.parse(await must(lab.kumoi(['--json', ...args])))
  const vmOf = async (name: string): Promise<VM> => {
    const found = (await dc.vms).find((vm) => vm.name === name)
    if (found === undefined) throw new Error(`no VM ${name}`)
    return found
  }

  await t.test('listing: contextualisation, machines from one closure', async (t) => {
    const file = join(lab.directory, 'nfs', 'listing.ts')
    await writeFile(file, LISTING)
    t.same(JSON.parse(await must(lab.kumoi(['run', file]))), [0, 1, 2].map((no) => [`centos${no}`, `host${no + 1}`, [mac(no)]]))
    for (const no of [0, 1, 2]) await prefer(lab, `host${no + 1}`, `centos${no}`)
    for (const no of [0, 1, 2]) {
      const vm = await vmOf(`centos${no}`)
      t.equal(await ask(vm, 'hostname'), `centos${no}`, 'the guest has its host name')
      t.equal(await recall(vm), `made of ${no}`, 'it did what runcmd says')
      t.match(await ask(vm, 'ip -o link show eth0'), mac(no), 'its interface has its address')
      t.equal(await domainState(lab, `host${no + 1}`, `centos${no}`), 'running')
    }
    // libvirt keeps names like vnet7 to itself and numbers them as it likes.
    t.match(await must(lab.exec('host2', 'ip', '-o', 'link', 'show', 'master', 'xenbr')), /vnet\d+: .*fe:54:00:00:00:01/, 'its plug is in the bridge')
  })

  await t.test('listing: pms.dmap(pm => pm.name)', async (t) => {
    t.same(await json('pms.dmap(pm => pm.name)'), ['host1', 'host2', 'host3'])
    t.same(await json('pms.dmap(pm => pm.vms.map(vm => vm.name))'), [['centos0'], ['centos1'], ['centos2']])
  })

  await t.test('listing: hot machines, pms.dmap(pm => pm.vms.filter(vm => vm.cpuRatio > 0.9)).flat()', async (t) => {
    const vm = await vmOf('centos1')
    await ask(vm, 'burn on')
    const hot = await until('the burning guest is hot', async () => {
      const found = await dc.pms.dmap((pm) => pm.vms.filter((each) => each.cpuRatio > 0.9)).flat()
      return found.length > 0 && found
    }, GUEST_PATIENCE_MS)
    t.same(hot.map(({ name, host }) => [name, host]), [['centos1', 'host2']])
    t.match(await json('pms.dmap(pm => pm.vms.filter(vm => vm.cpuRatio > 0.9)).flat()'), [{ name: 'centos1', uuid: vm.uuid }], 'and from the shell')
    await ask(vm, 'burn off')
  })

  await t.test('the shell: vm create, vms, vm show, vm console', async (t) => {
    await must(lab.kumoi(['vm', 'create', 'web1', '--host', 'host3', '--memory', '128', '--image', 'guest', '--start']))
    await prefer(lab, 'host3', 'web1')
    t.match(await json('vms'), [{ name: 'centos0' }, { name: 'centos1' }, { name: 'centos2' }, { name: 'web1' }])
    t.match(await lab.kumoi(['vm', 'show', 'web1']), { status: 0, stdout: /host3/ })
    const said = await must(lab.kumoi(['vm', 'console', 'centos0'], { input: 'hostname\n' }))
    t.match(said, /centos0\s+kumoi-guest: ok/)
    for (const plural of ['images', 'volumes', 'networks', 'switches']) t.match(await lab.kumoi([plural]), { status: 0 }, plural)
    t.equal(await ask(await vmOf('web1'), 'hostname'), 'web1')
  })

  await t.test('Table I', async (t) => {
    const { vmm } = await machine(dc, 'host2')
    let v: VM
    await t.test('create: vmm.createVM', async (t) => {
      v = await vmm.createVM({ memoryMiB: 128, vcpus: 1, image: 'guest' })
      t.equal(v.state, 'cold')
      t.equal(await domainState(lab, 'host2', v.name), 'absent', 'nothing exists yet')
    })
    await t.test('add: vmm.add(v)', async (t) => {
      v.name = 'table1'
      v.add(FileDiskAuto('/nfs/table1.qcow2'))
      v.add(Bridge('xenbr', undefined, mac(77)))
      v = await vmm.add(v)
      t.match({ ...v }, { name: 'table1', state: 'stopped', host: 'host2' })
      t.equal(await domainState(lab, 'host2', 'table1'), 'shut off')
    })
    await t.test('read: vmm.vms', async (t) => t.same((await vmm.vms).map(({ name }) => name).sort(), ['centos1', 'table1']))
    await t.test('update: v.memoryMiB = 160', async (t) => {
      v.memoryMiB = 160
      await dc.settled()
      t.match(await must(lab.exec('host2', 'virsh', 'dominfo', 'table1')), /Max memory: +163840 KiB/)
    })
    await t.test('index: pms.at(1).vms.at(i)', async (t) => {
      const names = [await dc.pms.at(1).vms.at(0), await dc.pms.at(1).vms.at(1)].map(({ name }) => name)
      t.same(names.sort(), ['centos1', 'table1'])
    })
    await t.test('clone: v.clone()', async (t) => {
      const twin = await v.clone({ name: 'table1 twin' })
      t.not(twin.uuid, v.uuid)
      t.not(twin.macs[0], mac(77), 'with a MAC address of its own')
      t.equal(await domainState(lab, 'host2', 'table1 twin'), 'shut off')
      await vmm.remove(twin)
    })
    await t.test('delete: vmm.remove(v)', async (t) => {
      await vmm.remove(v)
      t.equal(await domainState(lab, 'host2', 'table1'), 'absent')
      t.match(await lab.exec('host2', 'ls', '/nfs/table1.qcow2'), { status: 2 }, 'its disk went with it')
      await t.rejects(v.info(), { code: 'RMO_ERR_GONE' })
    })
  })

  await t.test('Table II on a live VM', async (t) => {
    // Through another machine's node than the VM's.
    const vm = await far.vms.find(({ name }) => name === 'centos0')
    if (vm === undefined) throw new Error('no centos0')
    await t.test('name', async (t) => t.equal(vm.name, 'centos0'))
    await t.test('uuid', async (t) => t.equal(await must(lab.exec('host1', 'virsh', 'domuuid', 'centos0')).then((text) => text.trim()), vm.uuid))
    await t.test('info', async (t) => t.match(await vm.info(), { host: 'host1', driver: 'libvirt', managed: true, settings: { memoryMiB: 128 }, definition: /<domain type='qemu'/ }))
    await t.test('stats', async (t) => {
      const stats = await vm.stats()
      t.match(stats, { state: 'running', disks: [{ target: 'vda' }, {}], interfaces: [{ target: 'vnet0' }] })
      t.ok(stats.cpuSeconds > 0 && stats.memoryBytes === 128 * 1024 ** 2)
    })
    await t.test('watch', async (t) => {
      const { heard } = await listen(t, vm)
      await must(lab.exec('host1', 'virsh', 'suspend', 'centos0'))
      t.match(await heard('suspended by virsh', ({ type }) => type === 'suspended'), { state: 'paused' })
      await must(lab.exec('host1', 'virsh', 'resume', 'centos0'))
      await heard('resumed by virsh', ({ type }) => type === 'resumed')
    })
    await t.test('unwatch', async (t) => {
      const watch = vm.watch({ sampleEveryMs: 1_000 })
      await watch.next()
      t.equal(await vm.unwatch(), 1)
      t.match(await watch.next(), { done: true })
    })
    await t.test('dump: what load() makes again', async (t) => {
      const dump = await vm.dump()
      t.match(dump, { kind: 'VM', uuid: vm.uuid, name: 'centos0', settings: { memoryMiB: 128 } })
      const { vmm } = await machine(dc, 'host2')
      const again = load(JSON.parse(JSON.stringify(dump)), { fresh: true })
      again.name = 'from dump'
      for (const { target } of again.devices) if (target !== undefined) again.remove({ target })
      const made = await vmm.add(again)
      t.match(await made.dump(), { settings: { name: 'from dump', memoryMiB: 128, context: { hostname: 'centos0' } } })
      await vmm.remove(made)
    })
    await t.test('patch: refused when somebody else was first', async (t) => {
      const { version } = await vm.dump()
      const { version: next } = await vm.patch({ description: 'mine', labels: { tier: 'web' } }, { version })
      t.not(next, version)
      const other = await vmOf('centos0')
      await t.rejects(other.patch({ description: 'lost' }, { version }), { code: 'RMO_ERR_VERSION_CONFLICT' })
      t.equal(other.description, 'mine')
      t.match(await must(lab.exec('host1', 'virsh', 'desc', '--config', 'centos0')), /mine/)
    })
    await t.test('acls', async (t) => {
      const rules = [{ effect: 'deny', principal: '*', verbs: ['operate'] }] as const
      t.same(await vm.acls(rules), rules)
      t.same(await (await vmOf('centos0')).acls(), rules)
      t.same(await vm.acls([]), [])
    })
    await t.test('account', async (t) => {
      const records = await vm.account()
      t.match(records.find(({ calls }) => calls > 0), { principal: /^local:/, busyMs: Number, firstAtMs: Number })
      t.ok(records.some(({ used }) => (used['vmSeconds'] ?? 0) > 0), JSON.stringify(records))
    })
    await t.test('audit', async (t) => {
      const records = await vm.audit()
      t.match(records.find(({ verb }) => verb === 'patch'), { outcome: 'done', operation: String })
      t.match(records.find(({ outcome }) => outcome === 'failed'), { verb: 'patch', error: /VERSION_CONFLICT/ })
    })
  })

  await t.test('a crash is heard on another host, and as one line of vms --watch --json', async (t) => {
    const vm = await far.vms.find(({ name }) => name === 'centos0')
    if (vm === undefined) throw new Error('no centos0')
    const { heard } = await listen(t, vm)
    const { NODE_OPTIONS: _options, ...env } = process.env
    const shell = spawn(process.execPath, [LAUNCHER, 'vms', '--watch', '--json'], { env: { ...env, KUMOI_DATA: lab.host('host3').data }, stdio: ['ignore', 'pipe', 'ignore'] })
    t.teardown(() => { shell.kill('SIGKILL') })
    const lines: { readonly name: string; readonly event: string; readonly state?: string }[] = []
    createInterface(shell.stdout).on('line', (line) => lines.push(JSON.parse(line)))
    await until('the shell watches', () => lines.find(({ name, event }) => name === 'web1' && event === 'present'), GUEST_PATIENCE_MS)
    const pid = await emulatorPid(lab, 'host1', 'centos0')
    await must(lab.exec('host1', 'kill', '-KILL', String(pid)))
    t.match(await heard('crashed', ({ type }) => type === 'crashed'), { state: /crashed|stopped/ })
    t.match(await until('the line', () => lines.find(({ name, event }) => name === 'centos0' && event === 'crashed'), GUEST_PATIENCE_MS), { kind: 'VM', uuid: vm.uuid, host: 'host1' })
    shell.kill('SIGINT')
    await vm.start()
    await heard('started again', ({ type }) => type === 'started')
    t.equal(await domainState(lab, 'host1', 'centos0'), 'running')
  })
})

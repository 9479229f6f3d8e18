// What happens behind a node's back: it is stopped and started while guests run, its libvirtd is restarted, domains are
// made and removed with virsh. The objects follow what is.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { VM } from '../../rmo/mod.ts'
import { until } from '../support/fabric-lab.ts'
import { GUEST_PATIENCE_MS, ask, domainState, emulatorPid, guestOn, guestUptime, libvirtdPid, listen, machine, must, runningOn } from '../support/guest.ts'
import { labObstacle, useLab } from '../support/lab.ts'

t.setTimeout(230_000)

const FOREIGN = `<domain type='qemu'>
  <name>foreign</name><description>made with virsh</description>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <features><acpi/><pae/></features>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator><serial type='pty'/></devices>
</domain>`

t.test('adoption', { skip: await labObstacle('libvirt'), timeout: 220_000 }, async (t) => {
  const lab = await useLab(t, { driver: 'libvirt', hosts: 2 })
  // Asked through host2's node: it is host1's that comes and goes.
  const dc = await lab.host('host2').connect()
  const listed = (name: string): Promise<VM> => until(`${name} is listed`, async () => (await dc.list('VM')).objects.find((vm) => vm.name === name) as VM | undefined, GUEST_PATIENCE_MS)
  const stayer = await guestOn(lab, dc, 'host1', { name: 'stayer' })
  const upSeconds = await guestUptime(stayer)
  const pid = await emulatorPid(lab, 'host1', 'stayer')

  await t.test('the node stops: guests run on; it starts: they are adopted', async (t) => {
    await lab.stopNode('host1')
    t.same(await runningOn(lab, 'stayer'), ['host1'], 'it runs without a node')
    await lab.startNode('host1')
    const again = await listed('stayer')
    t.match({ ...again }, { uuid: stayer.uuid, state: 'running', managed: true, host: 'host1', image: 'guest' })
    t.equal(await emulatorPid(lab, 'host1', 'stayer'), pid, 'the same emulator')
    t.ok(await guestUptime(stayer) > upSeconds, 'and the reference from before works: the guest was not restarted')
    const { heard } = await listen(t, stayer)
    await must(lab.exec('host1', 'virsh', 'suspend', 'stayer'))
    await heard('its events come again', ({ type }) => type === 'suspended')
    await stayer.resume()
  })

  await t.test('libvirtd is restarted: what changed meanwhile is seen', async (t) => {
    const { vmm } = await machine(dc, 'host1')
    const vmmEvents: string[] = []
    const watch = vmm.watch()
    const watching = (async () => { for await (const { type } of watch) vmmEvents.push(type) })()
    t.teardown(async () => { watch.unwatch(); await watching.catch(() => {}) })
    await vmm.info()
    const daemon = await libvirtdPid(lab, 'host1')
    await must(lab.exec('host1', 'kill', '-KILL', String(daemon)))
    await until('the loss is told', () => vmmEvents.includes('disconnected'), GUEST_PATIENCE_MS)
    // While nobody can tell: only level-based reading finds it.
    await must(lab.exec('host1', 'kill', '-KILL', String(pid)))
    await lab.start('host1')
    await until('the connection is told', () => vmmEvents.includes('connected'), GUEST_PATIENCE_MS)
    await until('the guest is seen to be off', async () => /^(stopped|crashed)$/.test((await listed('stayer')).state), GUEST_PATIENCE_MS)
    await stayer.start()
    t.same(await runningOn(lab, 'stayer'), ['host1'])
  })

  await t.test('a domain made with virsh is seen, not touched, and can be adopted', async (t) => {
    const file = join(lab.directory, 'nfs', 'foreign.xml')
    await writeFile(file, FOREIGN)
    await must(lab.exec('host1', 'virsh', 'define', '/nfs/foreign.xml'))
    const before = await must(lab.exec('host1', 'virsh', 'dumpxml', '--inactive', 'foreign'))
    const foreign = await listed('foreign')
    t.match({ ...foreign }, { state: 'stopped', managed: false, memoryMiB: 64, description: 'made with virsh' })
    t.equal(await must(lab.exec('host1', 'virsh', 'dumpxml', '--inactive', 'foreign')), before)
    const { vmm } = await machine(dc, 'host1')
    t.match({ ...await vmm.adopt(foreign) }, { name: 'foreign', managed: true })
    const after = await must(lab.exec('host1', 'virsh', 'dumpxml', '--inactive', 'foreign'))
    t.match(after, /<kumoi:vm/)
    t.equal(after.replace(/ *<metadata>.*<\/metadata>\n/s, ''), before, 'its definition got metadata and is the same else')
    await foreign.start()
    t.equal(await domainState(lab, 'host1', 'foreign'), 'running')
    await foreign.destroy()
  })

  await t.test('one that is removed with virsh while held is gone, and says so', async (t) => {
    const held = await listed('foreign')
    const types: string[] = []
    const watch = held.watch()
    const watching = (async () => { for await (const { type } of watch) types.push(type) })()
    t.teardown(async () => { watch.unwatch(); await watching.catch(() => {}) })
    await held.info()
    await must(lab.exec('host1', 'virsh', 'undefine', 'foreign'))
    await until('it is told', () => types.includes('gone'), GUEST_PATIENCE_MS)
    await t.rejects(held.info(), { code: 'RMO_ERR_GONE' })
    await t.rejects(held.start(), { code: 'RMO_ERR_GONE' })
    t.notOk((await dc.vms).some(({ name }) => name === 'foreign'))
    t.equal(await ask(stayer, 'hostname'), 'stayer', 'the other one is not concerned')
  })
})

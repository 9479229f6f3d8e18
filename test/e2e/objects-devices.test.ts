// A real guest's state and devices: suspend and resume, save and restore, snapshots of disk and memory, hot-plug of a disk and
// an interface that the guest sees, clones by overlay that boot as machines of their own.

import t from 'tap'
import { Bridge, FileDiskAuto, mac } from '../../rmo/mod.ts'
import { until } from '../support/fabric-lab.ts'
import { GUEST_PATIENCE_MS, ask, domainState, guestOn, guestUptime, listen, must, prefer, recall, remember } from '../support/guest.ts'
import { labObstacle, useLab } from '../support/lab.ts'

t.setTimeout(230_000)

t.test('a guest and its devices', { skip: await labObstacle('libvirt'), timeout: 220_000 }, async (t) => {
  const lab = await useLab(t, { driver: 'libvirt', hosts: 1 })
  const dc = await lab.host('host1').connect()
  const vm = await guestOn(lab, dc, 'host1', { name: 'box', context: { hostname: 'box', runcmd: ['echo first boot >>/state/boots'] } })
  const instance = await ask(vm, 'instance')

  await t.test('suspend and resume', async (t) => {
    const { heard } = await listen(t, vm)
    await vm.suspend()
    await heard('suspended', ({ type }) => type === 'suspended')
    t.equal(await domainState(lab, 'host1', 'box'), 'paused')
    await vm.suspend()
    t.pass('again changes nothing')
    await vm.resume()
    await heard('resumed', ({ type }) => type === 'resumed')
    t.equal(await ask(vm, 'hostname'), 'box')
  })

  await t.test('save and restore: the guest goes on where it was', async (t) => {
    await ask(vm, 'sh echo in memory >/run/word')
    const upSeconds = await guestUptime(vm)
    await vm.save()
    t.equal((await vm.info(), await vm.stats()).state, 'saved')
    t.equal(await domainState(lab, 'host1', 'box'), 'shut off')
    await vm.start()
    await prefer(lab, 'host1', 'box')
    t.ok(await guestUptime(vm) >= upSeconds, 'its uptime was not lost')
    t.equal(await ask(vm, 'cat /run/word'), 'in memory')
    t.equal(await ask(vm, 'instance'), instance)
  })

  await t.test('hot-plug: a disk and an interface, in and out', async (t) => {
    t.notMatch(await ask(vm, 'ls /sys/block'), 'vdc')
    await vm.add(FileDiskAuto('/nfs/box-data.qcow2', { sizeMiB: 16, target: 'vdc' }))
    await until('the guest sees the disk', async () => (await ask(vm, 'ls /sys/block')).includes('vdc'), GUEST_PATIENCE_MS)
    t.equal(Number(await ask(vm, 'cat /sys/block/vdc/size')) * 512, 16 * 1024 ** 2, 'of its size')
    await vm.add(Bridge('xenbr', 'hot0', mac(99)))
    await until('the guest sees the interface', async () => (await ask(vm, 'sh cat /sys/class/net/*/address')).includes(mac(99)), GUEST_PATIENCE_MS)
    t.match(await must(lab.exec('host1', 'ip', '-o', 'link', 'show', 'hot0')), /master xenbr/)
    t.match((await vm.stats()).disks.map(({ target }) => target), ['vda', 'vdb', 'vdc'])
    await vm.remove({ mac: mac(99) })
    await vm.remove({ target: 'vdc' })
    await until('the guest has let go of both', async () => !(await ask(vm, 'sh ls /sys/block; cat /sys/class/net/*/address')).match(/vdc|00:00:63/), GUEST_PATIENCE_MS)
    t.notMatch(await must(lab.exec('host1', 'virsh', 'dumpxml', '--inactive', 'box')), /vdc|hot0/, 'nor are they there at the next start')
  })

  await t.test('a snapshot of disk and memory reverts both', async (t) => {
    await remember(vm, 'before')
    await ask(vm, 'sh echo before >/run/word')
    const snapshot = await vm.snapshot({ name: 'good', content: 'memory' })
    t.match({ ...snapshot }, { name: 'good', content: 'memory', state: 'running' })
    await remember(vm, 'after')
    await ask(vm, 'sh echo after >/run/word')
    const upSeconds = await guestUptime(vm)
    await snapshot.revert()
    await prefer(lab, 'host1', 'box')
    t.equal(await ask(vm, 'cat /run/word'), 'before', 'memory')
    t.equal(await recall(vm), 'before', 'disk')
    t.ok(await guestUptime(vm) < upSeconds + 60)
    t.same((await vm.snapshots).map(({ name }) => name), ['good'])
    await snapshot.remove()
    t.equal(await vm.snapshots.length, 0)
    t.match(await must(lab.exec('host1', 'virsh', 'snapshot-list', '--name', 'box')), /^\s*$/)
  })

  await t.test('clones by overlay: two at once, each boots as a machine of its own', async (t) => {
    await vm.stop({ force: true })
    t.equal(await domainState(lab, 'host1', 'box'), 'shut off')
    const clones = await Promise.all(['twin1', 'twin2'].map((name) => vm.clone({ name, start: true })))
    for (const { name } of clones) await prefer(lab, 'host1', name)
    const ids = new Set([instance])
    for (const clone of clones) {
      t.equal(await ask(clone, 'hostname'), clone.name)
      ids.add(await ask(clone, 'instance'))
      t.match(await ask(clone, 'cat /state/boots'), /^first boot\nfirst boot$/, 'its runcmd ran again, on the disk it inherited')
    }
    t.equal(ids.size, 3, 'three instance ids')
    t.equal(new Set((await dc.vms).map(({ uuid }) => uuid)).size, 3)
    await vm.start()
    await prefer(lab, 'host1', 'box')
    t.equal(await ask(vm, 'instance'), instance, 'the original is who it was')
    t.equal(await ask(vm, 'cat /state/boots'), 'first boot', 'and had one first boot')
  })
})

// What goes wrong in the middle of a change, on a real hypervisor: libvirtd killed while machines are made, a full disk
// under a clone, two shells at one machine. Each failed change leaves the old state, or says exactly what is left.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { until } from '../support/fabric-lab.ts'
import { GUEST_PATIENCE_MS, domainState, libvirtdPid, machine, must } from '../support/guest.ts'
import { labObstacle, useLab } from '../support/lab.ts'

t.setTimeout(230_000)

t.test('mishaps in the middle of changes', { skip: await labObstacle('libvirt'), timeout: 220_000 }, async (t) => {
  const lab = await useLab(t, { driver: 'libvirt', hosts: 1 })
  const dc = await lab.host('host1').connect()
  const pm = await machine(dc, 'host1')
  const { vmm } = pm
  const small = { memoryMiB: 64, vcpus: 1 }
  const settle = <T>(work: Promise<T>): Promise<{ readonly value?: T; readonly code?: string }> => work.then((value) => ({ value }), (error: { readonly code?: string }) => ({ code: error.code ?? String(error) }))
  const libvirtdBack = async (): Promise<void> => {
    await lab.start('host1')
    await until('the node has its hypervisor again', async () => (await vmm.info().catch(() => undefined)) !== undefined && (await dc.vmms)[0]?.state === 'connected', GUEST_PATIENCE_MS)
  }
  const files = async (): Promise<readonly string[]> => (await must(lab.exec('host1', 'ls', '/nfs', '/nfs/images', '/var/lib/libvirt/images'))).split('\n').filter((line) => /\.(qcow2|iso)$/.test(line)).sort()

  await t.test('libvirtd is killed while machines are made: each is whole or is not there', async (t) => {
    const before = await files()
    const names = Array.from({ length: 12 }, (_, no) => `made${no}`)
    const daemon = await libvirtdPid(lab, 'host1')
    const making = names.map(async (name) => settle(vmm.add(await vmm.createVM({ ...small, name, image: 'guest' }))))
    await until('they are on their way', async () => (await readdir(join(lab.directory, 'nfs', 'images'))).some((file) => file.startsWith('made')))
    process.kill(daemon, 'SIGKILL')
    const outcomes = await Promise.all(making)
    await libvirtdBack()
    const whole = outcomes.flatMap(({ value }) => (value === undefined ? [] : [value.name]))
    t.ok(outcomes.every(({ value, code }) => value !== undefined || /^RMO_ERR_(DRIVER_|PARTLY_DONE|BUSY)/.test(code ?? '')), JSON.stringify(outcomes.map(({ value, code }) => value?.name ?? code)))
    await until('the listing is what virsh says', async () => {
      const defined = (await must(lab.exec('host1', 'virsh', 'list', '--all', '--name'))).split('\n').filter((line) => line !== '').sort()
      return (await dc.vms).map(({ name }) => name).sort().join() === defined.join()
    }, GUEST_PATIENCE_MS)
    const listed = await dc.vms
    for (const name of whole) t.ok(listed.some((vm) => vm.name === name), `${name}, which was answered, is there`)
    for (const vm of listed) await vmm.remove(vm)
    await until('nothing of the others is left', async () => (await files()).join() === before.join(), GUEST_PATIENCE_MS)
  })

  await t.test('the disk is full in the middle of a full clone: no clone, nothing left, the original as before', async (t) => {
    await must(lab.exec('host1', 'sh', '-c', 'mkdir -p /nfs/tiny && mount -t tmpfs -o size=24m tmpfs /nfs/tiny'))
    t.teardown(() => lab.exec('host1', 'umount', '-l', '/nfs/tiny').then(() => {}))
    await vmm.createPool({ name: 'tiny', path: '/nfs/tiny' })
    const vm = await vmm.add(await vmm.createVM({ ...small, name: 'heavy', devices: [{ type: 'disk', path: '/nfs/tiny/heavy.raw', format: 'raw', create: 'auto', sizeMiB: 16 }] }))
    await must(lab.exec('host1', 'dd', 'if=/dev/urandom', 'of=/nfs/tiny/heavy.raw', 'bs=1M', 'count=16', 'conv=notrunc'))
    const checksum = await must(lab.exec('host1', 'sha256sum', '/nfs/tiny/heavy.raw'))
    const { code } = await settle(vm.clone({ name: 'heavy twin', disks: 'full' }))
    t.match(code, /^RMO_ERR_(NO_SPACE|DISK_FAILED)$/)
    t.equal(await domainState(lab, 'host1', 'heavy twin'), 'absent')
    t.match((await must(lab.exec('host1', 'sh', '-c', 'ls /nfs/tiny | grep -v seed'))).trim().split('\n'), ['heavy.raw'], 'no half of a file')
    t.equal(await must(lab.exec('host1', 'sha256sum', '/nfs/tiny/heavy.raw')), checksum)
    t.same((await dc.vms).map(({ name }) => name), ['heavy'])
    await vmm.remove(vm)
  })

  await t.test('two shells change one machine: no update is lost, the second is told', async (t) => {
    const vm = await vmm.add(await vmm.createVM({ ...small, name: 'shared' }))
    const other = await lab.host('host1').connect()
    const theirs = (await other.vms).find(({ name }) => name === 'shared')
    if (theirs === undefined) throw new Error('the other shell does not see it')
    const { version } = await vm.dump()
    const outcomes = await Promise.all([settle(vm.patch({ memoryMiB: 96 }, { version })), settle(theirs.patch({ vcpus: 2 }, { version }))])
    t.same(outcomes.map(({ value, code }) => (value === undefined ? code : 'done')).sort(), ['RMO_ERR_VERSION_CONFLICT', 'done'])
    const { settings } = await vm.dump()
    t.equal(Number(settings['memoryMiB'] === 96) + Number(settings['vcpus'] === 2), 1, 'one of the two is done')
    await vmm.remove(vm)
  })

  await t.test('a name with spaces, Unicode and XML in it', async (t) => {
    const name = `wéb & <b>"süß" 'ω' 雲`
    const vm = await vmm.add(await vmm.createVM({ ...small, name }), { start: true })
    t.equal(await domainState(lab, 'host1', name), 'running')
    t.equal((await dc.vms).find(({ uuid }) => uuid === vm.uuid)?.name, name)
    await vmm.remove(vm, { force: true })
    t.equal(await domainState(lab, 'host1', name), 'absent')
  })
})

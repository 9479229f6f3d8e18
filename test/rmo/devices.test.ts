// What makes devices, and that it travels.

import { fc } from '../support/property.ts'
import { test } from 'tap'
import { Bridge, Cdrom, FileDisk, FileDiskAuto, load, mac, NetworkInterface, VolumeDisk } from '../../cli/api.ts'
import { capture } from '../../functions/mod.ts'
import { linkProgram } from '../../functions/value/mod.ts'
import { vmSettings } from '../../rmo/vm-schema.ts'

test('devices are settings with their defaults', async (t) => {
  t.same(FileDiskAuto('/nfs/centos1.qcow2'), { type: 'disk', path: '/nfs/centos1.qcow2', format: 'qcow2', create: 'auto' })
  t.same(FileDiskAuto('/a.raw', { sizeMiB: 8, base: 'guest' }), { type: 'disk', path: '/a.raw', format: 'raw', create: 'auto', sizeMiB: 8, base: 'guest' })
  t.same(FileDisk('/a.img', { bus: 'sata' }), { type: 'disk', path: '/a.img', format: 'raw', create: 'existing', bus: 'sata' })
  t.same(FileDisk('/a', { format: 'raw' }).format, 'raw', 'what is said wins')
  t.same(VolumeDisk('pool', 'v'), { type: 'disk', volume: { pool: 'pool', name: 'v' }, format: 'qcow2', create: 'existing' })
  t.same(Cdrom('/a.iso'), { type: 'disk', path: '/a.iso', format: 'raw', device: 'cdrom', bus: 'sata', readOnly: true, create: 'existing' })
  t.same(Bridge('xenbr', 'vnet7', mac(7)), { type: 'interface', bridge: 'xenbr', target: 'vnet7', mac: '52:54:00:00:00:07' })
  t.same(Bridge('br0', undefined, undefined, { vlan: { tag: 10 } }), { type: 'interface', bridge: 'br0', vlan: { tag: 10 } })
  t.same(NetworkInterface('default', { model: 'e1000' }), { type: 'interface', network: 'default', model: 'e1000' })
})

test('a wrong argument is told where it was written', async (t) => {
  t.throws(() => FileDiskAuto('nfs/a.qcow2'), { name: 'TypeError', message: /absolute path/ })
  t.throws(() => FileDisk(7 as never), TypeError)
  t.throws(() => Cdrom(''), TypeError)
  t.throws(() => VolumeDisk('', 'v'), TypeError)
  t.throws(() => Bridge(''), TypeError)
  t.throws(() => Bridge('b', 'a name that is far too long'), RangeError)
  t.throws(() => Bridge('b', 'v', '52:54:00:0:0:1'), RangeError)
  t.throws(() => NetworkInterface(undefined as never), TypeError)
  for (const no of [-1, 1.5, 2 ** 24, NaN, '7' as never]) t.throws(() => mac(no), RangeError)
})

test('property: a number has one MAC address, and no other number has it', async (t) => {
  const no = fc.integer({ min: 0, max: 2 ** 24 - 1 })
  fc.assert(fc.property(no, (n) => parseInt(mac(n).replaceAll(':', ''), 16) === 0x5254_0000_0000 + n && /^52:54:00(:[0-9a-f]{2}){3}$/.test(mac(n))))
  t.equal(mac(2 ** 24 - 1), '52:54:00:ff:ff:ff')
})

test('each travels with a shipped function; load is the sandbox\'s own there', async (t) => {
  const make = (no: number) => [FileDiskAuto(`/${no}`), FileDisk('/f'), VolumeDisk('p', 'v'), Cdrom('/c'), Bridge('b', `v${no}`, mac(no)), NetworkInterface('n')]
  const { program, environment } = capture(make)
  const linked = linkProgram(new TextDecoder().decode(program.code), environment.bytes)
  t.same(linked(3), make(3))
  t.ok(program.code.length < 8_192, `${program.code.length} bytes`)
  const loads = (dump: never) => load(dump)
  const captured = capture(loads)
  t.ok(captured.program.code.length < 256, 'no code of load travels')
  const global = globalThis as { dc?: unknown }
  global.dc = { load: () => 'the one there' }
  t.teardown(() => { delete global.dc })
  t.equal(linkProgram(new TextDecoder().decode(captured.program.code), captured.environment.bytes)(1), 'the one there')
})

test('a context that the domain could not keep is refused, not lost', async (t) => {
  const at = { call: 'VMM.createVM', path: 'settings' }
  const check = (context: unknown): unknown => vmSettings.check({ name: 'x', memoryMiB: 1, vcpus: 1, devices: [], context }, at)
  const nested = (depth: number): unknown => depth === 0 ? 'leaf' : { deeper: nested(depth - 1) }
  t.ok(check({ runcmd: ['true'], deep: nested(30) }))
  for (const bad of [{ deep: nested(40) }, { users: [JSON.parse('{"__proto__": null}')] }, JSON.parse('{"__proto__": {}}')]) t.throws(() => check(bad), { code: 'RMO_ERR_ARGUMENT_INVALID' })
})

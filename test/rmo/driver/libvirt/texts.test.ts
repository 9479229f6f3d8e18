// The small texts: pools, volumes, networks, snapshots, capabilities.
import assert from 'node:assert/strict'
import { fc } from '../../../support/property.ts'
import { test } from 'tap'
import { errorCode } from '../../../../fabric/base.ts'
import { flavourOf, readCapabilities, readKvm } from '../../../../rmo/driver/libvirt/xml/capabilities.ts'
import { networkXml, rangeOf, readNetwork } from '../../../../rmo/driver/libvirt/xml/network.ts'
import type { NetworkWish } from '../../../../rmo/driver/libvirt/xml/network.ts'
import { remembered } from '../../../../rmo/driver/libvirt/xml/remembered.ts'
import { readSnapshot, snapshotXml } from '../../../../rmo/driver/libvirt/xml/snapshot.ts'
import { poolXml, readPool, readVolume, volumeXml } from '../../../../rmo/driver/libvirt/xml/storage.ts'
import { hostileText } from './arbitraries.ts'

const UUID = '6695eb01-f6a4-8304-79aa-97f2502e193f'
const fileName = hostileText.map((text) => text.replaceAll('/', '') || 'x').filter((text) => text !== '.' && text !== '..' && Buffer.byteLength(text) <= 255)

test('pools and volumes: what is written is read', (t) => {
  fc.assert(fc.property(fileName, hostileText, (name, path) => {
    assert.deepEqual(readPool(poolXml({ uuid: UUID, name, path })), { uuid: UUID, name, path, type: 'dir' })
  }))
  fc.assert(fc.property(fileName, hostileText, fc.maxSafeNat(), fc.constantFrom('qcow2' as const, 'raw' as const), (name, path, capacityBytes, format) => {
    const overlay = readVolume(volumeXml({ name, format, capacityBytes, backing: { path, format } }))
    assert.deepEqual(overlay, { name, path: '', format, capacityBytes, allocationBytes: 0, backingPath: path })
    assert.equal(readVolume(volumeXml({ name, format, capacityBytes })).backingPath, undefined)
  }))
  for (const name of ['a/b', '..', '', 'x'.repeat(256), 'a\u0000']) {
    t.throws(() => volumeXml({ name, format: 'raw', capacityBytes: 1 }), { code: 'RMO_ERR_ARGUMENT_INVALID' }, JSON.stringify(name.slice(0, 8)))
    t.throws(() => poolXml({ name, path: '/p' }), { code: 'RMO_ERR_ARGUMENT_INVALID' })
  }
  t.equal(readPool("<pool type='logical'/>").type, 'other')
  t.equal(readVolume("<volume><target><format type='vmdk'/></target></volume>").format, 'other')
  t.end()
})

test('networks: what is written is read, over a base too, and the rest stays', (t) => {
  const octet = fc.integer({ min: 1, max: 254 })
  const address = fc.oneof(fc.tuple(octet, octet, octet, fc.integer({ min: 8, max: 30 })).map(([a, b, c, prefix]) => `${a}.${b}.${c}.1/${prefix}`), fc.integer({ min: 1, max: 126 }).map((prefix) => `fd00::1/${prefix}`))
  const wish: fc.Arbitrary<NetworkWish> = fc.record({ name: hostileText, bridge: hostileText, forward: fc.constantFrom('none' as const, 'nat' as const, 'route' as const, 'bridge' as const), address })
    .map(({ address: given, ...rest }) => ({ uuid: UUID, ...rest, ...rest.forward === 'bridge' ? {} : { address: given } }))
  const domain = "<domain name='lan' localOnly='yes'/>"
  fc.assert(fc.property(wish, wish, (one, other) => {
    const first = networkXml(one)
    assert.deepEqual(readNetwork(first), one)
    assert.equal(networkXml(one, first), first, 'fixpoint')
    const second = networkXml(other, first.replace('</network>', `${domain}</network>`))
    assert.deepEqual(readNetwork(second), other)
    assert.ok(second.includes(domain))
  }))
  const ruled: [string, Partial<NetworkWish>, RegExp][] = [
    ['a prefix is needed', { address: '10.0.0.1' }, /like 10\.0\.0\.1\/24/], ['no host fits', { address: '10.0.0.1/31' }, /like/], ['no address', { address: 'x/24' }, /like/],
    ['bridge needs one', { forward: 'bridge' }, /bridge must be/], ['and no address', { forward: 'bridge', bridge: 'br0', address: '10.0.0.1/24' }, /address must be/],
  ]
  for (const [why, part, message] of ruled) t.throws(() => networkXml({ name: 'n', forward: 'none', ...part }), { code: 'RMO_ERR_ARGUMENT_INVALID', message }, why)
  t.match(networkXml({ name: 'n', forward: 'nat', address: '10.0.0.1/24' }), /<dhcp><range start='10\.0\.0\.2' end='10\.0\.0\.254'\/><\/dhcp>/)
  t.match(networkXml({ name: 'n', forward: 'none', address: '10.0.0.1/24' }), /<dns enable='no'\/>/, 'starts without dnsmasq')
  t.notMatch(networkXml({ name: 'n', forward: 'route', address: '10.0.0.1/24' }), /dhcp/)
  t.strictSame(rangeOf('192.168.1.254', 24), { start: '192.168.1.1', end: '192.168.1.253' })
  t.match(readNetwork("<network><name>default</name><forward/><ip address='192.168.122.1' netmask='255.255.255.0'/></network>"), { forward: 'nat', address: '192.168.122.1/24' })
  t.end()
})

test('snapshots', (t) => {
  t.equal(snapshotXml({ name: 'a<b', content: 'memory', leftOut: ['hda'] }), "<domainsnapshot><name>a&lt;b</name><memory snapshot='internal'/><disks><disk name='hda' snapshot='no'/></disks></domainsnapshot>")
  t.match(snapshotXml({ name: 's', content: 'disk', description: 'd' }), /<description>d<\/description><memory snapshot='no'\/>/)
  t.strictSame(readSnapshot(`<domainsnapshot><name>s</name><description>d</description><state>running</state><parent><name>p</name></parent><creationTime>1700000000</creationTime><memory snapshot='internal'/><domain><uuid>${UUID}</uuid></domain></domainsnapshot>`),
    { name: 's', domain: UUID, createdAtMs: 1_700_000_000_000, state: 'running', content: 'memory', parent: 'p', description: 'd' })
  t.match(readSnapshot('<domainsnapshot><name>s</name><state>disk-snapshot</state></domainsnapshot>'), { state: 'stopped', content: 'disk', createdAtMs: 0 })
  t.end()
})

test('capabilities: KVM where it is whole, else emulation, on the host\'s own architecture', (t) => {
  const guest = (arch: string, types: string[], machines = ['pc', 'q35']): string =>
    `<guest><os_type>hvm</os_type><arch name='${arch}'><emulator>/usr/bin/qemu</emulator>${machines.map((each) => `<machine>${each}</machine>`).join('')}${types.map((type) => `<domain type='${type}'/>`).join('')}</arch></guest>`
  const host = `<host><uuid>${UUID}</uuid><cpu><arch>x86_64</arch><model>EPYC</model></cpu></host>`
  const both = readCapabilities(`<capabilities>${host}${guest('i686', ['qemu', 'kvm'])}${guest('x86_64', ['qemu', 'kvm'])}</capabilities>`)
  const kvm = (feature: string): string => `<domainCapabilities><cpu><mode name='host-model'><feature policy='disable' name='${feature}'/></mode></cpu></domainCapabilities>`
  t.match(both, { uuid: UUID, cpuModel: 'EPYC', guests: { length: 2 } })
  t.strictSame(flavourOf(both), { type: 'kvm', arch: 'x86_64', machine: 'pc' })
  t.strictSame(flavourOf(both, readKvm(kvm('xsavec'))), { type: 'kvm', arch: 'x86_64', machine: 'pc' })
  t.strictSame(flavourOf(both, readKvm(kvm('pni'))), { type: 'qemu', arch: 'x86_64', machine: 'pc' }, 'a /dev/kvm with nothing behind it')
  t.strictSame(flavourOf(readCapabilities(`<capabilities>${host}${guest('aarch64', ['qemu'], ['virt'])}</capabilities>`)), { type: 'qemu', arch: 'aarch64', machine: 'virt' })
  t.strictSame(flavourOf(readCapabilities(`<capabilities>${host}${guest('i686', ['test'])}</capabilities>`)), { type: 'test', arch: 'i686' })
  t.throws(() => flavourOf(readCapabilities('<capabilities/>')), { code: 'RMO_ERR_DRIVER_UNSUPPORTED' })
  t.end()
})

test('readers throw coded errors only, and remember', (t) => {
  const readers: ((xml: string) => unknown)[] = [readPool, readVolume, readNetwork, readSnapshot, readCapabilities, readKvm]
  const good = networkXml({ name: 'n', forward: 'nat', address: '10.0.0.1/24' })
  fc.assert(fc.property(fc.nat(good.length), fc.nat(30), fc.string({ maxLength: 5 }), (at, cut, put) => {
    for (const read of readers) {
      try { read(good.slice(0, at) + put + good.slice(at + cut)) } catch (error) { assert.equal(errorCode(error), 'RMO_ERR_DEFINITION_INVALID') }
    }
  }))
  let reads = 0
  const read = remembered((xml) => { reads += 1; return xml.length })
  t.strictSame([read('a'), read('a'), read('bb')], [1, 1, 2])
  t.equal(reads, 2)
  for (let index = 0; index < 2_000; index += 1) read(`c${index}`)
  read('a')
  t.equal(reads, 2_003, 'bounded: the oldest was forgotten')
  t.end()
})

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { fc } from '../../../support/property.ts'
import { test } from 'tap'
import { errorCode } from '../../../../fabric/base.ts'
import { attachXml, detachXml, domainXml, metadataXml, readDomain } from '../../../../rmo/driver/libvirt/xml/domain.ts'
import { parseXml, writeXml } from '../../../../rmo/driver/libvirt/xml/tree.ts'
import type { VmSettings } from '../../../../rmo/settings.ts'
import { hostileText, metadata, settings } from './arbitraries.ts'

const UUID = '6695eb01-f6a4-8304-79aa-97f2502e193f'
const flavour = { type: 'qemu', arch: 'x86_64', machine: 'pc' } as const
const golden = (name: string): string => readFileSync(new URL(`../../../golden/libvirt/${name}.xml`, import.meta.url), 'utf8')
const flat = (xml: string): string => xml.replace(/>\s+</g, '><').trim()

test('settings -> XML -> settings is the identity, metadata too', (t) => {
  fc.assert(fc.property(settings, metadata, fc.constantFrom('pc', 'q35'), (wish, kept, machine) => {
    const read = readDomain(domainXml(UUID, wish, kept, { flavour: { ...flavour, machine } }))
    assert.deepEqual(read.settings, wish)
    assert.equal(read.uuid, UUID)
    assert.equal(read.managed, true)
    const { image, instanceId, context, labels } = wish
    assert.deepEqual(read.metadata, JSON.parse(JSON.stringify({ ...kept, image, instanceId, context, labels })))
  }), { numRuns: 150 })
  t.end()
})

test('over a base: the same settings change nothing, any others hold and leave the rest', (t) => {
  const base = golden('virt-manager')
  fc.assert(fc.property(settings, settings, metadata, (one, other, kept) => {
    const first = domainXml(UUID, one, kept, { base })
    assert.deepEqual(readDomain(first).settings, one)
    assert.equal(domainXml(UUID, one, kept, { base: first }), first, 'fixpoint')
    const second = domainXml(UUID, other, kept, { base: first })
    assert.deepEqual(readDomain(second).settings, other)
    for (const unknown of ['<qemu:arg value=\'-fw_cfg\'/>', '<loader readonly=\'yes\' type=\'pflash\'>/usr/share/OVMF/OVMF_CODE.fd</loader>', '<libosinfo:os id=\'http://debian.org/debian/12\'/>', '<graphics type=\'spice\'', '<hyperv mode=\'custom\'>', '<target dev=\'fda\' bus=\'fdc\'/>']) {
      assert.ok(second.includes(unknown), unknown)
    }
  }), { numRuns: 60 })
  t.end()
})

test('adoption adds metadata and nothing else', (t) => {
  for (const name of ['virt-manager', 'test-default']) {
    const base = golden(name)
    const { settings: read, managed, uuid } = readDomain(base)
    t.equal(managed, false)
    const adopted = domainXml(uuid, read, { createdBy: 'user' }, { base })
    const again = parseXml(adopted, 'it')
    const note = /<kumoi:vm.*?<\/kumoi:vm>/s.exec(adopted)?.[0] ?? ''
    t.match(note, /"createdBy":"user"/)
    const without = flat(writeXml(again)).replace(note, '').replace('<metadata/>', '').replace('<metadata></metadata>', '')
    t.equal(without, flat(writeXml(parseXml(base, 'it'))), name)
    t.strictSame(readDomain(adopted).settings, read)
  }
  t.end()
})

test('golden texts', (t) => {
  const created = Date.UTC(2026, 0, 1)
  const wish: VmSettings = {
    name: 'web <1> & "é"', memoryMiB: 128, vcpus: 2, image: 'guest', description: 'a & b',
    devices: [
      { type: 'disk', path: '/pool/web1.qcow2', format: 'qcow2', create: 'auto', role: 'root' },
      { type: 'disk', volume: { pool: 'default', name: 'data' }, format: 'raw' },
      { type: 'disk', path: '/seeds/web1.iso', format: 'raw', device: 'cdrom', role: 'seed' },
      { type: 'interface', bridge: 'ovsbr0', switchType: 'openvswitch', mac: '52:54:00:00:00:01', target: 'web1.0', vlan: { tag: 7 }, rateKiBps: 1024 },
      { type: 'interface', bridge: 'ovsbr0', switchType: 'openvswitch', vlan: { trunk: [7, 8] } },
      { type: 'interface', network: 'default', model: 'e1000' },
    ],
    context: { hostname: 'web1', runcmd: ['echo "<hi>"'] }, instanceId: 'i-1', labels: { tier: 'front' },
  }
  t.equal(domainXml(UUID, wish, { createdAtMs: created, epoch: 3 }, { flavour }).replaceAll('><', '>\n<') + '\n', golden('created'))
  const kvm = domainXml(UUID, { name: 'k', memoryMiB: 1, vcpus: 1, devices: [] }, {}, { flavour: { type: 'kvm', arch: 'x86_64', machine: 'q35', emulator: '/usr/bin/kvm' } })
  t.match(kvm, /^<domain type='kvm'>.*machine='q35'.*<cpu mode='host-model'.*<emulator>\/usr\/bin\/kvm<\/emulator>/s)
  t.strictSame(readDomain(golden('test-default')).settings, {
    name: 'test', memoryMiB: 8192, vcpus: 2,
    devices: [{ type: 'disk', path: '/guest/diskimage1', target: 'vda', format: 'raw' }, { type: 'interface', network: 'default', mac: 'aa:bb:cc:dd:ee:ff', target: 'testnet0' }],
  })
  t.strictSame(readDomain(golden('virt-manager')).settings, {
    name: 'debian12', memoryMiB: 977, vcpus: 2, description: 'by hand',
    devices: [
      { type: 'disk', path: '/var/lib/libvirt/images/debian12.qcow2', target: 'vda', format: 'qcow2' },
      { type: 'disk', path: '/dev/vg0/data', target: 'sdb', format: 'raw', bus: 'sata', readOnly: true },
      { type: 'interface', network: 'default', mac: '52:54:00:6b:3c:58' },
      { type: 'interface', mac: '52:54:00:aa:bb:cc' },
    ],
  })
  t.end()
})

test('one change changes one thing', (t) => {
  const base = golden('virt-manager')
  const { uuid, settings: read } = readDomain(base)
  const noted = domainXml(uuid, read, {}, { base })
  const lines = (xml: string): string[] => xml.split('\n').filter((line) => !line.includes('kumoi:vm'))
  const changed = (wish: VmSettings): string[] => {
    const there = new Set(lines(noted))
    return lines(domainXml(uuid, wish, {}, { base: noted })).filter((line) => !there.has(line)).map((line) => line.trim())
  }
  t.strictSame(changed(read), [])
  t.strictSame(changed({ ...read, name: 'a<b' }), ['<name>a&lt;b</name>'])
  t.strictSame(changed({ ...read, memoryMiB: 512 }), ['<memory unit=\'KiB\'>524288</memory>', '<currentMemory unit=\'KiB\'>524288</currentMemory>'])
  t.strictSame(changed({ ...read, vcpus: 3 }), ['<vcpu placement=\'static\'>3</vcpu>'])
  const [first, second, third, fourth] = read.devices
  if (first?.type !== 'disk' || second === undefined || third?.type !== 'interface' || fourth === undefined) throw new Error('devices')
  t.strictSame(changed({ ...read, devices: [{ ...first, path: '/new' }, second, third, fourth] }), ['<source file=\'/new\'/>'])
  t.strictSame(changed({ ...read, devices: [first, second, { ...third, rateKiBps: 9 }, fourth] }).map((line) => line.replace(/.*<bandwidth>/, '<bandwidth>')), ["<bandwidth><inbound average='9'/><outbound average='9'/></bandwidth>"])
  const less = domainXml(uuid, { ...read, devices: [first, fourth] }, {}, { base: noted })
  t.notMatch(less, /\/dev\/vg0\/data|52:54:00:6b:3c:58/)
  t.match(less, /dev='fda'/, 'what is not shown stays')
  t.end()
})

test('targets: the next free one on the bus, of all elements', (t) => {
  const base = golden('virt-manager')
  const { uuid, settings: read } = readDomain(base)
  const wish = { ...read, devices: [...read.devices, { type: 'disk', path: '/b', format: 'raw' }, { type: 'disk', path: '/c', format: 'raw', bus: 'sata' }, { type: 'disk', path: '/d', format: 'raw', device: 'cdrom' }] } satisfies VmSettings
  const targets = readDomain(domainXml(uuid, wish, {}, { base })).settings.devices.flatMap((device) => device.type === 'disk' ? [`${device.path ?? ''} ${device.target ?? ''}`] : [])
  t.strictSame(targets.slice(2), ['/b vdb', '/c sdc', '/d sdd'], 'sda is an empty drive')
  t.end()
})

test('hot-plug texts', (t) => {
  const base = golden('virt-manager')
  const { xml, device } = attachXml({ type: 'disk', path: '/b & c', format: 'qcow2' }, base)
  t.equal(xml, "<disk type='file' device='disk'><driver name='qemu' type='qcow2' discard='unmap'/><source file='/b &amp; c'/><target dev='vdb' bus='virtio'/></disk>")
  t.match(device, { target: 'vdb' })
  t.match(detachXml({ mac: '52:54:00:6B:3C:58' }, base), /^<interface type='network'>[^]*52:54:00:6b:3c:58[^]*<\/interface>$/i)
  t.match(detachXml({ type: 'disk', target: 'vda' }, base), /debian12\.qcow2/)
  t.match(detachXml({ path: '/dev/vg0/data' }, base), /dev='sdb'/)
  t.equal(detachXml({ target: 'vdz' }, base), undefined)
  t.equal(detachXml({}, base), undefined)
  const text = metadataXml(readDomain(base).settings, { epoch: 2 }, base)
  t.match(text, /^<vm>\{"version":1,"metadata":\{"epoch":2\}/)
  t.end()
})

test('nothing but a coded error on garbage', (t) => {
  const attempt = (text: string): void => {
    try { readDomain(text) } catch (error) { assert.equal(errorCode(error), 'RMO_ERR_DEFINITION_INVALID', text) }
  }
  fc.assert(fc.property(fc.string({ unit: 'binary' }), attempt), { numRuns: 200 })
  const good = golden('created')
  fc.assert(fc.property(fc.nat(good.length), fc.nat(40), fc.string({ maxLength: 6 }), (at, cut, put) => {
    attempt(good.slice(0, at) + put + good.slice(at + cut))
  }), { numRuns: 200 })
  const refused = (xml: string, reason: RegExp): unknown => t.throws(() => readDomain(xml), { code: 'RMO_ERR_DEFINITION_INVALID', message: reason })
  refused('<!DOCTYPE domain [<!ENTITY x "y">]><domain>&x;</domain>', /DOCTYPE/)
  refused('<domain><name>&x;</name></domain>', /refers to "&x;"/)
  refused('<domain><name>&#0;</name></domain>', /refers to/)
  refused('<domain/><domain/>', /2 root elements/)
  refused('<pool/>', /root element is "pool"/)
  refused('<a>'.repeat(100) + '</a>'.repeat(100), /nested/i)
  refused(`<domain>${' '.repeat(5_000_000)}</domain>`, /characters/)
  refused('<domain __proto__="x"/>', /__proto__/)
  t.strictSame(readDomain('<domain/>').settings, { name: '', memoryMiB: 0, vcpus: 1, devices: [] })
  t.equal(readDomain(`<domain><metadata><k:vm xmlns:k='https://kumoi.dev/xmlns/vm/1'>{oops</k:vm></metadata></domain>`).managed, true, 'unreadable notes do not make it a stranger')
  t.equal(readDomain(`<domain><metadata><kumoi:vm xmlns:kumoi='urn:other'>{}</kumoi:vm></metadata></domain>`).managed, false)
  t.end()
})

test('texts that XML cannot hold are refused by their path; all others survive', (t) => {
  const wish: VmSettings = { name: 'x', memoryMiB: 1, vcpus: 1, devices: [] }
  t.throws(() => domainXml(UUID, { ...wish, name: 'a\u0000b' }, {}, { flavour }), { code: 'RMO_ERR_ARGUMENT_INVALID', message: /name must be/ })
  t.throws(() => domainXml(UUID, { ...wish, devices: [{ type: 'disk', path: '/\ud800', format: 'raw' }] }, {}, { flavour }), { message: /devices\[0\]\.path/ })
  const labels = { '\u0000\u001f\ufffe': '\ud800]]>\uffff' }
  t.strictSame(readDomain(domainXml(UUID, { ...wish, labels }, {}, { flavour })).settings.labels, labels)
  const long = 'ü<&>\'"'.repeat(200)
  t.equal(readDomain(domainXml(UUID, { ...wish, name: long }, {}, { flavour })).settings.name, long)
  fc.assert(fc.property(hostileText, hostileText, (text, attribute) => {
    const tree = { name: 'a', attributes: new Map([['b', attribute]]), children: [{ text }] }
    const back = parseXml(writeXml(tree), 'it')
    assert.deepEqual([back.attributes.get('b'), back.children], [attribute, [{ text }]])
  }))
  t.end()
})

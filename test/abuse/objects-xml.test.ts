// Attacks through the hypervisor's texts: what somebody writes into a domain with virsh must neither hide the other
// domains, nor reach objects with types that they do not expect, nor change the prototypes of this process.
import { existsSync } from 'node:fs'
import t from 'tap'
import { fc } from '../support/property.ts'
import { systemClock, systemRandom } from '../../fabric/base.ts'
import { domainXml, readDomain } from '../../rmo/driver/libvirt/xml/domain.ts'
import { createLibvirtDriver } from '../../rmo/driver/libvirt/driver.ts'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { vmSettings } from '../../rmo/vm-schema.ts'
import { libvirtdBoxAbsent, startLibvirtdBox } from '../support/libvirtd-box.ts'

const UUID = '11111111-2222-4333-8444-555555555555'
const domain = (metadata: string, name = 'web'): string =>
  `<domain type='qemu'><name>${name}</name><metadata>${metadata}</metadata><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64'>hvm</type></os><devices><disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/nonexistent/a'/><target dev='vda' bus='virtio'/></disk></devices></domain>`
const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
const note = (json: string): string => `<kumoi:vm xmlns:kumoi='https://kumoi.dev/xmlns/vm/1'>${escaped(json)}</kumoi:vm>`
const at = { call: 'test', path: 'settings' }

t.test('notes by another hand: what does not fit is left out', (t) => {
  const hostile = '{"version":9,"metadata":{"image":5,"labels":{"a":{}},"context":7,"instanceId":{},"epoch":1e400,"createdAtMs":"never","createdBy":[],"extra":1},"simulate":{"cpuRatios":"x"},"devices":[{"key":"disk vda","note":{"create":{},"sizeMiB":1e999,"base":7,"path":"/etc/shadow","type":"interface","role":"root"}},7,null]}'
  const read = readDomain(domain(note(hostile)))
  t.same(read.metadata, {})
  t.same(read.settings.devices, [{ type: 'disk', path: '/nonexistent/a', target: 'vda', format: 'raw', role: 'root' }], 'a note cannot point a disk elsewhere')
  t.doesNotThrow(() => vmSettings.check(read.settings, at))

  const proto = readDomain(domain(note('{"metadata":{"labels":{"__proto__":"x"}}}')))
  t.same(proto.metadata, {}, 'a key that cannot travel between nodes')
  t.equal(({} as { readonly polluted?: unknown }).polluted, undefined)

  const deep = readDomain(domain(note(`{"metadata":{"context":{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}}}`)))
  t.match(deep, { managed: true, metadata: {} }, 'nested so deep that comparing it would end the process')
  for (const text of ['', 'null', '[]', '7', '"x"', '{', '{"metadata":null}', '{"devices":{}}']) t.match(readDomain(domain(note(text))), { managed: true, metadata: {} }, text)
  t.end()
})

t.test('any JSON at all as a note gives settings that the schema accepts', (t) => {
  const keys = ['image', 'labels', 'context', 'instanceId', 'epoch', 'createdBy', 'createdAtMs', '__proto__', 'other']
  const some = fc.dictionary(fc.constantFrom(...keys), fc.jsonValue({ maxDepth: 3 }))
  fc.assert(fc.property(some, fc.jsonValue(), fc.jsonValue(), (metadata, simulate, devices) => {
    const { settings } = readDomain(domain(note(JSON.stringify({ metadata, simulate, devices }))))
    vmSettings.check(settings, at)
  }), { numRuns: 300 })
  t.end()
})

t.test('texts that no reader should follow', (t) => {
  const bomb = `<!DOCTYPE d [<!ENTITY a "${'a'.repeat(100)}">${Array.from({ length: 9 }, (_, i) => `<!ENTITY a${i} "${`&a${i === 0 ? '' : i - 1};`.repeat(10)}">`).join('')}]>`
  for (const [what, text] of [
    ['an entity bomb', bomb + domain('&a8;')], ['a file', `<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>${domain('&x;')}`],
    ['nested', domain('<a>'.repeat(10_000) + '</a>'.repeat(10_000))], ['two roots', domain('') + domain('')], ['reserved', domain('<__proto__/>')],
    ['too long', domain(`<a>${'x'.repeat(5_000_000)}</a>`)], ['no character', domain('&#x1F;')], ['unknown entity', domain('&nbsp;')],
  ] as const) t.throws(() => readDomain(text), { code: 'RMO_ERR_DEFINITION_INVALID' }, what)
  for (const [what, text] of [['comments', '<!-- a - - &x; <b> -->'], ['CDATA', '<a><![CDATA[]]]]><![CDATA[> <b>&x;]]></a>'], ['instructions', '<?php evil ?>']] as const) {
    const read = readDomain(domain(text))
    const written = domainXml(UUID, { ...read.settings, name: 'x <&>\'" ]]> --' }, {}, { base: domain(text) })
    t.match(readDomain(written).settings, { name: 'x <&>\'" ]]> --' }, what)
  }
  t.end()
})

const absent = libvirtdBoxAbsent() || (existsSync('/usr/bin/virsh') ? false : 'absent: virsh')
t.test('a domain that cannot be read does not hide the others', { skip: absent }, async (t) => {
  const box = await startLibvirtdBox()
  const directory = mkdtempSync(join(tmpdir(), 'kumoi-attack-xml-'))
  const driver = createLibvirtDriver({ uri: box.uri, clock: systemClock, random: systemRandom, threads: 2 })
  t.teardown(async () => {
    await driver.close()
    await box.stop()
    rmSync(directory, { recursive: true, force: true })
  })
  const define = (name: string, metadata: string): void => {
    const file = join(directory, `${name}.xml`)
    writeFileSync(file, domain(metadata, name))
    const { status, stderr } = spawnSync('virsh', ['-c', box.uri, 'define', file], { encoding: 'utf8' })
    t.equal(status, 0, `${name} ${stderr}`)
  }
  define('good', '')
  define('nested', `<x:a xmlns:x='u'>${'<a>'.repeat(120)}${'</a>'.repeat(120)}</x:a>`)
  define('doctype', '<x:a xmlns:x=\'u\'><!-- <!DOCTYPE x> --></x:a>')
  define('hostile', note('{"metadata":{"labels":7}}'))
  const call = { remainingMs: () => 30_000 }
  await driver.open()
  const { domains, failures } = await driver.inventory(call)
  t.same(failures.map(({ room }) => room), [])
  t.same(domains.map(({ settings }) => settings.name).sort(), ['doctype', 'good', 'hostile', 'nested'])
  const nested = domains.find(({ settings }) => settings.name === 'nested')
  t.match(nested, { managed: false, settings: { memoryMiB: 64 }, state: 'stopped' })
  await t.rejects(driver.domains.define(nested?.uuid ?? '', { ...nested?.settings ?? { name: 'x', vcpus: 1, devices: [] }, memoryMiB: 65 }, {}, call), { code: 'RMO_ERR_DEFINITION_INVALID' }, 'it is not written over')
  await driver.domains.undefine(nested?.uuid ?? '', call)
})

// Domain XML both ways: VmSettings and DomainMetadata <-> what virDomainDefineXML takes and virDomainGetXMLDesc gives.
//
// Pure. Over a base (the definition that is there: VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE) a setting that equals
// what the base reads as is not touched, and neither is anything we do not know, so that
// define(read(define(x))) loses nothing and an adopted domain stays what its owner made of it.
//
// New domains: machine "pc" (i440fx), whose one PCI bus takes hot-plugged devices anywhere, where q35 needs a root port
// prepared for each; no USB, graphics or sound, which only cost boot time; a serial console, virtio balloon (with
// statistics), random numbers and the guest agent's channel. Source: libvirt's formatdomain.

import { RMO } from '../../../errors.ts'
import type { DomainMetadata } from '../../contract.ts'
import type { Device, VmSettings } from '../../../settings.ts'
import { changeDevices, deviceElement, findDevice, machineBus, notesOf, readDevices, withTargets } from './devices.ts'
import { defined, findNote, noteElement, noteOf, noteText, readNote } from './note.ts'
import { remembered } from './remembered.ts'
import { attributeOf, element, find, insert, isXmlText, need, parseXml, remove, replace, setText, textOf, writeXml } from './tree.ts'
import type { XmlElement } from './tree.ts'

/** What a host runs new domains with (capabilities.ts: flavourOf). */
export interface DomainFlavour {
  readonly type: 'kvm' | 'qemu' | 'test'
  readonly arch: string
  readonly machine?: string
  /** Path of the emulator; the hypervisor's own choice when left out. */
  readonly emulator?: string
}
export interface ReadDomain {
  readonly uuid: string
  /** Without `autostart`, which the definition does not hold. */
  readonly settings: VmSettings
  /** Made or adopted by Kumoi. */
  readonly managed: boolean
  readonly metadata?: DomainMetadata
}

const STATS_PERIOD_SECONDS = 5

/**
 * The definition that makes the domain say `settings`. Disks without a target get one, in the order given.
 * @throws RMO_ERR_ARGUMENT_INVALID for a text that XML cannot hold, RMO_ERR_DEFINITION_INVALID for a base that is no domain.
 */
export function domainXml(uuid: string, settings: VmSettings, metadata: DomainMetadata, from: { readonly base: string } | { readonly flavour: DomainFlavour }): string {
  checkTexts(settings)
  const domain = 'base' in from ? parseDomain(from.base, settings.name) : skeleton(settings, from.flavour)
  const was = readTree(domain)
  const identity = find(domain, 'uuid')
  if (identity === undefined) insert(domain, element('uuid', {}, [uuid]), ['name'])
  else if (identity.children.length === 0 || textOf(identity)?.trim() !== uuid) setText(identity, uuid)
  if (was.settings.name !== settings.name) setText(need(domain, 'name'), settings.name)
  if ((was.settings.description ?? '') !== (settings.description ?? '')) {
    replace(domain, 'description', settings.description === undefined || settings.description === '' ? undefined : element('description', {}, [settings.description]), ['title', 'uuid'])
  }
  if (was.settings.memoryMiB !== settings.memoryMiB) changeMemory(domain, settings.memoryMiB)
  if (was.settings.vcpus !== settings.vcpus) changeVcpus(domain, settings.vcpus)
  const devices = withTargets(settings.devices, domain)
  changeDevices(domain, devices)
  changeNote(domain, noteElement(noteOf(settings, metadata, notesOf(devices, machineBus(domain)))))
  return writeXml(domain)
}

/** Remembers what it has read. @throws RMO_ERR_DEFINITION_INVALID and nothing else. */
export const readDomain: (xml: string) => ReadDomain = remembered((xml) => readTree(parseDomain(xml, 'a domain')))

/** The text for virDomainSetMetadata(ELEMENT, KUMOI_PREFIX, KUMOI_NAMESPACE): after a hot-plug, or to adopt a domain. `xml`: its definition now. */
export function metadataXml(settings: VmSettings, metadata: DomainMetadata, xml: string): string {
  const domain = parseDomain(xml, settings.name)
  return writeXml(element('vm', {}, [noteText(noteOf(settings, metadata, notesOf(withTargets(settings.devices, domain), machineBus(domain))))]))
}

/** One device for virDomainAttachDeviceFlags, with a target that is free in the domain whose definition `xml` is. */
export function attachXml(device: Device, xml: string): { readonly xml: string; readonly device: Device } {
  checkDevice(device, 'device')
  const domain = parseDomain(xml, 'a domain')
  const taken = readDevices(domain).map((placed) => placed.device)
  const placed = withTargets([...taken, device], domain).at(-1) ?? device
  return { xml: writeXml(deviceElement(placed, machineBus(domain))), device: placed }
}

/** The element, word for word, of a device that is there, for virDomainDetachDeviceFlags; undefined: there is none. */
export function detachXml(device: Partial<Device>, xml: string): string | undefined {
  const found = findDevice(parseDomain(xml, 'a domain'), device)
  return found === undefined ? undefined : writeXml(found)
}

function parseDomain(xml: string, name: string): XmlElement {
  const root = parseXml(xml, `domain ${name}`)
  if (root.name !== 'domain') throw RMO.DEFINITION_INVALID({ what: `domain ${name}`, reason: `its root element is "${root.name}"` })
  return root
}

// ---------------------------------------------------------------- reading

function readTree(domain: XmlElement): ReadDomain {
  const note = readNote(domain)
  const devices = readDevices(domain, note?.devices).map(({ device }) => device)
  const description = textOf(domain, 'description')
  const { image, instanceId, context, labels } = note?.metadata ?? {}
  const settings = defined({
    name: textOf(domain, 'name') ?? '',
    memoryMiB: memoryMiB(find(domain, 'memory')),
    vcpus: readVcpus(domain),
    devices,
    description: description === '' ? undefined : description,
    image, instanceId, context, labels, simulate: note?.simulate,
  }) as VmSettings
  const uuid = (textOf(domain, 'uuid') ?? '').trim()
  return { uuid, settings, managed: note !== undefined, ...note === undefined ? {} : { metadata: note.metadata } }
}

const UNIT_BYTES: Readonly<Record<string, number>> = {
  b: 1, bytes: 1, KB: 1e3, k: 1024, KiB: 1024, MB: 1e6, M: 2 ** 20, MiB: 2 ** 20, GB: 1e9, G: 2 ** 30, GiB: 2 ** 30, TB: 1e12, T: 2 ** 40, TiB: 2 ** 40,
}
/** Whole mebibytes, rounded up: a domain of 1,000,000 KiB shows 977 and keeps its own figure until that is changed. */
function memoryMiB(memory: XmlElement | undefined): number {
  const bytes = Number(textOf(memory) ?? '0') * (UNIT_BYTES[attributeOf(memory, 'unit') ?? 'KiB'] ?? 1024)
  return Number.isFinite(bytes) ? Math.ceil(bytes / 2 ** 20) : 0
}
function readVcpus(domain: XmlElement): number {
  const vcpu = find(domain, 'vcpu')
  const count = Number(attributeOf(vcpu, 'current') ?? textOf(vcpu) ?? '1')
  return Number.isSafeInteger(count) && count > 0 ? count : 1
}

// ---------------------------------------------------------------- writing

function changeMemory(domain: XmlElement, mib: number): void {
  for (const [name, after] of [['memory', 'metadata'], ['currentMemory', 'memory']] as const) {
    const node = need(domain, name, [after, 'uuid', 'name'])
    node.attributes.set('unit', 'KiB')
    setText(node, String(Math.round(mib * 1024)))
  }
}
function changeVcpus(domain: XmlElement, count: number): void {
  const vcpu = need(domain, 'vcpu', ['currentMemory', 'memory'])
  vcpu.attributes.delete('current')
  setText(vcpu, String(count))
  // States of single processors, which must agree with the count.
  replace(domain, 'vcpus', undefined)
}
function changeNote(domain: XmlElement, made: XmlElement): void {
  const metadata = need(domain, 'metadata', ['description', 'title', 'uuid', 'name'])
  const old = findNote(domain)
  if (old !== undefined && textOf(old) === textOf(made)) return
  if (old !== undefined) remove(metadata, old)
  insert(metadata, made)
}

function skeleton(settings: VmSettings, flavour: DomainFlavour): XmlElement {
  const { type, arch, machine, emulator } = flavour
  const x86 = arch === 'x86_64' || arch === 'i686'
  const chosen = machine ?? (x86 && type !== 'test' ? 'pc' : undefined)
  return element('domain', { type }, [
    element('name', {}, [settings.name]),
    element('memory', { unit: 'KiB' }, ['0']),
    element('currentMemory', { unit: 'KiB' }, ['0']),
    element('vcpu', { placement: 'static' }, [String(settings.vcpus)]),
    element('os', {}, [element('type', { arch, machine: chosen }, ['hvm']), element('boot', { dev: 'hd' })]),
    x86 ? element('features', {}, [element('acpi'), element('apic')]) : undefined,
    // The same model on every host of a mixed fleet would be slower; host-model still migrates between like hosts.
    type === 'kvm' ? element('cpu', { mode: 'host-model', check: 'partial' }) : undefined,
    element('clock', { offset: 'utc' }),
    element('on_poweroff', {}, ['destroy']),
    element('on_reboot', {}, ['restart']),
    element('on_crash', {}, ['destroy']),
    element('devices', {}, type === 'test' ? [] : [
      emulator === undefined ? undefined : element('emulator', {}, [emulator]),
      element('controller', { type: 'usb', model: 'none' }),
      element('serial', { type: 'pty' }, [element('target', { port: 0 })]),
      element('console', { type: 'pty' }, [element('target', { type: 'serial', port: 0 })]),
      element('channel', { type: 'unix' }, [element('target', { type: 'virtio', name: 'org.qemu.guest_agent.0' })]),
      element('memballoon', { model: 'virtio' }, [element('stats', { period: STATS_PERIOD_SECONDS })]),
      element('rng', { model: 'virtio' }, [element('backend', { model: 'random' }, ['/dev/urandom'])]),
    ]),
  ])
}

// ---------------------------------------------------------------- checking

function checkTexts(settings: VmSettings): void {
  checkText(settings.name, 'name')
  checkText(settings.description ?? '', 'description')
  settings.devices.forEach((device, index) => checkDevice(device, `devices[${index}]`))
}
function checkDevice(device: Device, path: string): void {
  for (const [key, value] of Object.entries(device)) if (typeof value === 'string') checkText(value, `${path}.${key}`)
  if (device.type !== 'disk' || device.volume === undefined) return
  checkText(device.volume.pool, `${path}.volume.pool`)
  checkText(device.volume.name, `${path}.volume.name`)
}
function checkText(text: string, path: string): void {
  if (isXmlText(text)) return
  throw RMO.ARGUMENT_INVALID({ call: 'define', path, expected: 'text without control characters', got: JSON.stringify(text.slice(0, 80)) })
}

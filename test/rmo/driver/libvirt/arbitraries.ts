// Settings for property tests: everything that VmSettings can hold, hostile texts included.

import { fc } from '../../../support/property.ts'
import type { DomainMetadata } from '../../../../rmo/driver/contract.ts'
import type { DiskDevice, InterfaceDevice, VmSettings } from '../../../../rmo/settings.ts'

const METACHARACTERS = `<>&'"\t\n\r\u00a0\u{1f600}\u4e91 ]]>--;#{}`
/** Text that XML 1.0 can hold, full of what a careless writer gets wrong. */
export const hostileText = fc.array(fc.oneof(fc.constantFrom(...METACHARACTERS, '&amp;', ']]>', '<!--', '&#0;'), fc.string({ unit: 'grapheme', maxLength: 4 })), { minLength: 1, maxLength: 12 })
  .map((parts) => parts.join('').replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, '') || 'x')
  .filter((text) => text.length <= 255)
const mac = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 3, maxLength: 3 }).map((octets) => ['52', '54', '00', ...octets.map((each) => each.toString(16).padStart(2, '0'))].join(':'))
const tag = fc.integer({ min: 1, max: 4094 })
const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined })

/** As it comes from a wire: plain objects, nothing undefined. */
const compact = <T>(value: object): T => JSON.parse(JSON.stringify(value)) as T

const disk = fc.record({
  place: fc.oneof(fc.record({ path: hostileText }), fc.record({ volume: fc.record({ pool: hostileText, name: hostileText }) })),
  format: fc.constantFrom('qcow2', 'raw'), device: optional(fc.constantFrom('disk', 'cdrom')), bus: optional(fc.constantFrom('virtio', 'sata', 'scsi', 'ide')),
  readOnly: optional(fc.boolean()), create: optional(fc.constantFrom('auto', 'existing')), base: optional(hostileText), sizeMiB: optional(fc.integer({ min: 1 })), role: optional(fc.constantFrom('root', 'seed', 'data')),
}).map(({ place, readOnly, ...rest }) => compact<DiskDevice>({ type: 'disk', ...place, ...rest, readOnly: rest.device === 'cdrom' ? (readOnly === true ? true : undefined) : readOnly }))

const networkInterface = fc.record({
  place: fc.oneof(fc.record({ bridge: hostileText }), fc.record({ network: hostileText })),
  switchType: optional(fc.constantFrom('linux', 'openvswitch')), target: optional(hostileText), model: optional(fc.constantFrom('virtio', 'e1000')),
  vlan: optional(fc.oneof(fc.record({ tag }), fc.record({ trunk: fc.uniqueArray(tag, { minLength: 1, maxLength: 5 }) }))), rateKiBps: optional(fc.integer({ min: 1, max: 2 ** 31 })),
}).map(({ place, ...rest }) => compact<InterfaceDevice>({ type: 'interface', ...place, ...rest }))

const instanceId = fc.string({ minLength: 1, maxLength: 128 }).map((text) => text.replaceAll(/[\s\p{Cc}]/gu, '') || 'i')

/** Disks with targets and interfaces with MACs, in any order, so that every device has a name of its own. */
const devices = fc.tuple(fc.array(disk, { maxLength: 5 }), fc.array(networkInterface, { maxLength: 5 }), fc.uniqueArray(mac, { minLength: 5, maxLength: 5 }))
  .chain(([disks, interfaces, macs]) => fc.shuffledSubarray([
    ...disks.map((each, index) => ({ ...each, target: `vd${'abcde'[index] ?? ''}` })),
    ...interfaces.map((each, index) => ({ ...each, mac: macs[index] ?? '' })),
  ]))

/** JSON.parse of V8 13.6 now and then takes an escaped key for another one of the same shape: keys here need no escape. */
const unescaped = (key: string): boolean => JSON.stringify(key).length === key.length + 2
/** Refused where settings are checked (vm-schema.ts). */
const hasOddKey = (value: unknown): boolean => typeof value === 'object' && value !== null && ((!Array.isArray(value) && Object.keys(value).some((key) => key === '__proto__' || !unescaped(key))) || Object.values(value).some(hasOddKey))
const json = fc.jsonValue({ maxDepth: 3 }).filter((value) => !hasOddKey(value))
const context = fc.dictionary(fc.string({ unit: 'grapheme', maxLength: 8 }), json, { maxKeys: 5 }).filter((value) => !hasOddKey(value))
const labels = fc.dictionary(fc.string({ maxLength: 8 }), fc.string({ unit: 'binary', maxLength: 8 }), { maxKeys: 5 }).filter((value) => !hasOddKey(value))

export const settings: fc.Arbitrary<VmSettings> = fc.record({
  name: hostileText, memoryMiB: fc.integer({ min: 1, max: 2 ** 30 }), vcpus: fc.integer({ min: 1, max: 1024 }), devices,
  image: optional(hostileText), instanceId: optional(instanceId), description: optional(hostileText), context: optional(context), labels: optional(labels),
  simulate: optional(fc.record({ cpuRatios: fc.array(fc.constantFrom(0, 0.25, 1)), stepMs: fc.integer({ min: 1 }) })),
}).map((value) => compact<VmSettings>(value))

export const metadata: fc.Arbitrary<DomainMetadata> = fc.record({ epoch: optional(fc.nat()), createdBy: optional(hostileText), createdAtMs: optional(fc.nat()) })
  .map((value) => compact<DomainMetadata>(value))

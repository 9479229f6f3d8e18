// What Kumoi keeps in a domain's <metadata>: DomainMetadata, and of the settings what domain XML has no place for.
//
//   <kumoi:vm xmlns:kumoi="https://kumoi.dev/xmlns/vm/1">{"version":1,"metadata":{...},"devices":[...]}</kumoi:vm>
//
// JSON text in one element, which libvirt keeps as it is over restarts and migrations. `devices` has the devices in
// the order they were given (libvirt sorts disks by name) and, of each, what XML cannot say or says by default.
// Pure. Who edits the text by hand so that it is no JSON any more leaves a managed domain without notes.

import { LIMITS } from '../../../../fabric/base.ts'
import { RMO } from '../../../errors.ts'
import type { DomainMetadata } from '../../contract.ts'
import type { VmSettings } from '../../../settings.ts'
import { attributeOf, element, find, isElement, textOf } from './tree.ts'
import type { XmlElement } from './tree.ts'

export const KUMOI_NAMESPACE = 'https://kumoi.dev/xmlns/vm/1'
/** The prefix, and the key for virDomainSetMetadata. */
export const KUMOI_PREFIX = 'kumoi'

/** As settings may have them (vm-schema.ts). */
const TEXT_CHARS_MAX = 255, LABEL_CHARS_MAX = 1_024, LABELS_MAX = 64, CONTEXT_ENTRIES_MAX = 256

/** Properties of one device that its element does not hold. */
export type DeviceNote = Readonly<Record<string, unknown>>
export interface DomainNote {
  readonly version: 1
  readonly metadata: DomainMetadata
  readonly simulate?: VmSettings['simulate']
  /** In the order of the settings. `key` finds the device again (devices.ts: keysOf). */
  readonly devices?: readonly { readonly key: string; readonly note: DeviceNote }[]
}

/** Without the properties that are undefined. */
export function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> }
}

/** `settings` win over `metadata` in what both have: image, instanceId, context, labels. */
export function noteOf(settings: VmSettings, metadata: DomainMetadata, devices: readonly { readonly key: string; readonly note: DeviceNote }[]): DomainNote {
  // What the settings leave out, the metadata may still know.
  const { image = metadata.image, instanceId = metadata.instanceId, context = metadata.context, labels = metadata.labels, simulate } = settings
  return {
    version: 1,
    metadata: defined({ ...metadata, image, instanceId, context, labels }) as DomainMetadata,
    ...simulate === undefined ? {} : { simulate },
    ...devices.length === 0 ? {} : { devices },
  }
}

/** JSON that XML can hold: it escapes control characters and lone surrogates itself, U+FFFE and U+FFFF are added. */
export function noteText(note: DomainNote): string {
  try {
    return JSON.stringify(note).replace(/[\ufffe\uffff]/g, (character) => `\\u${character.charCodeAt(0).toString(16)}`)
  } catch (error) {
    throw RMO.ARGUMENT_INVALID({ call: 'define', path: 'context', expected: 'data that JSON can hold', got: error instanceof Error ? error.message : String(error) })
  }
}

export const noteElement = (note: DomainNote): XmlElement =>
  element(`${KUMOI_PREFIX}:vm`, { [`xmlns:${KUMOI_PREFIX}`]: KUMOI_NAMESPACE }, [noteText(note)])

/** Our element, whatever prefix its namespace has. */
export function findNote(domain: XmlElement): XmlElement | undefined {
  const metadata = find(domain, 'metadata')
  return metadata?.children.filter(isElement).find((child) => {
    const [local, prefix] = child.name.split(':').reverse()
    const declaration = prefix === undefined ? 'xmlns' : `xmlns:${prefix}`
    const namespace = [child, metadata, domain].map((at) => attributeOf(at, declaration)).find((uri) => uri !== undefined)
    return local === 'vm' && namespace === KUMOI_NAMESPACE
  })
}

/** undefined: not one of ours. Anybody may have written it: what is not as we write it is left out. */
export function readNote(domain: XmlElement): DomainNote | undefined {
  const found = findNote(domain)
  if (found === undefined) return undefined
  const read = json(textOf(found) ?? '')
  const devices = Array.isArray(read.devices) ? read.devices.filter(isDeviceEntry) : []
  return {
    version: 1,
    metadata: isRecord(read.metadata) ? readMetadata(read.metadata) : {},
    ...isSimulation(read.simulate) ? { simulate: read.simulate } : {},
    ...devices.length === 0 ? {} : { devices },
  }
}

function json(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) && isShallow(value, LIMITS.xmlDepthMax) ? value : {}
  } catch { return {} }
}
/** Data nested deeper overflows the stack of whoever copies or compares it; a key "__proto__" cannot travel between nodes. */
const isShallow = (value: unknown, depthMax: number): boolean =>
  typeof value !== 'object' || value === null || (depthMax > 0 && !Object.hasOwn(value, '__proto__') && Object.values(value).every((each) => isShallow(each, depthMax - 1)))
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value)
const isDeviceEntry = (value: unknown): value is { key: string; note: DeviceNote } => isRecord(value) && typeof value.key === 'string' && isRecord(value.note)
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0
const isText = (value: unknown): boolean => typeof value === 'string' && value.length <= TEXT_CHARS_MAX

const METADATA: Readonly<Record<keyof DomainMetadata, (value: unknown) => boolean>> = {
  image: isText, createdBy: isText, epoch: isCount, createdAtMs: isCount, context: (value) => isRecord(value) && Object.keys(value).length <= CONTEXT_ENTRIES_MAX,
  instanceId: (value) => typeof value === 'string' && /^[^\s\p{Cc}]{1,128}$/u.test(value),
  labels: (value) => isRecord(value) && Object.keys(value).length <= LABELS_MAX && Object.values(value).every((text) => typeof text === 'string' && text.length <= LABEL_CHARS_MAX),
}
const readMetadata = (metadata: Readonly<Record<string, unknown>>): DomainMetadata =>
  Object.fromEntries(Object.entries(METADATA).flatMap(([key, fits]) => Object.hasOwn(metadata, key) && fits(metadata[key]) ? [[key, metadata[key]]] : []))

const isSimulation = (value: unknown): value is NonNullable<VmSettings['simulate']> =>
  isRecord(value) && Array.isArray(value.cpuRatios) && value.cpuRatios.every((ratio) => typeof ratio === 'number' && ratio >= 0 && ratio <= 1) &&
  Number.isFinite(value.stepMs) && Number(value.stepMs) >= 1 && (value.bootMs === undefined || (Number.isFinite(value.bootMs) && Number(value.bootMs) >= 0))

// What Kumoi keeps in a domain's <metadata>: DomainMetadata, and of the settings what domain XML has no place for.
//
//   <kumoi:vm xmlns:kumoi="https://kumoi.dev/xmlns/vm/1">{"version":1,"metadata":{...},"devices":[...]}</kumoi:vm>
//
// JSON text in one element, which libvirt keeps as it is over restarts and migrations. `devices` has the devices in
// the order they were given (libvirt sorts disks by name) and, of each, what XML cannot say or says by default.
// Pure. Who edits the text by hand so that it is no JSON any more leaves a managed domain without notes.

import { RMO } from '../../../errors.ts'
import type { DomainMetadata } from '../../contract.ts'
import type { VmSettings } from '../../../settings.ts'
import { attributeOf, element, find, isElement, textOf } from './tree.ts'
import type { XmlElement } from './tree.ts'

export const KUMOI_NAMESPACE = 'https://kumoi.dev/xmlns/vm/1'
/** The prefix, and the key for virDomainSetMetadata. */
export const KUMOI_PREFIX = 'kumoi'

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

/** undefined: not one of ours. Unreadable text is an empty note. */
export function readNote(domain: XmlElement): DomainNote | undefined {
  const found = findNote(domain)
  if (found === undefined) return undefined
  const read = json(textOf(found) ?? '')
  const devices = Array.isArray(read.devices) ? read.devices.filter(isDeviceEntry) : []
  return {
    version: 1,
    metadata: isRecord(read.metadata) ? read.metadata : {},
    ...isRecord(read.simulate) ? { simulate: read.simulate as unknown as NonNullable<VmSettings['simulate']> } : {},
    ...devices.length === 0 ? {} : { devices },
  }
}

function json(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : {}
  } catch { return {} }
}
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value)
const isDeviceEntry = (value: unknown): value is { key: string; note: DeviceNote } => isRecord(value) && typeof value.key === 'string' && isRecord(value.note)

// NoCloud seed: what a guest is told at its first boot, as the files of a small read-only disk.
//
//   context, instance id --seedFiles--> meta-data, user-data, network-config --seed-iso.ts--> ISO 9660 labelled CIDATA
//
// Values are written as JSON, which is YAML's flow style: no host name, key or command can break out of its quotes. What
// is not ASCII is escaped: \uXXXX means the same to both; characters beyond the basic plane are \UXXXXXXXX, which
// YAML alone knows (it does not join surrogates); half a surrogate, which no guest could print, becomes U+FFFD. Pure.
// Source: cloud-init's NoCloud documentation; shared facts: label "CIDATA", instance-id decides "first boot".

import { LIMITS } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { GuestContext } from '../../settings.ts'

export interface SeedFile { readonly name: 'meta-data' | 'user-data' | 'network-config'; readonly text: string }
export interface SeedInput {
  readonly instanceId: string
  /** Used when the context names none. */
  readonly hostname: string
  readonly context: GuestContext
}

const hex = (codePoint: number, digits: number): string => codePoint.toString(16).padStart(digits, '0')

/** JSON that YAML 1.1 and 1.2 parsers read as the same data, ASCII only. */
export function flowYaml(value: unknown): string {
  // JSON.stringify escapes half surrogates and nothing else above U+001F; a doubled backslash is matched whole, so that it is not taken for the start of one.
  const halves = (escape: string): string => /^\\ud[89a-f]/.test(escape) ? '\\ufffd' : escape
  return JSON.stringify(value).replace(/\\(?:u[0-9a-f]{4}|.)/g, halves).replace(/[\u007f-\uffff][\udc00-\udfff]?/g, (found) => {
    const point = found.codePointAt(0) ?? 0
    if (point > 0xffff) return `\\U${hex(point, 8)}`
    // A second unit that made no pair stands for itself.
    return Array.from({ length: found.length }, (_, i) => `\\u${hex(found.charCodeAt(i), 4)}`).join('')
  })
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value)

/** The files of a seed; throws RMO_ERR_ARGUMENT_INVALID for a context that no guest could read. */
export function seedFiles({ instanceId, hostname, context }: SeedInput): readonly SeedFile[] {
  const { network, ...user } = context
  const invalid = (path: string, expected: string, got: string): Error => RMO.ARGUMENT_INVALID({ call: 'context', path, expected, got })
  if (user.hostname !== undefined && (typeof user.hostname !== 'string' || user.hostname === '')) throw invalid('hostname', 'a host name', JSON.stringify(user.hostname))
  if (network !== undefined && !isMap(network)) throw invalid('network', 'an object as network-config has it', JSON.stringify(network))
  const name = user.hostname ?? hostname
  const files: SeedFile[] = [
    { name: 'meta-data', text: `instance-id: ${flowYaml(instanceId)}\nlocal-hostname: ${flowYaml(name)}\n` },
    { name: 'user-data', text: `#cloud-config\n${flowYaml({ ...user, hostname: name })}\n` },
  ]
  if (network !== undefined) files.push({ name: 'network-config', text: `${flowYaml(network)}\n` })
  const totalBytes = files.reduce((sum, file) => sum + file.text.length, 0)
  if (totalBytes > LIMITS.seedBytesMax) throw invalid('context', `at most ${LIMITS.seedBytesMax} bytes as text`, `${totalBytes} bytes`)
  return files
}

/** A VM's name as a host name: letters, digits and dashes, at most 63 (RFC 1123); "guest" when nothing is left of it. */
export const hostnameOf = (vmName: string): string =>
  vmName.replace(/[^A-Za-z0-9]+/g, '-').replace(/^-+/, '').slice(0, 63).replace(/-+$/, '') || 'guest'

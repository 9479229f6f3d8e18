// Identifiers of what the host's rooms make: uuids by chance (RFC 9562 version 4) and by name (version 5).

import { createHash } from 'node:crypto'
import type { Random } from '../../fabric/base.ts'

function uuidOf(bytes: Uint8Array, version: number): string {
  const own = Uint8Array.from(bytes.subarray(0, 16))
  own[6] = (own[6] ?? 0) & 0x0f | version << 4
  own[8] = (own[8] ?? 0) & 0x3f | 0x80
  const hex = Buffer.from(own).toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

export const randomUuid = (random: Random): string => uuidOf(random.bytes(16), 4)

/** The same space and name give the same uuid, on every host. `space`: a uuid. */
export const namedUuid = (space: string, name: string): string =>
  uuidOf(createHash('sha1').update(Buffer.from(space.replaceAll('-', ''), 'hex')).update(name).digest(), 5)

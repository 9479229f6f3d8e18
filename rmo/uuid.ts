// Uuids: random ones for new objects, and names made into uuids (RFC 9562 version 5), so that a thing that has only a
// name (a snapshot, a volume, the VMM of a machine) has the same uuid on every node and after every restart.

import { createHash } from 'node:crypto'
import type { Random } from '../fabric/base.ts'

/** Marks version and variant, and writes 16 bytes as text. */
function uuidText(bytes: Uint8Array, version: number): string {
  const marked = Uint8Array.from(bytes.subarray(0, 16))
  marked[6] = ((marked[6] ?? 0) & 0x0f) | (version << 4)
  marked[8] = ((marked[8] ?? 0) & 0x3f) | 0x80
  const hex = Buffer.from(marked).toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/** Version 4. */
export const randomUuid = (random: Random): string => uuidText(random.bytes(16), 4)

/** Version 5: the same for the same namespace (a uuid) and name. */
export const namedUuid = (namespace: string, name: string): string =>
  uuidText(createHash('sha1').update(Buffer.from(namespace.replaceAll('-', ''), 'hex')).update(name).digest(), 5)

/** Of the virtual machine monitor of a machine. */
export const vmmUuidOf = (machineUuid: string): string => namedUuid(machineUuid, 'vmm')
/** Of a snapshot of a domain. */
export const snapshotUuidOf = (domainUuid: string, name: string): string => namedUuid(domainUuid, `snapshot/${name}`)

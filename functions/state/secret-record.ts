// A secret as the global store has it: the value under a key of its own, and that key in a box for each node.
//
//   secret/NAME = { box, sealedTo: { node id: box of the key }, updatedAtMs, by }        JSON, byte strings in base64
//
// So a further node costs 80 bytes and not another copy of the value, and whoever adds it never touches the value. The
// name is authenticated with the value: a box that was copied under another name does not open. Pure.
// Source: AES-256-GCM of node:crypto, a fresh key and nonce for each value; sealed boxes: fabric/identity/sealing.ts.

import { createCipheriv, createDecipheriv } from 'node:crypto'
import type { NodeId, Random } from '../../fabric/base.ts'
import { isNodeId } from '../../fabric/base.ts'
import type { Sealing } from '../../fabric/mod.ts'

export interface SecretRecord {
  /** Nonce, value, tag; base64. */
  readonly box: string
  readonly sealedTo: Readonly<Record<NodeId, string>>
  readonly updatedAtMs: number
  /** Principal that set it. */
  readonly by: string
}

const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const bound = (name: string): Buffer => Buffer.from(`kumoi secret ${name}`)

/** A new record, openable by these nodes. */
export function sealSecret({ name, value, nodes, by, updatedAtMs, sealing, random }: {
  readonly name: string
  readonly value: string
  readonly nodes: readonly NodeId[]
  readonly by: string
  readonly updatedAtMs: number
  readonly sealing: Sealing
  readonly random: Random
}): SecretRecord {
  const key = random.bytes(KEY_BYTES), nonce = random.bytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, key, nonce).setAAD(bound(name))
  const box = Buffer.concat([nonce, cipher.update(value, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64')
  return { box, sealedTo: boxes(key, nodes, sealing), updatedAtMs, by }
}

/** The value; undefined when it is not sealed to this node, or was tampered with. */
export function openSecret(name: string, record: SecretRecord, node: NodeId, sealing: Sealing): string | undefined {
  const key = keyOf(record, node, sealing)
  const box = Buffer.from(record.box, 'base64')
  if (key === undefined || box.byteLength < NONCE_BYTES + TAG_BYTES) return undefined
  try {
    const decipher = createDecipheriv(CIPHER, key, box.subarray(0, NONCE_BYTES)).setAAD(bound(name)).setAuthTag(box.subarray(-TAG_BYTES))
    return Buffer.concat([decipher.update(box.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]).toString('utf8')
  } catch {
    return undefined
  }
}

/** The record with boxes for these nodes too; undefined when `node` cannot open it. */
export function shareSecret(record: SecretRecord, node: NodeId, nodes: readonly NodeId[], sealing: Sealing): SecretRecord | undefined {
  const key = keyOf(record, node, sealing)
  return key === undefined ? undefined : { ...record, sealedTo: { ...record.sealedTo, ...boxes(key, nodes, sealing) } }
}

function keyOf({ sealedTo }: SecretRecord, node: NodeId, sealing: Sealing): Uint8Array | undefined {
  const box = sealedTo[node]
  const key = box === undefined ? undefined : sealing.open(Buffer.from(box, 'base64'))
  return key?.byteLength === KEY_BYTES ? key : undefined
}

const boxes = (key: Uint8Array, nodes: readonly NodeId[], sealing: Sealing): Record<NodeId, string> => Object.fromEntries(nodes.flatMap((node) => {
  const box = sealing.seal(node, key)
  return box === undefined ? [] : [[node, Buffer.from(box).toString('base64')]]
}))

export const writeSecret = (record: SecretRecord): Uint8Array => Buffer.from(JSON.stringify(record))

/** Undefined for bytes that are no record. */
export function readSecret(bytes: Uint8Array): SecretRecord | undefined {
  try {
    const { box, sealedTo, updatedAtMs, by } = JSON.parse(Buffer.from(bytes).toString('utf8')) as Partial<Record<keyof SecretRecord, unknown>>
    if (typeof box !== 'string' || typeof updatedAtMs !== 'number' || typeof by !== 'string' || typeof sealedTo !== 'object' || sealedTo === null) return undefined
    return { box, updatedAtMs, by, sealedTo: Object.fromEntries(Object.entries(sealedTo).filter((entry): entry is [NodeId, string] => isNodeId(entry[0]) && typeof entry[1] === 'string')) }
  } catch {
    return undefined
  }
}

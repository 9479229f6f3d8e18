// Ed25519 keys of nodes and fabrics.
//
// A node's key is also its Noise static key (hyperdht and our TCP links take Ed25519 keys), so a
// finished Noise handshake proves possession and the node id is simply the public key in hex.
// Invariants: `seed` (32 bytes) is the whole secret; `secretKey` is libsodium's seed || public key.
// Source: RFC 8032; RFC 8410 for the DER envelope Node wants around a raw key.

import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import type { Random } from '../clock.ts'
import type { NodeId } from '../id.ts'

export const KEY_BYTES = 32
export const SIGNATURE_BYTES = 64

/** One Ed25519 key pair, of a node or of a fabric. */
export interface Keys {
  /** Public key in lower-case hex. */
  readonly id: NodeId
  readonly seed: Buffer
  readonly publicKey: Buffer
  /** 64 bytes, as libsodium, noise-curve-ed and hyperdht take it. */
  readonly secretKey: Buffer
  sign(message: Uint8Array): Buffer
}

const PRIVATE_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
const PUBLIC_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

export function generateKeys(random: Random): Keys {
  return keysFromSeed(random.bytes(KEY_BYTES))
}

export function keysFromSeed(seed: Uint8Array): Keys {
  if (seed.byteLength !== KEY_BYTES) throw new RangeError(`a key seed is ${KEY_BYTES} bytes, not ${seed.byteLength}`)
  const privateKey = createPrivateKey({ key: Buffer.concat([PRIVATE_PREFIX, seed]), format: 'der', type: 'pkcs8' })
  const der = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  const publicKey = Buffer.from(der.subarray(PUBLIC_PREFIX.length))
  return {
    id: publicKey.toString('hex'),
    seed: Buffer.from(seed),
    publicKey,
    secretKey: Buffer.concat([seed, publicKey]),
    sign: (message) => sign(null, message, privateKey),
  }
}

/** False for a wrong signature and for bytes that are no key at all. */
export function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.byteLength !== KEY_BYTES || signature.byteLength !== SIGNATURE_BYTES) return false
  try {
    const key = createPublicKey({ key: Buffer.concat([PUBLIC_PREFIX, publicKey]), format: 'der', type: 'spki' })
    return verify(null, message, key, signature)
  } catch {
    return false
  }
}


// Sealed boxes: bytes that one node can open, made by anybody who knows its id.
//
// A node's id is its Ed25519 public key; libsodium turns that into the X25519 key that a box is made to. A box is
// anonymous and says nothing of who made it: what must be believed has to be signed besides.
// Source: libsodium, "Sealed boxes" and "Ed25519 to Curve25519".

import sodium from 'sodium-universal'
import { isNodeId } from '../id.ts'
import type { NodeId } from '../id.ts'
import type { Keys } from './keys.ts'

const { crypto_box_SEALBYTES: OVERHEAD_BYTES, crypto_box_PUBLICKEYBYTES: PUBLIC_BYTES, crypto_box_SECRETKEYBYTES: SECRET_BYTES } = sodium

export interface Sealing {
  /** A box for `node`; undefined when its id is no key (a point that nobody can have). */
  seal(node: NodeId, message: Uint8Array): Uint8Array | undefined
  /** What is in a box for this node; undefined when it is for another, or damaged. */
  open(box: Uint8Array): Uint8Array | undefined
}

export function createSealing(keys: Pick<Keys, 'publicKey' | 'secretKey'>): Sealing {
  const publicKey = Buffer.alloc(PUBLIC_BYTES), secretKey = Buffer.alloc(SECRET_BYTES)
  sodium.crypto_sign_ed25519_pk_to_curve25519(publicKey, keys.publicKey)
  sodium.crypto_sign_ed25519_sk_to_curve25519(secretKey, keys.secretKey)
  return {
    seal(node, message) {
      if (!isNodeId(node)) return undefined
      const theirs = Buffer.alloc(PUBLIC_BYTES), box = Buffer.alloc(message.byteLength + OVERHEAD_BYTES)
      try {
        sodium.crypto_sign_ed25519_pk_to_curve25519(theirs, Buffer.from(node, 'hex'))
      } catch {
        return undefined
      }
      sodium.crypto_box_seal(box, message, theirs)
      return box
    },
    open(box) {
      if (box.byteLength < OVERHEAD_BYTES) return undefined
      const message = Buffer.alloc(box.byteLength - OVERHEAD_BYTES)
      return sodium.crypto_box_seal_open(message, box, publicKey, secretKey) ? message : undefined
    },
  }
}

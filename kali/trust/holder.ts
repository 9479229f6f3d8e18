// The holder's half of a token: a key pair that never leaves the user's machine, and the proof that whoever presents the token
// has it. Runs in shells: node:crypto only.
//
//   proof := Ed25519("kumoi present 1\0" fabric "\0" node "\0" nonce "\0" hex(sha256(token)))
//
// The nonce is drawn by the node for this connection, is good once and for LIMITS.challengeMs: a proof that was overheard is of no
// use on another connection, another node or another fabric, nor for another token. Source: RFC 8032; DPoP (RFC 9449) in spirit.

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import type { NodeId } from '../../fabric/base.ts'

export interface HolderKeys {
  /** Hex, 32 bytes. */
  readonly publicKey: string
  /** PKCS#8 DER, base64url: what the login file keeps. */
  readonly privateKey: string
}

export interface Presentation { readonly fabric: NodeId; readonly node: NodeId; readonly nonce: string; readonly token: string }

const PURPOSE = 'kumoi present 1'
const PUBLIC_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')
const KEY_HEX = /^[0-9a-f]{64}$/
const SIGNATURE_HEX = /^[0-9a-f]{128}$/

export function makeHolderKeys(): HolderKeys {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  return {
    publicKey: publicKey.export({ format: 'der', type: 'spki' }).subarray(PUBLIC_PREFIX.length).toString('hex'),
    privateKey: privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64url'),
  }
}

const statement = ({ fabric, node, nonce, token }: Presentation): Buffer =>
  Buffer.from([PURPOSE, fabric, node, nonce, createHash('sha256').update(token).digest('hex')].join('\0'))

/** Lower-case hex. Throws for a key that is none. */
export const proveHolder = (privateKey: string, presentation: Presentation): string =>
  sign(null, statement(presentation), createPrivateKey({ key: Buffer.from(privateKey, 'base64url'), format: 'der', type: 'pkcs8' })).toString('hex')

/** Never throws. */
export function isHolder(publicKey: string, presentation: Presentation, proof: string): boolean {
  if (!KEY_HEX.test(publicKey) || !SIGNATURE_HEX.test(proof)) return false
  try {
    const key = createPublicKey({ key: Buffer.concat([PUBLIC_PREFIX, Buffer.from(publicKey, 'hex')]), format: 'der', type: 'spki' })
    return verify(null, statement(presentation), key, Buffer.from(proof, 'hex'))
  } catch {
    return false
  }
}

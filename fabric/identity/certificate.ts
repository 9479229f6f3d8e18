// Certificate chain of a node: fabric key -> founder -> member -> ... -> node. Pure.
//
// Each link says "I, the issuer, admit this key into this fabric at this depth", signed by the issuer;
// the first issuer is the fabric key. Certificates carry no dates: a clock an hour off must not break a
// member, and revocation is the ACL's work. The encoding has one form only (fixed-length fields), so a
// changed byte is a changed certificate.
//
//   chain := count:u8 { subject:32 signature:64 } * count          issuer = previous subject
//
// Source: DESIGN section 10.

import { FABRIC } from '../errors-table.ts'
import type { NodeId } from '../id.ts'
import { LIMITS } from '../limits.ts'
import { KEY_BYTES, SIGNATURE_BYTES, verifySignature } from './keys.ts'
import type { Keys } from './keys.ts'

export interface Certificate {
  readonly subject: NodeId
  readonly signature: Uint8Array
}

/** From the founder's certificate to the node's own; never empty. */
export type Chain = readonly Certificate[]

const CERTIFICATE_BYTES = KEY_BYTES + SIGNATURE_BYTES
const CONTEXT = Buffer.from('kumoi certificate 1\0')

const statement = (fabric: NodeId, issuer: NodeId, subject: NodeId, depth: number): Buffer =>
  Buffer.concat([CONTEXT, Buffer.from(fabric + issuer + subject, 'hex'), Buffer.from([depth])])

/** The founder's chain, signed by the fabric key itself. */
export function foundChain(fabric: Keys, founder: NodeId): Chain {
  return [{ subject: founder, signature: fabric.sign(statement(fabric.id, fabric.id, founder, 1)) }]
}

/** `issuer` (whose chain is `chain`) admits `subject`. Throws FABRIC_ERR_CHAIN_TOO_LONG. */
export function extendChain(fabric: NodeId, chain: Chain, issuer: Keys, subject: NodeId): Chain {
  if (chain.length >= LIMITS.chainDepthMax) throw FABRIC.CHAIN_TOO_LONG({ depthMax: LIMITS.chainDepthMax, node: issuer.id })
  const depth = chain.length + 1
  return [...chain, { subject, signature: issuer.sign(statement(fabric, issuer.id, subject, depth)) }]
}

/** The node a chain speaks for. */
export const subjectOf = (chain: Chain): NodeId => (chain[chain.length - 1] as Certificate).subject

/** Throws FABRIC_ERR_CERTIFICATE_INVALID unless `chain` certifies `subject` for `fabric`. */
export function checkChain(fabric: NodeId, chain: Chain, subject: NodeId): void {
  if (chain.length === 0 || chain.length > LIMITS.chainDepthMax) throw FABRIC.CERTIFICATE_INVALID({ node: subject, why: `its chain has ${chain.length} links` })
  if (subjectOf(chain) !== subject) throw FABRIC.CERTIFICATE_INVALID({ node: subject, why: `its chain certifies ${subjectOf(chain).slice(0, 8)}` })
  let issuer = fabric
  chain.forEach((link, index) => {
    const message = statement(fabric, issuer, link.subject, index + 1)
    if (!verifySignature(Buffer.from(issuer, 'hex'), message, link.signature)) {
      throw FABRIC.CERTIFICATE_INVALID({ node: subject, why: `link ${index + 1} is not signed by its issuer for this fabric` })
    }
    issuer = link.subject
  })
}

export function encodeChain(chain: Chain): Buffer {
  return Buffer.concat([Buffer.from([chain.length]), ...chain.flatMap((link) => [Buffer.from(link.subject, 'hex'), link.signature])])
}

/** Undefined when the bytes are not exactly one chain. Says nothing of its signatures: see checkChain. */
export function decodeChain(bytes: Uint8Array): Chain | undefined {
  const count = bytes[0] ?? 0
  if (count === 0 || count > LIMITS.chainDepthMax || bytes.byteLength !== 1 + count * CERTIFICATE_BYTES) return undefined
  return Array.from({ length: count }, (_, index) => {
    const from = 1 + index * CERTIFICATE_BYTES
    return {
      subject: Buffer.from(bytes.subarray(from, from + KEY_BYTES)).toString('hex'),
      signature: Uint8Array.from(bytes.subarray(from + KEY_BYTES, from + CERTIFICATE_BYTES)),
    }
  })
}

// Signatures that outlive their signer: records of the global store are believed by whoever reads them, years later, also
// when the node that signed has left or died. So the signature carries the signer's certificate chain, which leads
// to the fabric's key; nothing else need be known or asked.
//
//   signature := hex( chain  ed25519:64 )          chain: certificate.ts
//
// Source: RFC 8032; the caller's bytes begin with their purpose (domain separation).

import type { NodeId } from '../id.ts'
import { checkChain, decodeChain, encodeChain } from './certificate.ts'
import type { Chain } from './certificate.ts'
import { SIGNATURE_BYTES, verifySignature } from './keys.ts'
import type { Keys } from './keys.ts'
import type { Revocations } from './revocation.ts'

export interface CertifiedSigner {
  readonly node: NodeId
  /** Lower-case hex. */
  sign(bytes: Uint8Array): string
  /** Whether `node` was certified by this fabric and signed exactly these bytes. Never throws. */
  verify(node: NodeId, bytes: Uint8Array, signature: string): boolean
}

/** Chains found good, so that a thousand records of one node cost one check of its chain. */
const CHAINS_KEPT = 256

/** Checks what was signed in a fabric; needs its id, and who was cut off: what a node signed before that counts, chains that it may have forged do not. */
export function createCertifiedVerifier(fabric: () => NodeId | undefined, revocations?: Pick<Revocations, 'forged'>): Pick<CertifiedSigner, 'verify'> {
  const good = new Set<string>()
  const certified = (node: NodeId, chain: Buffer): boolean => {
    const id = fabric()
    const decoded = decodeChain(chain)
    if (id === undefined || decoded === undefined) return false
    if (revocations?.forged(decoded) === true) return false
    const key = `${id}${node}${chain.toString('base64')}`
    if (good.has(key)) return true
    try {
      checkChain(id, decoded, node)
    } catch {
      return false
    }
    if (good.size >= CHAINS_KEPT) good.clear()
    good.add(key)
    return true
  }
  return {
    verify(node, bytes, signature) {
      if (!/^(?:[0-9a-f]{2})+$/.test(signature)) return false
      const whole = Buffer.from(signature, 'hex')
      if (whole.byteLength <= SIGNATURE_BYTES) return false
      return certified(node, whole.subarray(0, -SIGNATURE_BYTES)) && verifySignature(Buffer.from(node, 'hex'), bytes, whole.subarray(-SIGNATURE_BYTES))
    },
  }
}

export interface CertifiedSignerOptions {
  readonly keys: Keys
  readonly fabric: () => { readonly id: NodeId; readonly chain: Chain } | undefined
  readonly revocations?: Pick<Revocations, 'forged'>
}

export function createCertifiedSigner({ keys, fabric, revocations }: CertifiedSignerOptions): CertifiedSigner {
  return {
    ...createCertifiedVerifier(() => fabric()?.id, revocations),
    node: keys.id,
    sign: (bytes) => Buffer.concat([encodeChain(fabric()?.chain ?? []), keys.sign(bytes)]).toString('hex'),
  }
}

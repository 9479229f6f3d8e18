// Proof that whoever sends an HTTP request holds the key that its token is bound to. A token alone is of no use: it is seen by
// every proxy and log on its way. One proof is for one request, once. Pure, but for node:crypto; runs in shells too.
//
//   Authorization: Bearer TOKEN
//   Kumoi-Proof: ATMS.NONCE.SIGNATURE      nonce: 16 bytes, signature: Ed25519, both base64url
//   signed: "kumoi http 1" host method target atMs nonce sha256(token) sha256(body), with zero bytes between; hashes in hex
//
// `host` is the Host header as it was sent, in lower case (what RFC 9449 calls htu): the door takes only names of its own, so a
// request that another server was sent cannot be passed on to it. Source: RFC 9449 (DPoP), without its JSON and algorithms.

import { createHash, createPrivateKey, createPublicKey, randomBytes, sign, verify } from 'node:crypto'

export const PROOF_HEADER = 'kumoi-proof'

export interface ProvedRequest {
  readonly host: string
  readonly method: string
  /** Path and query, as sent. */
  readonly target: string
  readonly token: string
  readonly body: Uint8Array
}
export interface Proof { readonly atMs: number; readonly nonce: string; readonly signature: string }

const PURPOSE = 'kumoi http 1'
const NONCE_BYTES = 16
const PROOF = /^(\d{1,15})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{86})$/
const PUBLIC_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

const digest = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')
const statement = ({ host, method, target, token, body }: ProvedRequest, { atMs, nonce }: Pick<Proof, 'atMs' | 'nonce'>): Buffer =>
  Buffer.from([PURPOSE, host.toLowerCase(), method, target, String(atMs), nonce, digest(token), digest(body)].join('\0'))

/** The header's value. `privateKey`: PKCS#8 DER, base64url, as the login file keeps it. */
export function proveRequest(privateKey: string, request: ProvedRequest, atMs: number): string {
  const nonce = randomBytes(NONCE_BYTES).toString('base64url')
  const key = createPrivateKey({ key: Buffer.from(privateKey, 'base64url'), format: 'der', type: 'pkcs8' })
  return `${atMs}.${nonce}.${sign(null, statement(request, { atMs, nonce }), key).toString('base64url')}`
}

/** Undefined for what is no proof. */
export function readProof(header: unknown): Proof | undefined {
  const [, at, nonce, signature] = typeof header === 'string' ? PROOF.exec(header) ?? [] : []
  return at === undefined || nonce === undefined || signature === undefined ? undefined : { atMs: Number(at), nonce, signature }
}

/** Whether the holder (hex key) made it for exactly this request. Never throws. */
export function proofHolds(holder: string, request: ProvedRequest, proof: Proof): boolean {
  try {
    const key = createPublicKey({ key: Buffer.concat([PUBLIC_PREFIX, Buffer.from(holder, 'hex')]), format: 'der', type: 'spki' })
    const signature = Buffer.from(proof.signature, 'base64url')
    return signature.toString('base64url') === proof.signature && verify(null, statement(request, proof), key, signature)
  } catch {
    return false
  }
}

export interface ReplayBounds { readonly skewMs: number; readonly entriesMax: number; readonly perTokenMax: number }
export type ReplayVerdict = 'new' | 'seen' | 'old' | 'early' | 'full'

/**
 * Proofs that were taken, for as long as their time is near. Full, it refuses rather than forgets; one token cannot fill it.
 * A node that was restarted remembers none: what was sent in the last `skewMs` could be sent to it once more.
 */
export class ReplayWindow {
  readonly #bounds: ReplayBounds
  /** Nonce of a token -> until when its time is near; in the order of arrival. */
  readonly #seen = new Map<string, number>()
  readonly #counts = new Map<string, number>()

  constructor(bounds: ReplayBounds) { this.#bounds = bounds }

  get size(): number { return this.#seen.size }

  /** `token`: its id. */
  take(token: string, { atMs, nonce }: Pick<Proof, 'atMs' | 'nonce'>, wallMs: number): ReplayVerdict {
    const { skewMs, entriesMax, perTokenMax } = this.#bounds
    this.#sweep(wallMs)
    if (atMs + skewMs <= wallMs) return 'old'
    if (atMs - skewMs > wallMs) return 'early'
    const key = `${token} ${nonce}`
    if (this.#seen.has(key)) return 'seen'
    const count = this.#counts.get(token) ?? 0
    if (this.#seen.size >= entriesMax || count >= perTokenMax) return 'full'
    this.#seen.set(key, atMs + skewMs)
    this.#counts.set(token, count + 1)
    return 'new'
  }

  /** Proofs arrive about in the order of their times: the oldest few are looked at, what is left behind goes at most 2 skews later. */
  #sweep(wallMs: number): void {
    for (const [key, untilMs] of this.#seen) {
      if (untilMs > wallMs) break
      this.#seen.delete(key)
      const token = key.slice(0, key.indexOf(' '))
      const left = (this.#counts.get(token) ?? 1) - 1
      if (left === 0) this.#counts.delete(token)
      else this.#counts.set(token, left)
    }
  }
}

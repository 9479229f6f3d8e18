// Everything that reads bytes or text of somebody who has not shown who he is, as (make an input, read it): for the short test
// and for the million (million.ts). A reader may refuse with a coded error, or say that it is nothing; all else is a find.

import { readFileSync } from 'node:fs'
import { systemRandom } from '../../fabric/clock.ts'
import type { Random } from '../../fabric/clock.ts'
import { acceptStep, WAITING } from '../../fabric/identity/admission.ts'
import { extendChain, foundChain } from '../../fabric/identity/certificate.ts'
import { decodeHello, encodeHello, PROTOCOL } from '../../fabric/identity/hello.ts'
import { generateKeys } from '../../fabric/identity/keys.ts'
import { createCertifiedSigner } from '../../fabric/identity/signing.ts'
import { printTicket, readTicket } from '../../fabric/identity/ticket.ts'
import { decodeMessage as decodeGossip, encodeMessage as encodeGossip } from '../../fabric/membership/messages.ts'
import { decodeRecord } from '../../fabric/rpc/codec.ts'
import { decodeFragment, decodeMessage } from '../../fabric/rpc/messages.ts'
import { payloadOf } from '../../kali/http-request.ts'
import { proofHolds, proveRequest, readProof } from '../../kali/http-proof.ts'
import { makeHolderKeys } from '../../kali/trust/holder.ts'
import { readRecord, writeRecord } from '../../kali/trust/records.ts'
import { issueToken, readToken } from '../../kali/trust/tokens.ts'
import { FRAMES } from '../golden/wire/frames.ts'

export interface DoorDecoder { readonly name: string; make(random: Random): Uint8Array; read(input: Uint8Array): void }

const golden = Object.entries(FRAMES).map(([name, { since }]) => Buffer.from(readFileSync(new URL(`../golden/wire/${since}/${name}.hex`, import.meta.url), 'utf8').trim(), 'hex'))
const fabric = generateKeys(systemRandom), alpha = generateKeys(systemRandom), beta = generateKeys(systemRandom)
const chain = foundChain(fabric, alpha.id)
const signer = createCertifiedSigner({ keys: alpha, fabric: () => ({ id: fabric.id, chain }) })
const holder = makeHolderKeys()
const nowMs = 1_800_000_000_000
const introduction = (name: string, of: typeof chain) => ({ protocol: PROTOCOL, fabric: fabric.id, chain: of, name, version: '0.1.0', addresses: ['10.0.0.1:1'], session: '0'.repeat(16), link: 1 })
const ticket = printTicket({ fabric: fabric.id, chain, issuer: alpha, expiresAtMs: nowMs, nonce: systemRandom.bytes(8), bootstraps: ['10.0.0.1:1'], members: [{ id: alpha.id, addresses: ['10.0.0.1:1'] }] })
const token = issueToken({ v: 1, id: '0'.repeat(32), fabric: fabric.id, issuer: alpha.id, user: 'alice', groups: ['ops'], holder: holder.publicKey, audience: [], verbs: ['vm:read'], userEpoch: 0, tokenEpoch: 0, issuedAtMs: nowMs, expiresAtMs: nowMs + 1, renewableUntilMs: nowMs + 1 }, signer)
const request = { host: 'a:1', method: 'POST', target: '/functions/f', token, body: new Uint8Array(0) }
const record = writeRecord('user', { name: 'alice', dn: 'uid=alice', groups: ['ops'], epoch: 0, state: 'active', lastLoginMs: 1 }, signer)
const hellos = [encodeHello({ type: 'hello', stream: 'rpc', ...introduction('beta', extendChain(fabric.id, chain, alpha, beta.id)) }), encodeHello({ type: 'join', protocol: PROTOCOL, ticket, name: 'beta' }), encodeHello({ type: 'ready' })]

const member = { id: alpha.id, incarnation: 3, state: 'alive' as const, accusers: [], profile: { name: 'alpha', addresses: ['10.0.0.1:1'], version: '0.1.0', startedAtMs: nowMs }, load: { cpuRatio: 0.5, queued: 1 }, loadNumber: 2, ageMs: 0 }
const gossip = [encodeGossip({ type: 'news', news: [member] }), encodeGossip({ type: 'news', news: [member, { ...member, id: beta.id, state: 'suspect', accusers: [{ id: alpha.id, strong: true }] }] })]

const pick = <T>(random: Random, items: readonly T[]): T => items[random.int(items.length)] as T

/** Flips, cuts, doubles and inserts; now and then a long run of one byte. */
export function mutate(random: Random, bytes: Uint8Array): Uint8Array {
  let result = Buffer.from(bytes)
  for (let edits = 1 + random.int(4); edits > 0; edits--) {
    const at = random.int(result.length + 1)
    switch (random.int(6)) {
      case 0: if (at < result.length) result[at] = (result[at] ?? 0) ^ (1 << random.int(8)); break
      case 1: if (at < result.length) result[at] = random.int(256); break
      case 2: result = result.subarray(0, at); break
      case 3: result = Buffer.concat([result.subarray(0, at), random.bytes(1 + random.int(6)), result.subarray(at)]); break
      case 4: result = Buffer.concat([result.subarray(0, at), result.subarray(random.int(at + 1))]); break
      default: if (random.int(20) === 0) result = Buffer.concat([result.subarray(0, at), Buffer.alloc(random.int(60_000), random.int(256)), result.subarray(at)])
    }
  }
  return Uint8Array.from(result)
}

/** CBOR heads strung together: deeper into the decoder than random bytes get. */
function heads(random: Random): Uint8Array {
  const bytes: number[] = []
  for (let count = 1 + random.int(40); count > 0; count--) {
    const info = pick(random, [0, 1, 2, 3, 5, 8, 20, 22, 23, 24, 25, 26, 27, 31])
    bytes.push((random.int(8) << 5) | info)
    for (let at = 0, extra = info >= 24 && info <= 27 ? 1 << (info - 24) : 0; at < extra; at++) bytes.push(at < extra - 1 ? 0 : random.int(40))
  }
  return Uint8Array.from(bytes)
}

const text = (input: Uint8Array): string => Buffer.from(input).toString('utf8')
const bytes = (value: string): Uint8Array => Buffer.from(value)
const of = (name: string, seeds: readonly Uint8Array[], read: (input: Uint8Array) => void): DoorDecoder => ({ name, make: (random) => mutate(random, pick(random, seeds)), read })

export const DOOR_DECODERS: readonly DoorDecoder[] = [
  { name: 'cbor', make: (random) => (random.int(2) === 0 ? heads(random) : mutate(random, pick(random, golden))), read: (input) => void decodeRecord(input) },
  of('rpc message', golden, (input) => { decodeMessage(input) }),
  of('rpc fragment', golden, (input) => { decodeFragment(input) }),
  of('gossip', gossip, (input) => { decodeGossip(input) }),
  of('hello', hellos, (input) => {
    const message = decodeHello(input, beta.id)
    acceptStep(WAITING, message, { peer: beta.id, wallMs: nowMs, self: introduction('alpha', chain), keys: alpha, bootstraps: [], nameHolder: () => undefined })
  }),
  of('ticket', [bytes(ticket)], (input) => { readTicket(text(input)) }),
  of('token', [bytes(token)], (input) => { readToken(text(input), signer.verify) }),
  of('proof', [bytes(proveRequest(holder.privateKey, request, nowMs))], (input) => {
    const proof = readProof(text(input))
    if (proof !== undefined) proofHolds(holder.publicKey, request, proof)
  }),
  of('record of trust', [record], (input) => { readRecord('user', 'trust/user/alice', input, signer) }),
  of('http body', [bytes('{"a":[1,{"b":null},"\\u00e9",1e9],"c":{"d":[[[]]]}}')], (input) => { payloadOf(input) }),
]

/** Reads one input; throws for what is neither an answer nor a coded refusal. */
export function attempt(decoder: DoorDecoder, input: Uint8Array): 'read' | 'refused' {
  try {
    decoder.read(input)
    return 'read'
  } catch (error) {
    if (/^(?:FABRIC|KALI)_ERR_/.test((error as { readonly code?: string }).code ?? '')) return 'refused'
    throw error
  }
}

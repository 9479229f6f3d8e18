import { test } from 'tap'
import { fc } from '../../support/property.ts'
import { seededRandom } from '../../../fabric/clock.ts'
import { checkChain, decodeChain, encodeChain, extendChain, foundChain, subjectOf } from '../../../fabric/identity/certificate.ts'
import { generateKeys, keysFromSeed, verifySignature } from '../../../fabric/identity/keys.ts'
import { LIMITS } from '../../../fabric/limits.ts'
import { codeOf } from '../../support/code-of.ts'

const random = seededRandom(7)
const fabric = generateKeys(random), founder = generateKeys(random), member = generateKeys(random), stranger = generateKeys(random)
const chain = extendChain(fabric.id, foundChain(fabric, founder.id), founder, member.id)

test('keys: the same seed gives the same key, and libsodium\'s layout', (t) => {
  const again = keysFromSeed(founder.seed)
  t.equal(again.id, founder.id)
  t.same(again.secretKey, Buffer.concat([founder.seed, founder.publicKey]))
  const message = Buffer.from('hello')
  t.ok(verifySignature(founder.publicKey, message, founder.sign(message)))
  t.notOk(verifySignature(member.publicKey, message, founder.sign(message)))
  t.notOk(verifySignature(Buffer.alloc(31), message, founder.sign(message)))
  t.end()
})

test('a chain certifies its last subject, for its fabric only', (t) => {
  t.equal(subjectOf(chain), member.id)
  t.equal(codeOf(() => checkChain(fabric.id, chain, member.id)), undefined)
  for (const [what, act] of Object.entries({
    'another subject': () => checkChain(fabric.id, chain, stranger.id),
    'another fabric': () => checkChain(stranger.id, chain, member.id),
    'a missing link': () => checkChain(fabric.id, chain.slice(1), member.id),
    'links in another order': () => checkChain(fabric.id, [...chain].reverse(), founder.id),
    'a link signed by a stranger': () => checkChain(fabric.id, extendChain(fabric.id, chain.slice(0, 1), stranger, member.id), member.id),
    'no link': () => checkChain(fabric.id, [], member.id),
  })) t.equal(codeOf(act), 'FABRIC_ERR_CERTIFICATE_INVALID', what)
  t.end()
})

test('any changed byte of an encoded chain is refused', (t) => {
  const bytes = encodeChain(chain)
  t.same(decodeChain(bytes), chain)
  fc.assert(fc.property(fc.nat(bytes.byteLength - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
    const altered = Buffer.from(bytes)
    altered[at] = (altered[at] as number) ^ flip
    const decoded = decodeChain(altered)
    return decoded === undefined || codeOf(() => checkChain(fabric.id, decoded, member.id)) === 'FABRIC_ERR_CERTIFICATE_INVALID'
  }), { numRuns: 300 })
  fc.assert(fc.property(fc.nat(bytes.byteLength - 1), (length) => decodeChain(bytes.subarray(0, length)) === undefined))
  t.end()
})

test('a chain ends at its longest', (t) => {
  let longest = foundChain(fabric, founder.id), issuer = founder
  while (longest.length < LIMITS.chainDepthMax) {
    const next = generateKeys(random)
    longest = extendChain(fabric.id, longest, issuer, next.id)
    issuer = next
  }
  t.equal(codeOf(() => checkChain(fabric.id, longest, issuer.id)), undefined)
  t.equal(codeOf(() => void extendChain(fabric.id, longest, issuer, stranger.id)), 'FABRIC_ERR_CHAIN_TOO_LONG')
  t.end()
})

// Whom a member speaks with no more, and which certificates count no more when their signer was cut off.

import t from 'tap'
import { systemRandom } from '../../../fabric/clock.ts'
import { extendChain, foundChain } from '../../../fabric/identity/certificate.ts'
import type { Chain } from '../../../fabric/identity/certificate.ts'
import { generateKeys } from '../../../fabric/identity/keys.ts'
import type { Keys } from '../../../fabric/identity/keys.ts'
import { createRevocations } from '../../../fabric/identity/revocation.ts'
import { createCertifiedSigner } from '../../../fabric/identity/signing.ts'
import { judgeTicket, printTicket, readTicket } from '../../../fabric/identity/ticket.ts'
import { codeOf } from '../../support/code-of.ts'
import { fc } from '../../support/property.ts'

const [fabric, founder, r, a, b, x] = Array.from({ length: 6 }, () => generateKeys(systemRandom)) as [Keys, Keys, Keys, Keys, Keys, Keys]
const founderChain = foundChain(fabric, founder.id)
const admit = (chain: Chain, by: Keys, node: Keys): Chain => extendChain(fabric.id, chain, by, node.id)
const rChain = admit(founderChain, founder, r), aChain = admit(rChain, r, a), bChain = admit(aChain, a, b), xChain = admit(rChain, r, x)
const revoked = (node: Keys, kept: readonly Keys[]) => ({ node: node.id, by: 'local:0', reason: 'stolen', kept: kept.map(({ id }) => id) })

t.test('what a revoked node had admitted stays, what it admits afterwards does not', (t) => {
  const list = createRevocations(() => founder.id)
  t.same(list.replace([revoked(r, [founder, a])]), { added: [r.id], removed: [] })
  t.equal(list.refusalOf(rChain)?.code, 'FABRIC_ERR_REVOKED')
  t.match(list.refusal(r.id), { message: /local:0.*stolen/ })
  t.equal(list.refusalOf(aChain), undefined)
  t.equal(list.refusalOf(bChain), undefined, 'admitted by one that stays, whenever')
  t.equal(list.refusalOf(xChain)?.code, 'FABRIC_ERR_REVOKED_ADMISSION')
  t.equal(list.refusalOf(admit(xChain, x, b))?.code, 'FABRIC_ERR_REVOKED_ADMISSION', 'nor whom those admit')
  t.equal(list.refusalOf(founderChain), undefined)
  t.same(list.replace([]), { added: [], removed: [r.id] })
  t.equal(list.refusalOf(xChain), undefined)
  t.end()
})

t.test('a revoked founder may have the fabric\'s key: nobody else begins a chain', (t) => {
  const list = createRevocations(() => founder.id)
  list.replace([revoked(founder, [r, a])])
  t.equal(list.refusalOf(aChain), undefined)
  t.ok(list.refusalOf(foundChain(fabric, x.id)))
  t.ok(list.refusalOf(admit(founderChain, founder, x)))
  t.end()
})

t.test('signatures: what it signed before is still read, what it forges is not', (t) => {
  const list = createRevocations(() => founder.id)
  const bytes = Buffer.from('a record')
  const signed = (keys: Keys, chain: Chain): string => createCertifiedSigner({ keys, fabric: () => ({ id: fabric.id, chain }) }).sign(bytes)
  const verifier = createCertifiedSigner({ keys: founder, fabric: () => ({ id: fabric.id, chain: founderChain }), revocations: list })
  const byR = signed(r, rChain), byA = signed(a, aChain), byX = signed(x, xChain)
  t.ok(verifier.verify(x.id, bytes, byX), 'kept by the cache of good chains from here on')
  list.replace([revoked(r, [a])])
  t.ok(verifier.verify(r.id, bytes, byR))
  t.ok(verifier.verify(a.id, bytes, byA))
  t.notOk(verifier.verify(x.id, bytes, byX))
  t.end()
})

t.test('whatever the list, nobody revoked passes, and who is not in a revoked chain does', (t) => {
  const nodes = [founder, r, a, b, x]
  const chains = new Map([[founder, founderChain], [r, rChain], [a, aChain], [b, bChain], [x, xChain]])
  fc.assert(fc.property(fc.subarray(nodes), fc.subarray(nodes), (cut, kept) => {
    const list = createRevocations(() => founder.id)
    list.replace(cut.map((node) => revoked(node, kept)))
    return nodes.every((node) => {
      const chain = chains.get(node) as Chain
      const through = chain.slice(0, -1).some(({ subject }, at) => cut.some(({ id }) => id === subject) && !kept.some(({ id }) => id === chain[at + 1]?.subject))
      return (list.refusalOf(chain) !== undefined) === (cut.includes(node) || through)
    })
  }))
  t.end()
})

t.test('a ticket for one key admits no other, and cannot be made to', (t) => {
  const draft = { fabric: fabric.id, chain: founderChain, issuer: founder, expiresAtMs: 1_000, nonce: systemRandom.bytes(8), bootstraps: [], members: [] }
  const text = printTicket({ ...draft, subject: x.id })
  const ticket = readTicket(text)
  const judged = (joiner: Keys) => codeOf(() => judgeTicket(ticket, { fabric: fabric.id, wallMs: 1, joiner: joiner.id }))
  t.match(text, /^kumoi2/)
  t.equal(ticket.subject, x.id)
  t.equal(judged(x), undefined)
  t.equal(judged(a), 'FABRIC_ERR_TICKET_BOUND')
  t.ok(codeOf(() => readTicket(text.replace('kumoi2', 'kumoi1'))), 'as one for everybody it is no ticket')
  t.ok(codeOf(() => readTicket(printTicket(draft).replace('kumoi1', 'kumoi2'))))
  t.end()
})

import { test } from 'tap'
import { fc } from '../../support/property.ts'
import { seededRandom } from '../../../fabric/clock.ts'
import { extendChain, foundChain } from '../../../fabric/identity/certificate.ts'
import { generateKeys } from '../../../fabric/identity/keys.ts'
import { judgeTicket, printTicket, readTicket } from '../../../fabric/identity/ticket.ts'
import type { TicketDraft } from '../../../fabric/identity/ticket.ts'
import { codeOf } from '../../support/code-of.ts'

const random = seededRandom(11)
const fabric = generateKeys(random), founder = generateKeys(random), member = generateKeys(random), stranger = generateKeys(random)
const draft: TicketDraft = {
  fabric: fabric.id, chain: extendChain(fabric.id, foundChain(fabric, founder.id), founder, member.id), issuer: member,
  expiresAtMs: 1_800_000_000_000, nonce: random.bytes(8), bootstraps: ['10.0.0.1:4100', 'host.example:4100'],
  members: [{ id: member.id, addresses: ['10.0.0.2:4100'] }, { id: founder.id, addresses: [] }],
}
const text = printTicket(draft)

test('a ticket is one word and says what it was made with', (t) => {
  t.match(text, /^kumoi1[0-9a-z]+$/)
  const { fabric: id, expiresAtMs, bootstraps, members, chain } = readTicket(`  ${text}\n`)
  t.same({ id, expiresAtMs, bootstraps, members, chain }, { id: draft.fabric, expiresAtMs: draft.expiresAtMs, bootstraps: draft.bootstraps, members: draft.members, chain: draft.chain })
  t.end()
})

test('any changed, missing or added character is refused', (t) => {
  const letters = [...'0123456789abcdefghjkmnpqrstvwxyziloAZ-_ ']
  fc.assert(fc.property(fc.nat(text.length - 1), fc.constantFrom(...letters), (at, letter) => {
    if (text[at] === letter || (at === text.length - 1 && letter === ' ')) return true
    return codeOf(() => void readTicket(text.slice(0, at) + letter + text.slice(at + 1))) === 'FABRIC_ERR_TICKET_MALFORMED'
  }), { numRuns: 500 })
  fc.assert(fc.property(fc.nat(text.length - 1), (at) =>
    codeOf(() => void readTicket(text.slice(0, at))) === 'FABRIC_ERR_TICKET_MALFORMED'
    && codeOf(() => void readTicket(text.slice(0, at) + text.slice(at + 1))) === 'FABRIC_ERR_TICKET_MALFORMED'))
  for (const nonsense of ['', 'kumoi1', 'kumoi2abc', `kumoi1${'0'.repeat(10_000)}`, 'not a ticket']) {
    t.equal(codeOf(() => void readTicket(nonsense)), 'FABRIC_ERR_TICKET_MALFORMED')
  }
  t.end()
})

test('a ticket altered with its checksum put right, or signed by a stranger, is refused as altered', (t) => {
  const forged: [string, TicketDraft][] = [
    ['signed by a stranger', { ...draft, issuer: stranger }],
    ['chain of another fabric', { ...draft, fabric: stranger.id }],
    ['stranger at the end of a true chain', { ...draft, chain: [...draft.chain, { subject: stranger.id, signature: new Uint8Array(64) }], issuer: stranger }],
  ]
  for (const [what, made] of forged) t.equal(codeOf(() => void readTicket(printTicket(made))), 'FABRIC_ERR_TICKET_ALTERED', what)
  t.end()
})

test('expiry and fabric are judged by the admitting member', (t) => {
  const ticket = readTicket(text)
  const judge = (wallMs: number, id = fabric.id) => codeOf(() => judgeTicket(ticket, { fabric: id, wallMs, joiner: fabric.id }))
  t.equal(judge(draft.expiresAtMs - 1), undefined)
  t.equal(judge(draft.expiresAtMs), 'FABRIC_ERR_TICKET_EXPIRED')
  t.equal(judge(0, stranger.id), 'FABRIC_ERR_TICKET_FOREIGN')
  t.end()
})

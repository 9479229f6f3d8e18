import { test } from 'tap'
import { fc } from '../../support/property.ts'
import { seededRandom } from '../../../fabric/clock.ts'
import { WAITING, acceptStep, dialStep, openingMessage } from '../../../fabric/identity/admission.ts'
import type { AdmissionContext, AdmissionState, DialPurpose } from '../../../fabric/identity/admission.ts'
import { extendChain, foundChain } from '../../../fabric/identity/certificate.ts'
import { PROTOCOL, decodeHello, encodeHello, isNodeName } from '../../../fabric/identity/hello.ts'
import type { HelloMessage, Introduction } from '../../../fabric/identity/hello.ts'
import { generateKeys } from '../../../fabric/identity/keys.ts'
import { printTicket } from '../../../fabric/identity/ticket.ts'

const random = seededRandom(5)
const fabric = generateKeys(random), alpha = generateKeys(random), beta = generateKeys(random), stranger = generateKeys(random)
const alphaChain = foundChain(fabric, alpha.id)
const betaChain = extendChain(fabric.id, alphaChain, alpha, beta.id)
const introduce = (name: string, chain = alphaChain): Introduction =>
  ({ protocol: PROTOCOL, fabric: fabric.id, chain, name, version: '0.1.0', addresses: ['127.0.0.1:1'], session: '0123456789abcdef', link: 1 })
const atAlpha = (peer: string): AdmissionContext =>
  ({ peer, wallMs: 1_000, self: introduce('alpha'), keys: alpha, bootstraps: [], nameHolder: (name) => (name === 'taken' ? stranger.id : undefined) })
const atBeta: AdmissionContext = { ...atAlpha(alpha.id), self: introduce('beta', betaChain), keys: beta }
const ticket = (expiresAtMs = 2_000) =>
  printTicket({ fabric: fabric.id, chain: alphaChain, issuer: alpha, expiresAtMs, nonce: random.bytes(8), bootstraps: [], members: [] })

const LINK: DialPurpose = { kind: 'link', stream: 'rpc' }
const code = (state: AdmissionState): string => (state.at === 'refused' ? state.error.code : state.at)

test('hello, welcome, ready: both sides are up, through the encoding', (t) => {
  const over = (message: HelloMessage | undefined, from: string): HelloMessage => {
    if (message === undefined) throw new Error('nothing was said')
    return decodeHello(encodeHello(message), from)
  }
  const welcomed = acceptStep(WAITING, over(openingMessage(LINK, atBeta.self), beta.id), atAlpha(beta.id))
  t.equal(code(welcomed.state), 'welcomed')
  const up = dialStep(LINK, over(welcomed.send, alpha.id), atBeta)
  t.equal(code(up.state), 'up')
  const done = acceptStep(welcomed.state, over(up.send, beta.id), atAlpha(beta.id))
  t.ok(done.state.at === 'up' && done.state.peer.name === 'beta' && done.state.stream === 'rpc')
  t.end()
})

test('a hello is refused by what is wrong with it', (t) => {
  const hello = { type: 'hello', stream: 'rpc', ...introduce('beta', betaChain) } as const
  const cases: [string, HelloMessage, string][] = [
    ['FABRIC_ERR_CERTIFICATE_INVALID', { ...hello, chain: alphaChain }, beta.id],
    ['FABRIC_ERR_CERTIFICATE_INVALID', hello, stranger.id],
    ['FABRIC_ERR_HELLO_FOREIGN', { ...hello, fabric: stranger.id }, beta.id],
    ['FABRIC_ERR_HELLO_VERSION', { ...hello, protocol: PROTOCOL + 1 }, beta.id],
    ['FABRIC_ERR_NAME_TAKEN', { ...hello, name: 'taken' }, beta.id],
    ['FABRIC_ERR_HELLO_INVALID', { type: 'ready' }, beta.id],
    ['FABRIC_ERR_HELLO_INVALID', { type: 'welcome', ...introduce('beta', betaChain) }, beta.id],
  ]
  for (const [expected, message, peer] of cases) {
    const step = acceptStep(WAITING, message, atAlpha(peer))
    t.equal(code(step.state), expected)
    t.equal(step.send?.type, 'refused')
    const heard = step.send === undefined ? undefined : dialStep(LINK, step.send, atBeta)
    t.equal(heard && code(heard.state), expected, 'and the dialler hears the same code')
  }
  t.end()
})

test('join: a ticket is exchanged for a chain that ends at the joiner', (t) => {
  const purpose: DialPurpose = { kind: 'join', ticket: ticket(), fabric: fabric.id, name: 'gamma' }
  const joiner: AdmissionContext = { ...atAlpha(alpha.id), self: undefined, keys: stranger }
  const step = acceptStep(WAITING, openingMessage(purpose, undefined), atAlpha(stranger.id))
  t.equal(code(step.state), 'served')
  const answer = step.send
  if (answer?.type !== 'admitted') throw new Error('not admitted')
  t.equal(code(dialStep(purpose, answer, joiner).state), 'joined')
  t.equal(code(dialStep(purpose, answer, { ...joiner, peer: beta.id }).state), 'FABRIC_ERR_CERTIFICATE_INVALID', 'from one who did not sign it')
  t.equal(code(dialStep(purpose, { ...answer, chain: betaChain }, joiner).state), 'FABRIC_ERR_CERTIFICATE_INVALID', 'for another key')
  t.equal(code(dialStep({ ...purpose, fabric: beta.id }, answer, joiner).state), 'FABRIC_ERR_HELLO_FOREIGN')
  const ask = (text: string, name = 'gamma') => code(acceptStep(WAITING, openingMessage({ ...purpose, ticket: text, name }, undefined), atAlpha(stranger.id)).state)
  t.equal(ask(ticket(1_000)), 'FABRIC_ERR_TICKET_EXPIRED')
  t.equal(ask(`${ticket()}0`), 'FABRIC_ERR_TICKET_MALFORMED')
  t.equal(ask(ticket(), 'taken'), 'FABRIC_ERR_NAME_TAKEN')
  t.end()
})

test('decoding: any bytes give a known message or FABRIC_ERR_HELLO_INVALID', (t) => {
  const safe = (bytes: Uint8Array): boolean => {
    try {
      return typeof decodeHello(bytes, alpha.id).type === 'string'
    } catch (error) {
      return (error as { code?: string }).code === 'FABRIC_ERR_HELLO_INVALID'
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), safe))
  fc.assert(fc.property(fc.json(), (text) => safe(Buffer.from(text))))
  const valid = encodeHello({ type: 'hello', stream: 'rpc', ...introduce('beta', betaChain) })
  fc.assert(fc.property(fc.nat(valid.byteLength - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
    const altered = Buffer.from(valid)
    altered[at] = (altered[at] as number) ^ flip
    return safe(altered)
  }), { numRuns: 500 })
  t.notOk(isNodeName('a b'))
  t.notOk(isNodeName('-x'))
  t.notOk(isNodeName('x'.repeat(64)))
  t.ok(isNodeName('hpc-07.rack_2'))
  t.end()
})

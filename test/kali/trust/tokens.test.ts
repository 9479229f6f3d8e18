// Abuse of tokens, as a table: each case is a token, or a presentation of one, that must not be accepted. None is.

import { createHash } from 'node:crypto'
import { test } from 'tap'
import { LIMITS, seededRandom } from '../../../fabric/base.ts'
import { foundChain } from '../../../fabric/identity/certificate.ts'
import { generateKeys } from '../../../fabric/identity/keys.ts'
import type { Keys } from '../../../fabric/identity/keys.ts'
import { createCertifiedSigner } from '../../../fabric/identity/signing.ts'
import { isHolder, makeHolderKeys, proveHolder } from '../../../kali/trust/holder.ts'
import { issueToken, problemOf, principalOf, readToken, verifyToken } from '../../../kali/trust/tokens.ts'
import type { TokenJudge } from '../../../kali/trust/tokens.ts'
import type { TokenClaims, TrustSettings, UserRecord } from '../../../kali/trust/contract.ts'
import { canonicalJson } from '../../../functions/mod.ts'
import { fc } from '../../support/property.ts'

const random = seededRandom(6)
const NOW = 1_900_000_000_000
const MINUTE = 60_000
const fabricKeys = generateKeys(random), otherFabric = generateKeys(random)
const member = generateKeys(random), second = generateKeys(random), stranger = generateKeys(random)
const signerOf = (keys: Keys, fabric: Keys) => createCertifiedSigner({ keys, fabric: () => ({ id: fabric.id, chain: foundChain(fabric, keys.id) }) })
const signer = signerOf(member, fabricKeys)
const holder = makeHolderKeys(), thief = makeHolderKeys()

interface World { settings: TrustSettings; user: UserRecord | undefined; revoked: ReadonlySet<string>; node: string }
const alice: UserRecord = { name: 'alice', dn: 'uid=alice', groups: ['ops'], epoch: 3, state: 'active', lastLoginMs: NOW }
const world = (change: Partial<World> = {}): World => ({ settings: { tokenEpoch: 2, tokenLifeMs: LIMITS.tokenLifeMsMax }, user: alice, revoked: new Set(), node: member.id, ...change })
const judgeOf = ({ settings, user, revoked, node }: World): TokenJudge => ({
  verify: signer.verify, fabric: fabricKeys.id, node, settings: () => settings, user: (name) => (user?.name === name ? user : undefined), revokedNode: (id) => (revoked.has(id) ? {} : undefined),
})
const good: TokenClaims = {
  v: 1, id: 'ab'.repeat(16), fabric: fabricKeys.id, issuer: member.id, user: 'alice', groups: ['ops'], holder: holder.publicKey, audience: [member.id], verbs: ['vm:read', 'vm:start'], budgetCalls: 10,
  userEpoch: 3, tokenEpoch: 2, issuedAtMs: NOW - MINUTE, expiresAtMs: NOW + 5 * MINUTE, renewableUntilMs: NOW + 60 * MINUTE,
}
/** Signed by the member whatever it says: what a faulty or hostile node of another version might write. */
const forge = (claims: object, by = signer): string => signText(canonicalJson(claims), by)
const signText = (json: string, by = signer): string => `${Buffer.from(json).toString('base64url')}.${Buffer.from(by.sign(new TextEncoder().encode(`kumoi token 1\0${json}`)), 'hex').toString('base64url')}`
const change = (fields: object): string => forge({ ...good, ...fields })
const without = (field: keyof TokenClaims): string => { const { [field]: _gone, ...rest } = good; return forge(rest) }
const [HEAD = '', TAIL = ''] = issueToken(good, signer).split('.')
const token = `${HEAD}.${TAIL}`
const json = Buffer.from(HEAD, 'base64url').toString()

interface Case { readonly name: string; readonly token: unknown; readonly world?: World; readonly atMs?: number }
const cases: Case[] = [
  // times
  { name: 'expired', token, atMs: good.expiresAtMs + LIMITS.tokenSkewMs },
  { name: 'expired long ago', token, atMs: NOW + 24 * 60 * MINUTE },
  { name: 'not begun', token, atMs: good.issuedAtMs - LIMITS.tokenSkewMs - 1 },
  { name: 'a clock that is an hour behind', token, atMs: NOW - 60 * MINUTE },
  { name: 'a clock that is an hour ahead', token, atMs: NOW + 60 * MINUTE },
  { name: 'lives longer than a token may', token: change({ expiresAtMs: good.issuedAtMs + LIMITS.tokenLifeMsMax + 1 }) },
  { name: 'lives for ever', token: change({ expiresAtMs: Number.MAX_SAFE_INTEGER, renewableUntilMs: Number.MAX_SAFE_INTEGER }) },
  { name: 'ends before it begins', token: change({ expiresAtMs: good.issuedAtMs }) },
  { name: 'renewable for ever', token: change({ renewableUntilMs: good.issuedAtMs + LIMITS.loginAgeMsMax + 1 }) },
  { name: 'renewable until before its end', token: change({ renewableUntilMs: good.expiresAtMs - 1 }) },
  // place
  { name: 'another fabric', token: change({ fabric: otherFabric.id }) },
  { name: 'another audience', token: change({ audience: [second.id] }) },
  { name: 'presented at a node that is not in its audience', token, world: world({ node: second.id }) },
  // signers
  { name: 'signed by a node of another fabric', token: forge({ ...good, issuer: stranger.id }, signerOf(stranger, otherFabric)) },
  { name: 'signed by a node of another fabric, in a member\'s name', token: forge(good, signerOf(stranger, otherFabric)) },
  { name: 'signed by another member than it says', token: forge(good, signerOf(second, fabricKeys)) },
  { name: 'signed by the holder himself', token: forge({ ...good, issuer: thief.publicKey }) },
  { name: 'signed by a revoked node', token, world: world({ revoked: new Set([member.id]) }) },
  { name: 'a signature for another purpose', token: `${HEAD}.${Buffer.from(signer.sign(new TextEncoder().encode(`kumoi function 1\0${json}`)), 'hex').toString('base64url')}` },
  { name: 'a signature of the bare claims', token: `${HEAD}.${Buffer.from(signer.sign(new TextEncoder().encode(json)), 'hex').toString('base64url')}` },
  { name: 'a signature without a chain', token: `${HEAD}.${Buffer.from(member.sign(new TextEncoder().encode(`kumoi token 1\0${json}`))).toString('base64url')}` },
  { name: 'no signature', token: `${HEAD}.` },
  { name: 'the signature of another token', token: `${HEAD}.${change({ id: 'cd'.repeat(16) }).split('.')[1]}` },
  { name: 'the signature cut short', token: `${HEAD}.${TAIL.slice(0, -8)}` },
  { name: 'the signature with more behind it', token: `${HEAD}.${TAIL}AAAA` },
  // standing
  { name: 'an older epoch of the user', token: change({ userEpoch: 2 }) },
  { name: 'an older epoch of all tokens', token: change({ tokenEpoch: 1 }) },
  { name: 'rotated since', token, world: world({ settings: { tokenEpoch: 3, tokenLifeMs: LIMITS.tokenLifeMsMax } }) },
  { name: 'a revoked user', token, world: world({ user: { ...alice, state: 'revoked', epoch: 4 } }) },
  { name: 'a revoked user of the same epoch', token, world: world({ user: { ...alice, state: 'revoked' } }) },
  { name: 'restored, with the token of before', token, world: world({ user: { ...alice, epoch: 4 } }) },
  { name: 'a user who is not known', token: change({ user: 'mallory' }) },
  { name: 'no users at all', token, world: world({ user: undefined }) },
  // names that are not canonical
  ...['Alice', 'alice ', ' alice', 'al\u0131ce', '\uff41lice', 'alice\u0000', 'alice/vm:read', 'user:alice', 'local:0', '', '../alice', 'a'.repeat(64), '__proto__', 'alice\n'].map((user) => ({ name: `user ${JSON.stringify(user)}`, token: change({ user }) })),
  // rights that are not in the grammar, and what would widen the text of a principal
  ...['vm:read+vm:delete', 'vm:read/x', '*', 'vm', 'vm:', ':read', 'vm:read ', 'VM:read', 'vm:re ad', 'vm:*:*', ''].map((verb) => ({ name: `right ${JSON.stringify(verb)}`, token: change({ verbs: [verb] }) })),
  // wrong types, one for each field
  ...Object.entries({ v: '1', id: 7, fabric: null, issuer: 1, user: ['alice'], groups: 'ops', holder: 9, audience: member.id, verbs: 'vm:read', budgetCalls: '10', userEpoch: '3', tokenEpoch: 2.5, issuedAtMs: String(NOW), expiresAtMs: null, renewableUntilMs: true })
    .map(([field, value]) => ({ name: `wrong type of ${field}`, token: change({ [field]: value }) })),
  // each field left out, but for the one that may be
  ...(Object.keys(good) as (keyof TokenClaims)[]).filter((field) => field !== 'budgetCalls').map((field) => ({ name: `without ${field}`, token: without(field) })),
  // numbers that are none, or out of bounds
  ...[0, -1, 1.5, 1e300, LIMITS.tokenCallsMax + 1].map((budgetCalls) => ({ name: `${budgetCalls} calls`, token: change({ budgetCalls }) })),
  ...[-1, 1e12].map((userEpoch) => ({ name: `epoch ${userEpoch}`, token: change({ userEpoch }) })),
  { name: 'a later version', token: change({ v: 2 }) },
  { name: 'an unknown field', token: change({ admin: true }) },
  { name: 'a field of the prototype', token: signText(json.replace('{', '{"__proto__":{"v":1},')) },
  { name: 'a duplicate field', token: signText(json.replace('"user":"alice"', '"user":"mallory","user":"alice"')) },
  { name: 'fields in another order', token: signText(JSON.stringify(good)) },
  { name: 'spaces', token: signText(json.replace('{', '{ ')) },
  { name: 'an escaped letter', token: signText(json.replace('alice', '\\u0061lice')) },
  { name: 'a number in another spelling', token: signText(json.replace('"userEpoch":3', '"userEpoch":3.0')) },
  { name: 'too many rights', token: change({ verbs: Array.from({ length: LIMITS.tokenVerbsMax + 1 }, (_, i) => `vm:v${i}`) }) },
  { name: 'too many nodes', token: change({ audience: Array.from({ length: LIMITS.tokenAudienceMax + 1 }, () => member.id) }) },
  { name: 'too many groups', token: change({ groups: Array.from({ length: LIMITS.userGroupsMax + 1 }, (_, i) => `g${i}`) }) },
  // texts
  ...[undefined, null, 0, {}, [], token.split('.'), Buffer.from(token), '', '.', '..', 'x', 'x.y', `${token}.`, `.${token}`, `${token}.${TAIL}`, `${HEAD}${TAIL}`, ` ${token}`, `${token}\n`, `${token}=`, token.replace('.', '=.'), HEAD, `Bearer ${token}`, token.toUpperCase(), 'A'.repeat(LIMITS.tokenCharsMax + 1), `${'A'.repeat(1e6)}.${TAIL}`]
    .map((text, at) => ({ name: `no token ${at}`, token: text })),
  { name: 'claims that are no UTF-8', token: `${Buffer.from([0xff, 0xfe]).toString('base64url')}.${TAIL}` },
  ...['null', '1', '[]', '"x"', '{}', '{"v":1}', '{'].map((text) => ({ name: `claims ${text}`, token: signText(text) })),
  { name: 'in the manner of JWT, without a signature', token: `${Buffer.from('{"alg":"none"}').toString('base64url')}.${HEAD}` },
  { name: 'in the manner of JWT', token: `${Buffer.from('{"alg":"EdDSA"}').toString('base64url')}.${HEAD}.${TAIL}` },
]

test('the token that all of these are made of is good', (t) => {
  t.match(verifyToken(token, judgeOf(world()), NOW), { principal: 'user:alice/vm:read+vm:start', claims: { user: 'alice' } })
  t.match(verifyToken(forge({ ...good, issuer: second.id }, signerOf(second, fabricKeys)), judgeOf(world()), NOW), { claims: { issuer: second.id } }, 'another member\'s')
  t.equal(verifyToken(without('budgetCalls'), judgeOf(world()), NOW).claims.budgetCalls, undefined)
  t.ok(verifyToken(token, judgeOf(world()), good.expiresAtMs + LIMITS.tokenSkewMs - 1), 'a minute is forgiven')
  t.ok(verifyToken(token, judgeOf(world()), good.issuedAtMs - LIMITS.tokenSkewMs), 'and at its beginning')
  t.equal(principalOf({ user: 'alice', verbs: [] }), 'user:alice')
  t.end()
})

test('none of the abused ones is', (t) => {
  let accepted = 0
  for (const { name, token: given, world: around = world(), atMs = NOW } of cases) {
    try {
      verifyToken(given, judgeOf(around), atMs)
      accepted++
      t.fail(`accepted: ${name}`)
    } catch (error) {
      t.match(error, { code: /^KALI_ERR_(TOKEN_REFUSED|USER_REVOKED)$/ }, name)
    }
  }
  t.equal(accepted, 0, `${cases.length} cases`)
  t.ok(cases.length >= 80)
  t.end()
})

test('an altered byte anywhere is found', (t) => {
  const judge = judgeOf(world())
  let accepted = 0
  for (let at = 0; at < token.length; at++) {
    for (const letter of ['A', '_', '0']) {
      if (token[at] === letter || token[at] === '.') continue
      try {
        verifyToken(token.slice(0, at) + letter + token.slice(at + 1), judge, NOW)
        accepted++
      } catch { /* as it must be */ }
    }
  }
  t.equal(accepted, 0)
  fc.assert(fc.property(fc.oneof(fc.string({ maxLength: 200 }), fc.base64String({ maxLength: 400 }).map((text) => `${text}.${text}`), fc.json().map((text) => signText(text))), (text) => {
    try { readToken(text, signer.verify); return false } catch (error) { return (error as { readonly code?: string }).code === 'KALI_ERR_TOKEN_REFUSED' }
  }))
  t.end()
})

test('only its holder presents it, where and when he was asked to', (t) => {
  const presentation = { fabric: fabricKeys.id, node: member.id, nonce: '11'.repeat(32), token }
  const proof = proveHolder(holder.privateKey, presentation)
  t.ok(isHolder(holder.publicKey, presentation, proof))
  const wrong: readonly (readonly [string, boolean])[] = [
    ['another nonce', isHolder(holder.publicKey, { ...presentation, nonce: '12'.repeat(32) }, proof)],
    ['another node', isHolder(holder.publicKey, { ...presentation, node: second.id }, proof)],
    ['another fabric', isHolder(holder.publicKey, { ...presentation, fabric: otherFabric.id }, proof)],
    ['another token', isHolder(holder.publicKey, { ...presentation, token: change({ verbs: [] }) }, proof)],
    ['another holder', isHolder(thief.publicKey, presentation, proof)],
    ['a thief\'s proof', isHolder(holder.publicKey, presentation, proveHolder(thief.privateKey, presentation))],
    ['fields moved against each other', isHolder(holder.publicKey, { ...presentation, node: `${member.id}\0${'11'.repeat(32)}`, nonce: '' }, proof)],
    ['a proof of the nonce alone', isHolder(holder.publicKey, presentation, createHash('sha512').update(presentation.nonce).digest('hex'))],
    ['upper case', isHolder(holder.publicKey, presentation, proof.toUpperCase())],
    ['cut short', isHolder(holder.publicKey, presentation, proof.slice(2))],
    ['nothing', isHolder(holder.publicKey, presentation, '')],
    ['zeros', isHolder(holder.publicKey, presentation, '00'.repeat(64))],
    ['a key that is none', isHolder('zz', presentation, proof)],
    ['the key of order one', isHolder('01'.padEnd(64, '0'), presentation, `01${'0'.repeat(126)}`)],
  ]
  for (const [name, accepted] of wrong) t.notOk(accepted, name)
  t.end()
})

test('narrowed is narrowed: no claim of a token is changed without its signer', (t) => {
  const widened = { ...good, verbs: [] }
  t.throws(() => verifyToken(`${Buffer.from(canonicalJson(widened)).toString('base64url')}.${TAIL}`, judgeOf(world()), NOW), { code: 'KALI_ERR_TOKEN_REFUSED' })
  t.throws(() => issueToken({ ...good, verbs: ['vm:read+vm:delete'] }, signer), { code: 'KALI_ERR_TRUST_INVALID' })
  t.throws(() => issueToken({ ...good, groups: Array.from({ length: LIMITS.userGroupsMax }, (_, i) => `${'g'.repeat(100)}${i}`) }, signer), { code: 'KALI_ERR_TRUST_INVALID' }, 'larger than a token may be')
  t.equal(problemOf(good, judgeOf(world()), NOW), undefined)
  t.end()
})

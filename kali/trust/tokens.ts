// Tokens: what a node says of a user, signed with its certified key, believed anywhere in the fabric without asking. Pure.
//
//   token := base64url(canonical JSON of TokenClaims) "." base64url(signature)
//
// One form only: no algorithm to negotiate, no header, no spare encoding (a text that does not come out the same when written
// again is refused, so duplicate fields, spaces and padding are). Judged in this order: size, form, shape, signature, signer,
// fabric, audience, time, epochs, user. A good token is never by itself a yes: what the user may is what rules say now.
//
// Clocks: a minute of difference is forgiven. A node whose clock is further ahead refuses tokens as expired, one further behind as
// not begun: both keep people out. One that is N behind takes what expired up to N ago, from whoever has the holder's
// key too; revocation and rotation go by epochs, not by time, and hold there as well.
// Source: reliability.md 4.3.

import { LIMITS } from '../../fabric/base.ts'
import type { NodeId } from '../../fabric/base.ts'
import type { CertifiedSigner } from '../../fabric/mod.ts'
import { canonicalJson, integer, list, object, ShapeError, text } from '../../functions/mod.ts'
import type { Reader } from '../../functions/mod.ts'
import { KALI } from '../errors.ts'
import type { TokenClaims, TrustSettings, UserRecord, VerifiedToken } from './contract.ts'
import { groupName, nodeId, pattern, userName } from './records.ts'

const PURPOSE = 'kumoi token 1\0'
const EPOCH_MAX = 1_000_000_000
const one: Reader<1> = (value, path) => {
  if (value !== 1) throw new ShapeError(`${path} is not 1`)
  return 1
}
const SHAPE = object<TokenClaims>({
  v: one,
  id: text({ like: /^[0-9a-f]{32}$/, charsMax: 32 }), fabric: nodeId, issuer: nodeId, user: userName, groups: list(groupName, LIMITS.userGroupsMax),
  holder: text({ like: /^[0-9a-f]{64}$/, charsMax: 64 }), audience: list(nodeId, LIMITS.tokenAudienceMax), verbs: list(pattern, LIMITS.tokenVerbsMax), budgetCalls: integer(1, LIMITS.tokenCallsMax),
  userEpoch: integer(0, EPOCH_MAX), tokenEpoch: integer(0, EPOCH_MAX), issuedAtMs: integer(0, Number.MAX_SAFE_INTEGER), expiresAtMs: integer(0, Number.MAX_SAFE_INTEGER), renewableUntilMs: integer(0, Number.MAX_SAFE_INTEGER),
}, ['budgetCalls'])

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })
const statement = (claims: string): Uint8Array => encoder.encode(PURPOSE + claims)

/** Throws TRUST_INVALID for claims that nobody would accept. */
export function issueToken(claims: TokenClaims, signer: Pick<CertifiedSigner, 'node' | 'sign'>): string {
  const json = canonicalJson(claims)
  try {
    SHAPE(JSON.parse(json) as unknown, 'it')
  } catch (error) {
    throw KALI.TRUST_INVALID({ what: 'a token', expected: 'within its bounds', got: error instanceof ShapeError ? error.message : String(error) })
  }
  const token = `${Buffer.from(json).toString('base64url')}.${Buffer.from(signer.sign(statement(json)), 'hex').toString('base64url')}`
  if (token.length > LIMITS.tokenCharsMax) throw KALI.TRUST_INVALID({ what: 'a token', expected: `at most ${LIMITS.tokenCharsMax} characters (narrow it to fewer nodes or rights)`, got: String(token.length) })
  return token
}

/** What a node knows that judges a token. */
export interface TokenJudge {
  readonly verify: CertifiedSigner['verify']
  readonly fabric: NodeId
  readonly node: NodeId
  readonly settings: () => TrustSettings
  readonly user: (name: string) => UserRecord | undefined
  readonly revokedNode: (node: NodeId) => object | undefined
}

const refused = (reason: string): Error => KALI.TOKEN_REFUSED({ reason })

/** Throws TOKEN_REFUSED, USER_REVOKED. */
export function verifyToken(token: unknown, judge: TokenJudge, wallMs: number): VerifiedToken {
  const claims = readToken(token, judge.verify)
  const problem = problemOf(claims, judge, wallMs)
  if (problem !== undefined) throw problem
  return { claims, principal: principalOf(claims) }
}

/** What a signed token says, whoever it is for; the signature is checked. Throws TOKEN_REFUSED. */
export function readToken(token: unknown, verify: CertifiedSigner['verify']): TokenClaims {
  if (typeof token !== 'string' || token.length === 0) throw refused('it is no text')
  if (token.length > LIMITS.tokenCharsMax) throw refused(`it has ${token.length} characters`)
  const [head, tail] = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/.exec(token)?.slice(1) ?? []
  if (head === undefined || tail === undefined) throw refused('it is not in the form of a token')
  const body = Buffer.from(head, 'base64url'), signature = Buffer.from(tail, 'base64url')
  if (body.toString('base64url') !== head || signature.toString('base64url') !== tail) throw refused('it is not in the form of a token')
  let json: string, claims: TokenClaims
  try {
    json = decoder.decode(body)
    claims = SHAPE(JSON.parse(json) as unknown, 'it')
  } catch (error) {
    throw refused(error instanceof ShapeError ? `what it says cannot be: ${error.message}` : 'it cannot be read')
  }
  if (canonicalJson(claims) !== json) throw refused('it is not written as tokens are')
  if (!verify(claims.issuer, statement(json), signature.toString('hex'))) throw refused('it was not signed by a node of this fabric, or it was altered')
  return claims
}

/** Why claims do not hold here and now; also asked again of live sessions. */
export function problemOf(claims: TokenClaims, judge: TokenJudge, wallMs: number): Error | undefined {
  const { fabric, audience, issuer, issuedAtMs, expiresAtMs, renewableUntilMs, userEpoch, tokenEpoch } = claims
  if (fabric !== judge.fabric) return refused('it is of another fabric')
  if (judge.revokedNode(issuer) !== undefined) return refused('the node that signed it was revoked')
  if (audience.length > 0 && !audience.includes(judge.node)) return refused('it is not for this node')
  if (expiresAtMs <= issuedAtMs || expiresAtMs - issuedAtMs > LIMITS.tokenLifeMsMax) return refused('it lives longer than a token may')
  if (renewableUntilMs < expiresAtMs || renewableUntilMs - issuedAtMs > LIMITS.loginAgeMsMax) return refused('it can be renewed for longer than a token may')
  if (wallMs + LIMITS.tokenSkewMs < issuedAtMs) return refused('it has not begun; the clocks of the nodes differ')
  if (wallMs >= expiresAtMs + LIMITS.tokenSkewMs) return refused('it has expired')
  if (tokenEpoch < judge.settings().tokenEpoch) return refused('all tokens of its time were ended (`kumoi key rotate`)')
  const user = judge.user(claims.user)
  if (user === undefined) return refused(`this node knows no user ${claims.user}`)
  if (user.state === 'revoked') return KALI.USER_REVOKED({ user: user.name })
  if (userEpoch < user.epoch) return refused(`the tokens of ${user.name} of that time were ended`)
  return undefined
}

/** "user:alice", "user:alice/vm:read+vm:start". */
export const principalOf = ({ user, verbs }: Pick<TokenClaims, 'user' | 'verbs'>): string => `user:${user}${verbs.length === 0 ? '' : `/${verbs.join('+')}`}`

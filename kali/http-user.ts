// Who sends an HTTP request: the holder of this node's own token (http-token.ts), or a user with a token of the fabric and a proof
// that it is his (http-proof.ts). What he may then is asked as everywhere, by his principal.
//
// Order of judgement, cheapest first: form, the token's signature and claims, the body (bounded), the proof, its newness, the
// number of calls that the token is good for. Nothing of an unproved request changes anything here, but the audit.

import { errorCode, LIMITS } from '../fabric/base.ts'
import type { Clock } from '../fabric/base.ts'
import type { AuditLog } from '../rmo/mod.ts'
import { KALI } from './errors.ts'
import { PROOF_HEADER, proofHolds, readProof, ReplayWindow } from './http-proof.ts'
import type { ProvedRequest, ReplayVerdict } from './http-proof.ts'
import type { TokenClaims } from './trust/contract.ts'
import { verifyToken } from './trust/tokens.ts'
import type { TokenJudge } from './trust/tokens.ts'

export interface HttpUsersOptions {
  readonly judge: TokenJudge
  /** Whether anything is known of users and roles yet. */
  readonly known: () => boolean
  /** Counts a call of a token with a budget; the error when it is used up. */
  readonly spend: (claims: TokenClaims) => Error | undefined
  readonly audit: Pick<AuditLog, 'refused'>
  readonly clock: Clock
}

export interface HttpRequestHead { readonly token: string; readonly proof: unknown; readonly host: string; readonly method: string; readonly target: string; readonly trace: string }

export interface HttpUsers {
  /** "user:alice/vm:read". `body` is asked for once the token has been found good. Rejects with TOKEN_REFUSED, USER_REVOKED, TRUST_AWAY, TOKEN_SPENT, and as `body` does. */
  identify(head: HttpRequestHead, body: () => Promise<Uint8Array>): Promise<string>
}

const REFUSED: Readonly<Record<Exclude<ReplayVerdict, 'new'>, string>> = {
  seen: 'this request was sent before', old: 'its proof is too old, or the clocks differ', early: 'its proof is of a later time: the clocks differ',
  full: 'more requests were sent with it than one node takes in a minute',
}

/** A token of the fabric has a dot, the node's own has none. */
export const isUserToken = (token: string): boolean => token.includes('.')

export function createHttpUsers({ judge, known, spend, audit, clock }: HttpUsersOptions): HttpUsers {
  const window = new ReplayWindow({ skewMs: LIMITS.httpProofSkewMs, entriesMax: LIMITS.httpProofsMax, perTokenMax: LIMITS.httpProofsPerTokenMax })
  const refused = (reason: string): Error => KALI.TOKEN_REFUSED({ reason })

  async function judged({ token, proof: header, host, method, target }: HttpRequestHead, body: () => Promise<Uint8Array>): Promise<string> {
    if (!known()) throw KALI.TRUST_AWAY({})
    const { claims, principal } = verifyToken(token, judge, clock.wallMs())
    const proof = readProof(header)
    if (proof === undefined) throw refused(`its holder did not sign the request (header ${PROOF_HEADER}; \`kumoi token\` makes one)`)
    const request: ProvedRequest = { host, method, target, token, body: await body() }
    if (!proofHolds(claims.holder, request, proof)) throw refused('its holder did not sign this request')
    const verdict = window.take(claims.id, proof, clock.wallMs())
    if (verdict !== 'new') throw refused(REFUSED[verdict])
    const spent = spend(claims)
    if (spent !== undefined) throw spent
    return principal
  }

  return {
    async identify(head, body) {
      try {
        return await judged(head, body)
      } catch (error) {
        audit.refused({ operation: '', trace: head.trace, principal: 'http', verb: 'present', object: '' }, errorCode(error) ?? 'failed')
        throw error
      }
    },
  }
}

// From a password to a token, and from a token to the next one.
//
//   login: bounds -> directory -> audit intent -> user's record (one write) -> token -> audit outcome
//   renew: the session's claims, judged anew -> token with a later end, never later than renewableUntilMs
//
// Invariants: the password goes to the directory and nowhere else, no message or record has it; which of name and password was
// wrong is told nobody; a token is issued only after the record that it rests on is seen by this node's view. A renewed token
// is never wider than the old one: rights, nodes and holder are copied, a number of calls is not renewable.

import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Clock, NodeId, Random } from '../../fabric/base.ts'
import type { CertifiedSigner } from '../../fabric/mod.ts'
import type { AuditLog, RightPattern } from '../../rmo/mod.ts'
import { KALI } from '../errors.ts'
import type { TrustBook } from './book.ts'
import type { TokenClaims, UserRecord } from './contract.ts'
import type { Directory } from './directory.ts'
import { canonicalUserName } from './names.ts'
import { canonicalPatterns } from './patterns.ts'
import { issueToken, problemOf } from './tokens.ts'
import type { TokenJudge } from './tokens.ts'
import { LoginTries } from './tries.ts'
import type { NodeTrustView } from './view.ts'

export interface LoginWishes {
  /** Narrowing; empty: all that the user may. */
  readonly verbs: readonly RightPattern[]
  /** Nodes that may take it; empty: all. */
  readonly audience: readonly NodeId[]
  readonly calls?: number
  /** Bound on the whole login, renewals and all. */
  readonly lifeMs?: number
}
export interface LoginRequest { readonly user: string; readonly password: string; /** Hex. */ readonly holder: string; readonly wishes: LoginWishes }
export interface Issued { readonly token: string; readonly claims: TokenClaims }

/** Who asks, for the audit. */
export interface Asker { readonly principal: string; readonly trace: string; readonly signal: AbortSignal }

export interface LoginsOptions {
  readonly view: NodeTrustView
  readonly book: Pick<TrustBook, 'login'>
  readonly directory: Directory
  readonly signer: CertifiedSigner
  readonly judge: TokenJudge
  readonly audit: AuditLog
  readonly clock: Clock
  readonly random: Random
}

export interface Logins {
  /** Throws LOGIN_REFUSED, LOGIN_LATER, USER_REVOKED, DIRECTORY_AWAY, DIRECTORY_NONE, TRUST_AWAY, TRUST_INVALID, RMO_ERR_AUDIT_UNAVAILABLE. */
  login(request: LoginRequest, asker: Asker): Promise<Issued>
  /** Throws TOKEN_REFUSED, USER_REVOKED. */
  renew(claims: TokenClaims): Issued
}

const ID_BYTES = 16

export function createLogins({ view, book, directory, signer, judge, audit, clock, random }: LoginsOptions): Logins {
  const tries = new LoginTries()
  const id = (): string => Buffer.from(random.bytes(ID_BYTES)).toString('hex')

  const issue = (user: UserRecord, given: Pick<TokenClaims, 'holder' | 'audience' | 'verbs' | 'budgetCalls'>, renewableUntilMs: number | 'once', lifeMsMax: number): Issued => {
    const { tokenEpoch, tokenLifeMs } = view.settings()
    const issuedAtMs = clock.wallMs()
    const bound = renewableUntilMs === 'once' ? Infinity : renewableUntilMs
    const expiresAtMs = Math.min(issuedAtMs + Math.min(tokenLifeMs, lifeMsMax), bound)
    const { holder, audience, verbs, budgetCalls } = given
    const claims: TokenClaims = {
      v: 1, id: id(), fabric: judge.fabric, issuer: signer.node, user: user.name, groups: user.groups, holder, audience, verbs, ...(budgetCalls === undefined ? {} : { budgetCalls }),
      userEpoch: user.epoch, tokenEpoch, issuedAtMs, expiresAtMs, renewableUntilMs: renewableUntilMs === 'once' ? expiresAtMs : renewableUntilMs,
    }
    return { token: issueToken(claims, signer), claims }
  }

  return {
    async login({ user, password, holder, wishes }, { principal, trace, signal }) {
      const { verbs, audience, calls, lifeMs } = checked(wishes)
      const name = canonicalUserName(user)
      if (!view.known) throw KALI.TRUST_AWAY({})
      const intent = { operation: id(), trace, principal, verb: 'login', object: `user/${name}` }
      const waitMs = tries.take(name, clock.nowMs())
      if (waitMs > 0) {
        audit.refused(intent, KALI.LOGIN_LATER.code)
        throw KALI.LOGIN_LATER({ seconds: Math.ceil(waitMs / 1_000) })
      }
      let found
      try {
        if (password === '' || Buffer.byteLength(password) > LIMITS.passwordBytesMax) throw KALI.LOGIN_REFUSED({ name })
        found = await directory.authenticate({ name, password }, { signal })
      } catch (error) {
        const code = errorCode(error)
        // Only a wrong password is a try; a directory that is away is not the user's fault.
        if (code !== KALI.LOGIN_REFUSED.code) tries.giveBack(name)
        audit.refused(intent, code ?? 'failed')
        throw error
      }
      tries.giveBack(name)
      if (found.name !== name) throw KALI.LOGIN_REFUSED({ name })
      const end = await audit.begin(intent)
      try {
        const record = await book.login(found)
        const issued = issue(record, { holder, audience, verbs, ...(calls === undefined ? {} : { budgetCalls: calls }) }, calls === undefined ? clock.wallMs() + (lifeMs ?? LIMITS.loginAgeMsMax) : 'once', lifeMs ?? LIMITS.tokenLifeMsMax)
        end({ outcome: 'done' })
        return issued
      } catch (error) {
        const code = errorCode(error) ?? String(error)
        end({ outcome: code === KALI.USER_REVOKED.code ? 'denied' : 'failed', error: code })
        throw error
      }
    },
    renew(claims) {
      const problem = problemOf(claims, judge, clock.wallMs())
      if (problem !== undefined) throw problem
      const user = view.userRecord(claims.user)
      if (user === undefined || claims.budgetCalls !== undefined || claims.renewableUntilMs - clock.wallMs() < LIMITS.tokenLifeMsMin) throw KALI.TOKEN_REFUSED({ reason: 'it cannot be renewed any more' })
      return issue(user, claims, claims.renewableUntilMs, LIMITS.tokenLifeMsMax)
    },
  }
}

/** Throws TRUST_INVALID. */
function checked({ verbs, audience, calls, lifeMs }: LoginWishes): LoginWishes {
  const bad = (what: string, expected: string, got: string): Error => KALI.TRUST_INVALID({ what, expected, got })
  if (verbs.length > LIMITS.tokenVerbsMax) throw bad('the rights', `at most ${LIMITS.tokenVerbsMax}`, String(verbs.length))
  if (verbs.join('+').length > LIMITS.tokenVerbsCharsMax) throw bad('the rights', `at most ${LIMITS.tokenVerbsCharsMax} characters in all`, String(verbs.join('+').length))
  if (audience.length > LIMITS.tokenAudienceMax) throw bad('the nodes', `at most ${LIMITS.tokenAudienceMax}`, String(audience.length))
  if (calls !== undefined && !(Number.isSafeInteger(calls) && calls >= 1 && calls <= LIMITS.tokenCallsMax)) throw bad('the number of calls', `1 to ${LIMITS.tokenCallsMax}`, String(calls))
  if (lifeMs !== undefined && !(Number.isSafeInteger(lifeMs) && lifeMs >= LIMITS.tokenLifeMsMin && lifeMs <= LIMITS.loginAgeMsMax)) throw bad('the time', `${LIMITS.tokenLifeMsMin} to ${LIMITS.loginAgeMsMax} ms`, String(lifeMs))
  return { verbs: canonicalPatterns(verbs), audience: [...new Set(audience)].sort(), ...(calls === undefined ? {} : { calls }), ...(lifeMs === undefined ? {} : { lifeMs }) }
}

// Who a connection is: nobody, the machine's administrator, or a user who has shown a token.
//
//   challenge (drawn here) -> present(token, proof) -> user:NAME until: the token ends un-renewed, the user or the signing node
//   is revoked, tokens are rotated -> the connection is closed, its calls and streams with it
//
// Invariants: a connection is one user's at most, for its life; a challenge is good once, on its connection, for a few seconds;
// what ends a session is asked again with each change of the view, so nothing waits for a timer but time itself. A number of
// calls is counted by token on this node, over all its connections.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock, Random, Timer } from '../../fabric/base.ts'
import type { Caller, LocalConnection, Log, Visitor } from '../../fabric/mod.ts'
import { KALI } from '../errors.ts'
import type { TokenClaims, VerifiedToken } from './contract.ts'
import { isHolder } from './holder.ts'
import { principalOf, problemOf, verifyToken } from './tokens.ts'
import type { TokenJudge } from './tokens.ts'
import { isForUsers, OPEN_METHODS, SESSION_METHODS } from './user-methods.ts'
import type { NodeTrustView } from './view.ts'

export const NOBODY = 'nobody'
const NONCE_BYTES = 32

export interface SessionsOptions {
  readonly judge: TokenJudge
  readonly view: Pick<NodeTrustView, 'known' | 'onChange'>
  /** Of whoever holds the node's own socket. */
  readonly ownPrincipal: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Pick<Log, 'info'>
}

export interface SessionRow { readonly user: string; readonly principal: string; readonly door: LocalConnection['door']; readonly sinceMs: number; readonly expiresAtMs: number }

interface Connection {
  readonly local: LocalConnection
  challenge: { readonly nonce: string; readonly untilMs: number } | undefined
  session: { claims: TokenClaims; principal: string; readonly sinceMs: number; timer: Timer } | undefined
  /** Of a users' socket: until it has shown a token. */
  waiting: Timer | undefined
  failures: number
  over: boolean
}

export interface Sessions {
  admit(local: LocalConnection): Visitor
  /** A fresh nonce; an older one of the connection is void. */
  challenge(caller: Caller): string
  /** Throws TOKEN_REFUSED, USER_REVOKED, TRUST_AWAY. */
  present(caller: Caller, token: unknown, proof: unknown): VerifiedToken
  /** Puts a new token of the same session in the place of its old one. */
  renewed(caller: Caller, claims: TokenClaims): void
  /** Of the session on this connection. */
  claims(caller: Caller): TokenClaims | undefined
  /** A wrong password on this connection; true when it was one too many, and the connection is being closed. */
  failed(caller: Caller): boolean
  /** Counts a call of a token that is good for a number of them, over all doors of this node; the error when it is used up. */
  spend(claims: TokenClaims): (Error & { readonly code: string }) | undefined
  list(): readonly SessionRow[]
  close(): void
}

export function createSessions({ judge, view, ownPrincipal, clock, random, log }: SessionsOptions): Sessions {
  const connections = new Map<Caller, Connection>()
  const budgets = new Map<string, { left: number; readonly untilMs: number }>()

  const of = (caller: Caller): Connection => {
    const connection = connections.get(caller)
    if (connection === undefined || connection.over) throw KALI.LOGIN_NEEDED({ method: 'this' })
    return connection
  }
  const end = (connection: Connection, reason: Error): void => {
    if (connection.over) return
    connection.over = true
    const { session, local } = connection
    const user = session?.claims.user ?? NOBODY
    log.info('a session was ended', { user, door: local.door, reason: reason.message })
    local.close(session === undefined ? reason : KALI.SESSION_ENDED({ user, reason: shortReason(reason) }, { cause: reason }))
  }
  /** Ends it if what its token rests on no longer holds. */
  const ask = (connection: Connection): void => {
    const { session } = connection
    const problem = session === undefined ? undefined : problemOf(session.claims, judge, clock.wallMs())
    if (problem !== undefined) end(connection, problem)
  }
  /** Measured on the monotonic clock: setting the wall clock back does not lengthen it. */
  const until = (connection: Connection, { expiresAtMs }: TokenClaims): Timer =>
    clock.after(Math.max(0, expiresAtMs + LIMITS.tokenSkewMs - clock.wallMs()), () => end(connection, KALI.TOKEN_REFUSED({ reason: 'it has expired' })), { background: true })
  const unsubscribe = view.onChange(() => { for (const connection of [...connections.values()]) ask(connection) })

  const spend = ({ id, budgetCalls, expiresAtMs }: TokenClaims): Error & { readonly code: string } | undefined => {
    if (budgetCalls === undefined) return undefined
    let budget = budgets.get(id)
    if (budget === undefined) {
      const nowMs = clock.wallMs()
      for (const [other, { untilMs }] of budgets) if (untilMs < nowMs) budgets.delete(other)
      // Rather no token with a number of calls than one that is not counted.
      if (budgets.size >= LIMITS.tokenBudgetsMax) return KALI.TOKEN_SPENT({ calls: 0 })
      budgets.set(id, budget = { left: budgetCalls, untilMs: expiresAtMs + LIMITS.tokenSkewMs })
    }
    if (budget.left <= 0) return KALI.TOKEN_SPENT({ calls: budgetCalls })
    budget.left--
    return undefined
  }
  const refuse = (connection: Connection, method: string): (Error & { readonly code: string }) | undefined => {
    const { session, over, local: { door } } = connection
    if (over) return KALI.LOGIN_NEEDED({ method })
    if (session === undefined) return door === 'own' || OPEN_METHODS.has(method) ? undefined : KALI.LOGIN_NEEDED({ method })
    if (SESSION_METHODS.has(method)) return undefined
    return isForUsers(method) ? spend(session.claims) : KALI.NOT_FOR_USERS({ method, who: session.principal })
  }

  return {
    admit(local) {
      const connection: Connection = { local, challenge: undefined, session: undefined, waiting: undefined, failures: 0, over: false }
      connections.set(local.caller, connection)
      if (local.door === 'users') connection.waiting = clock.after(LIMITS.usersPresentMs, () => end(connection, KALI.LOGIN_NEEDED({ method: 'waiting any longer' })), { background: true })
      local.onClose(() => {
        connection.over = true
        connection.waiting?.cancel()
        connection.session?.timer.cancel()
        connections.delete(local.caller)
      })
      return {
        principal: () => (connection.over ? NOBODY : connection.session?.principal ?? (local.door === 'own' ? ownPrincipal : NOBODY)),
        refuse: (method) => refuse(connection, method),
      }
    },
    challenge(caller) {
      const connection = of(caller)
      const nonce = Buffer.from(random.bytes(NONCE_BYTES)).toString('hex')
      connection.challenge = { nonce, untilMs: clock.nowMs() + LIMITS.challengeMs }
      return nonce
    },
    present(caller, token, proof) {
      const connection = of(caller)
      const { challenge } = connection
      connection.challenge = undefined
      if (!view.known) throw KALI.TRUST_AWAY({})
      if (connection.session !== undefined) throw KALI.TOKEN_REFUSED({ reason: `this connection is ${connection.session.principal}'s already` })
      const verified = verifyToken(token, judge, clock.wallMs())
      if (challenge === undefined || clock.nowMs() >= challenge.untilMs) throw KALI.TOKEN_REFUSED({ reason: 'there is no challenge that its holder could have answered, or it is too old' })
      const presentation = { fabric: judge.fabric, node: judge.node, nonce: challenge.nonce, token: String(token) }
      if (typeof proof !== 'string' || !isHolder(verified.claims.holder, presentation, proof)) throw KALI.TOKEN_REFUSED({ reason: 'whoever presented it is not its holder' })
      connection.waiting?.cancel()
      connection.session = { ...verified, sinceMs: clock.wallMs(), timer: until(connection, verified.claims) }
      return verified
    },
    renewed(caller, claims) {
      const connection = of(caller)
      if (connection.session === undefined) return
      connection.session.timer.cancel()
      connection.session = { claims, principal: principalOf(claims), sinceMs: connection.session.sinceMs, timer: until(connection, claims) }
    },
    claims: (caller) => connections.get(caller)?.session?.claims,
    failed(caller) {
      const connection = of(caller)
      if (++connection.failures < LIMITS.loginTriesPerConnection) return false
      // After the answer has left.
      clock.after(0, () => end(connection, KALI.LOGIN_LATER({ seconds: 1 })))
      return true
    },
    spend,
    list: () => [...connections.values()].flatMap(({ session, local: { door } }) => (session === undefined ? [] : [{ user: session.claims.user, principal: session.principal, door, sinceMs: session.sinceMs, expiresAtMs: session.claims.expiresAtMs }])),
    close() {
      unsubscribe()
      for (const { session, waiting } of connections.values()) { session?.timer.cancel(); waiting?.cancel() }
    },
  }
}

/** Without the remedy, which SESSION_ENDED has too. */
const shortReason = (error: Error): string => (error as { readonly details?: { readonly reason?: string } }).details?.reason ?? error.message.replace(/\..*$/s, '')

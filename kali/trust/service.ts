// Methods of a connection: log in, show a token, renew it, ask who one is. All are for local sockets: members of the fabric
// speak for their users by name, and HTTP has its own door.

import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { CallContext, Member, RpcRegistry } from '../../fabric/mod.ts'
import { integer, list, object, ShapeError, text } from '../../functions/mod.ts'
import type { Reader } from '../../functions/mod.ts'
import type { AuditLog } from '../../rmo/mod.ts'
import { KALI } from '../errors.ts'
import type { Logins } from './logins.ts'
import type { Sessions } from './sessions.ts'
import { principalOf } from './tokens.ts'
import type { TokenJudge } from './tokens.ts'
import type { NodeTrustView } from './view.ts'
import { TRUST_METHODS } from './wire.ts'
import type { Challenge, LoginAnswer, LoginBody, WhoAmI } from './wire.ts'

export interface TrustServiceOptions {
  readonly registry: RpcRegistry
  readonly sessions: Sessions
  readonly logins: Logins
  readonly view: NodeTrustView
  readonly judge: TokenJudge
  readonly audit: AuditLog
  readonly members: () => readonly Pick<Member, 'id' | 'name'>[]
  readonly nodeName: () => string
}

const NAME_CHARS_MAX = 128
const name = text({ charsMax: NAME_CHARS_MAX })
const LOGIN = object<LoginBody>({
  user: name, password: text({ charsMax: LIMITS.passwordBytesMax }), holder: text({ like: /^[0-9a-f]{64}$/, charsMax: 64 }),
  verbs: list(text({ charsMax: LIMITS.patternCharsMax }), LIMITS.tokenVerbsMax), nodes: list(name, LIMITS.tokenAudienceMax),
  calls: integer(1, LIMITS.tokenCallsMax), lifeMs: integer(LIMITS.tokenLifeMsMin, LIMITS.loginAgeMsMax),
}, ['calls', 'lifeMs'])
const PRESENT = object<{ readonly token: string; readonly proof: string }>({ token: text({ charsMax: LIMITS.tokenCharsMax }), proof: text({ charsMax: 256 }) })

/** A body as its shape says. Throws TRUST_INVALID, which says what is wrong and never what was given: it may be a password. */
export function bodyOf<T>(shape: Reader<T>, body: unknown): T {
  try {
    return shape(body, 'the message')
  } catch (error) {
    throw KALI.TRUST_INVALID({ what: 'the message', expected: 'of its shape', got: error instanceof ShapeError ? error.message : 'something else' })
  }
}

export function serveTrust({ registry, sessions, logins, view, judge, audit, members, nodeName }: TrustServiceOptions): void {
  const local = (method: string, context: CallContext): void => {
    if (context.caller.via !== 'socket') throw KALI.NOT_FOR_USERS({ method, who: context.principal })
  }
  const idOf = (given: string): string => {
    const found = members().find((member) => member.name === given || member.id === given)
    if (found === undefined) throw KALI.TRUST_INVALID({ what: 'a node', expected: `one of ${members().map((member) => member.name).join(', ')}`, got: JSON.stringify(given) })
    return found.id
  }
  const whoAmI = (context: CallContext, principal = context.principal): WhoAmI => {
    const claims = sessions.claims(context.caller)
    const standing = claims === undefined ? undefined : view.user(claims.user)
    return {
      principal, node: nodeName(), fabric: judge.fabric,
      ...(claims === undefined ? {} : {
        user: {
          name: claims.user, groups: standing?.groups ?? [], roles: standing?.roles ?? [], verbs: claims.verbs, nodes: claims.audience, expiresAtMs: claims.expiresAtMs, renewableUntilMs: claims.renewableUntilMs,
          ...(claims.budgetCalls === undefined ? {} : { calls: claims.budgetCalls }),
        },
      }),
    }
  }
  const answer = ({ token, claims }: ReturnType<Logins['renew']>): LoginAnswer => {
    const { fabric, user, issuedAtMs, expiresAtMs, renewableUntilMs } = claims
    return { token, fabric, user, principal: principalOf(claims), issuedAtMs, expiresAtMs, renewableUntilMs }
  }

  registry.method(TRUST_METHODS.challenge, (_body, context): Challenge => {
    local(TRUST_METHODS.challenge, context)
    return { fabric: judge.fabric, node: judge.node, nonce: sessions.challenge(context.caller) }
  })
  registry.method(TRUST_METHODS.present, (body, context) => {
    local(TRUST_METHODS.present, context)
    try {
      const { token, proof } = bodyOf(PRESENT, body)
      const { principal } = sessions.present(context.caller, token, proof)
      return whoAmI(context, principal)
    } catch (error) {
      audit.refused({ operation: '', trace: context.trace, principal: context.principal, verb: 'present', object: '' }, errorCode(error) ?? 'failed')
      throw error
    }
  })
  registry.method(TRUST_METHODS.login, async (body, context) => {
    local(TRUST_METHODS.login, context)
    const { user, password, holder, verbs, nodes, calls, lifeMs } = bodyOf(LOGIN, body)
    try {
      const wishes = { verbs, audience: nodes.map(idOf), ...(calls === undefined ? {} : { calls }), ...(lifeMs === undefined ? {} : { lifeMs }) }
      return answer(await logins.login({ user, password, holder, wishes }, context))
    } catch (error) {
      if (errorCode(error) === KALI.LOGIN_REFUSED.code) sessions.failed(context.caller)
      throw error
    }
  })
  registry.method(TRUST_METHODS.renew, (_body, context) => {
    const claims = sessions.claims(context.caller)
    if (claims === undefined) throw KALI.LOGIN_NEEDED({ method: TRUST_METHODS.renew })
    const issued = logins.renew(claims)
    sessions.renewed(context.caller, issued.claims)
    return answer(issued)
  })
  registry.method(TRUST_METHODS.whoami, (_body, context) => whoAmI(context))
}

// Methods of administrators: users, roles, rotation, the directory's settings. Each asks the gate for "administer" on the whole
// fabric first, and stands in the audit: intent before, outcome after.

import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import type { CallContext, RpcRegistry } from '../../fabric/mod.ts'
import { flag, list, object, text } from '../../functions/mod.ts'
import type { NodeSecrets } from '../../functions/mod.ts'
import type { AuditLog } from '../../rmo/mod.ts'
import { KALI } from '../errors.ts'
import type { TrustBook } from './book.ts'
import type { LdapSettings, RoleRecord } from './contract.ts'
import { probeLdap } from './ldap-probe.ts'
import { planLdap } from './ldap-settings.ts'
import { canonicalGroupName, canonicalUserName } from './names.ts'
import { canonicalPatterns } from './patterns.ts'
import { bodyOf } from './service.ts'
import type { Sessions } from './sessions.ts'
import type { NodeTrustView } from './view.ts'
import { TRUST_METHODS } from './wire.ts'
import type { RoleRow, TrustShown, UserRow } from './wire.ts'

/** Name of the sealed password of the account that searches. */
export const LDAP_SECRET = 'ldap-bind'

export interface TrustAdminOptions {
  readonly registry: RpcRegistry
  readonly view: NodeTrustView
  readonly book: TrustBook
  readonly sessions: Sessions
  readonly secrets: Pick<NodeSecrets, 'get' | 'set' | 'list' | 'remove'>
  readonly audit: AuditLog
  /** Rejects when the caller may not administer the fabric. `what` for the message: "user.revoke". */
  readonly admit: (what: string, context: CallContext) => void | Promise<void>
  readonly clock: Clock
}

const URL_CHARS_MAX = 1_024
const PEM_CHARS_MAX = 32_768
const one = object<{ readonly name: string }>({ name: text({ charsMax: LIMITS.groupNameCharsMax }) })
const ROLE = object<RoleRecord>({
  name: text({ charsMax: LIMITS.userNameCharsMax }), groups: list(text({ charsMax: LIMITS.groupNameCharsMax }), LIMITS.roleMembersMax),
  users: list(text({ charsMax: LIMITS.userNameCharsMax }), LIMITS.roleMembersMax), patterns: list(text({ charsMax: LIMITS.patternCharsMax }), LIMITS.rolePatternsMax),
})
const line = text({ charsMax: LIMITS.userDnCharsMax })
const LDAP = object<LdapSettings & { readonly password?: string }>({
  url: text({ charsMax: URL_CHARS_MAX }), startTls: flag, ca: text({ charsMax: PEM_CHARS_MAX }), bindDn: line, userBase: line, userFilter: line, groupBase: line, groupFilter: line,
  password: text({ charsMax: LIMITS.passwordBytesMax }),
}, ['ca', 'bindDn', 'groupBase', 'groupFilter', 'password'])
const nothing = (): undefined => undefined
const sorted = (names: readonly string[]): readonly string[] => [...new Set(names)].sort()

export function serveTrustAdmin({ registry, view, book, sessions, secrets, audit, admit, clock }: TrustAdminOptions): void {
  const sessionsOf = (user: string): number => sessions.list().filter((session) => session.user === user).length
  /** A method that only looks. */
  const look = <T>(method: string, answer: (context: CallContext) => T | Promise<T>): void => registry.method(method, async (_body, context) => {
    await admit(method.slice('trust.'.length), context)
    return await answer(context)
  })
  /** A method that changes something. `object` of what, for the audit. */
  const act = <B, T>(method: string, read: (body: unknown) => B, object: (body: B) => string, work: (body: B, context: CallContext) => Promise<T>): void => registry.method(method, async (raw, context) => {
    const verb = method.slice('trust.'.length)
    const { principal, trace } = context
    const body = read(raw)
    const intent = { operation: trace, trace, principal, verb, object: object(body) }
    try {
      await admit(verb, context)
    } catch (error) {
      audit.refused(intent, errorCode(error) ?? 'failed')
      throw error
    }
    const end = await audit.begin(intent)
    try {
      const answer = await work(body, context)
      end({ outcome: 'done' })
      return answer
    } catch (error) {
      end({ outcome: 'failed', error: errorCode(error) ?? String(error) })
      throw error
    }
  })
  const userNamed = (body: unknown): string => canonicalUserName(bodyOf(one, body).name)
  const password = async (context: Pick<CallContext, 'signal'>): Promise<string | undefined> =>
    (await hasPassword()) ? secrets.get({ name: 'ldap', secrets: [LDAP_SECRET] }, LDAP_SECRET, { signal: context.signal }) : undefined
  const hasPassword = async (): Promise<boolean> => (await secrets.list()).some(({ name }) => name === LDAP_SECRET)

  look(TRUST_METHODS.show, async (): Promise<TrustShown> => {
    const { ldap, tokenEpoch, tokenLifeMs } = view.settings()
    return { ldap: ldap ?? null, ldapPassword: await hasPassword(), tokenEpoch, tokenLifeMs, users: view.users().length, roles: view.roles().length, sessions: sessions.list(), revokedNodes: view.revokedNodes() }
  })
  look(TRUST_METHODS.users, (): readonly UserRow[] => view.users().map((user) => ({ ...user, roles: view.user(user.name)?.roles ?? [], sessions: sessionsOf(user.name) })))
  look(TRUST_METHODS.roles, (): readonly RoleRow[] => view.roles())
  act(TRUST_METHODS.revoke, userNamed, (name) => `user/${name}`, async (name) => {
    const ended = sessionsOf(name)
    return { user: await book.revokeUser(name), sessions: ended }
  })
  act(TRUST_METHODS.restore, userNamed, (name) => `user/${name}`, async (name) => ({ user: await book.restoreUser(name), sessions: 0 }))
  act(TRUST_METHODS.setRole, (body): RoleRecord => {
    const { name, groups, users, patterns } = bodyOf(ROLE, body)
    return { name: canonicalUserName(name), groups: sorted(groups.map(canonicalGroupName)), users: sorted(users.map(canonicalUserName)), patterns: canonicalPatterns(patterns) }
  }, ({ name }) => `role/${name}`, (role) => book.setRole(role))
  act(TRUST_METHODS.removeRole, userNamed, (name) => `role/${name}`, async (name) => {
    await book.removeRole(name)
    return null
  })
  act(TRUST_METHODS.rotate, nothing, () => 'trust/settings', async () => {
    const ended = sessions.list().length
    const { tokenEpoch } = await book.changeSettings((now) => ({ ...now, tokenEpoch: now.tokenEpoch + 1 }))
    return { tokenEpoch, sessions: ended }
  })
  act(TRUST_METHODS.ldapSet, (body) => bodyOf(LDAP, body), () => 'trust/settings', async ({ password: word, ...ldap }, { principal, signal }) => {
    planLdap(ldap)
    if (word !== undefined) await secrets.set(LDAP_SECRET, word, principal, { signal })
    else if (ldap.bindDn !== undefined && !(await hasPassword())) throw KALI.TRUST_INVALID({ what: 'the password of the account that searches', expected: 'given with the settings', got: 'nothing' })
    return (await book.changeSettings((now) => ({ ...now, ldap }))).ldap ?? null
  })
  act(TRUST_METHODS.ldapRemove, nothing, () => 'trust/settings', async () => {
    await book.changeSettings(({ ldap: _gone, ...rest }) => rest)
    await secrets.remove(LDAP_SECRET)
    return null
  })
  look(TRUST_METHODS.ldapTest, async (context) => {
    const { ldap } = view.settings()
    if (ldap === undefined) throw KALI.DIRECTORY_NONE({})
    return await probeLdap({ settings: ldap, bindPassword: await password(context), clock, signal: context.signal })
  })
}

// The directory over LDAP (reliability.md 4.4): search-then-bind, TLS before anything else; owner of ldapts.
//
//   name, password -> canonical, not blank -> TLS, certificate checked -> [bind as the account that searches] -> exactly one entry
//                  -> its groups -> bind as its DN, as the directory gave it -> { name, dn, groups }
//
// One connection a login, always closed, with one end of time for all of it. Referrals and references are not followed. ldapts writes
// the questions; what counts as an answer is ldap-wire.ts's, and a question without one is Away, never a yes.

import type { Socket } from 'node:net'
import type { Client } from 'ldapts'
import { LIMITS, errorCode } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import type { Log } from '../../fabric/mod.ts'
import { KALI } from '../errors.ts'
import type { LdapSettings } from './contract.ts'
import type { Credentials, Directory, DirectoryUser } from './directory.ts'
import { Away, connectLdap } from './ldap-connect.ts'
import { planLdap } from './ldap-settings.ts'
import type { LdapPlan } from './ldap-settings.ts'
import { CODE, groupsOf, isHis, theUser } from './ldap-user.ts'
import { LdapWire } from './ldap-wire.ts'
import type { LdapOutcome } from './ldap-wire.ts'
import { canonicalUserName } from './names.ts'

export interface LdapDirectoryOptions {
  /** What is set now; undefined: the fabric has no directory. */
  readonly settings: () => LdapSettings | undefined
  /** Password of the account that searches; asked only where the settings name one. */
  readonly bindPassword: () => Promise<string | undefined>
  readonly clock: Clock
  readonly log: Pick<Log, 'info' | 'warn'>
}

/** One open connection. Each question throws Away where no answer to go by came. */
export interface LdapSession {
  readonly protocol: string
  /** Ends of the server's certificate, as its issuer wrote it. */
  readonly certificateUntil: string
  bind(dn: string, password: string): Promise<LdapOutcome>
  search(base: string, options: { readonly filter: string; readonly attributes: readonly string[]; readonly sizeLimit: number; readonly scope?: 'sub' | 'base' }): Promise<LdapOutcome>
}

/** Whether something is in it that a directory would see: "", spaces and invisible characters are none (RFC 4513 section 5.1.2). */
export function usablePassword(password: string | undefined): password is string {
  return password !== undefined && !/^[\s\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]*$/u.test(password) && !password.includes('\0') && password.isWellFormed() && Buffer.byteLength(password) <= LIMITS.passwordBytesMax
}

/** Connects, runs `use`, closes; all of it ends with `signal`. */
export async function withLdap<T>(plan: LdapPlan, { signal, onReached }: { readonly signal: AbortSignal; readonly onReached?: () => void }, use: (session: LdapSession) => Promise<T>): Promise<T> {
  const { Client } = await import('ldapts')
  const socket = await connectLdap(plan, { signal, ...(onReached === undefined ? {} : { onReached }) })
  const wire = new LdapWire(socket, { bytesMax: LIMITS.directoryAnswerBytesMax })
  const cut = (): void => { wire.destroy() }
  signal.addEventListener('abort', cut, { once: true })
  let given = false
  const client: Client = new Client({
    // Of this only the kind is used: that the connection is made already. It is made once, never anew behind our back.
    url: 'ldap://directory',
    createConnection: () => {
      if (given) throw new Away('the connection ended')
      given = true
      return wire as unknown as Socket
    },
  })
  const ask = async (question: () => Promise<unknown>): Promise<LdapOutcome> => {
    wire.forget()
    const failed = await question().then(() => false, () => true)
    signal.throwIfAborted()
    const { outcome } = wire
    if (outcome === undefined || (failed && outcome.code === CODE.success)) throw new Away(wire.broken ?? 'its answer could not be read')
    return outcome
  }
  try {
    signal.throwIfAborted()
    return await use({
      protocol: socket.getProtocol() ?? '',
      certificateUntil: socket.getPeerCertificate().valid_to,
      bind: (dn, password) => ask(() => client.bind(dn, password)),
      search: (base, { filter, attributes, sizeLimit, scope = 'sub' }) => ask(() => client.search(base, { scope, filter, attributes: [...attributes], sizeLimit, timeLimit: LIMITS.directorySearchSeconds, derefAliases: 'never' })),
    })
  } finally {
    signal.removeEventListener('abort', cut)
    wire.destroy()
  }
}

/** Binds as the account that searches; without one the connection stays anonymous. Throws Away, or KALI_ERR_DIRECTORY_SETTINGS. */
export async function bindToSearch(plan: LdapPlan, session: LdapSession, password: string | undefined): Promise<void> {
  if (plan.bindDn === undefined) return
  if (!usablePassword(password)) throw KALI.DIRECTORY_SETTINGS({ what: 'the password of the account that searches', expected: 'set, and not blank' })
  const { code } = await session.bind(plan.bindDn, password)
  if (code !== CODE.success) throw new Away(`it refused the account that searches, ${plan.bindDn} (code ${code})`)
}

/** Runs `work` with one end of time for all of it; what is Away becomes KALI_ERR_DIRECTORY_AWAY. */
export async function inTime<T>(plan: LdapPlan, { clock, signal }: { readonly clock: Clock; readonly signal?: AbortSignal | undefined }, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const ending = new AbortController()
  const timer = clock.after(LIMITS.directoryLoginMs, () => ending.abort(), { background: true })
  const all = signal === undefined ? ending.signal : AbortSignal.any([ending.signal, signal])
  const ended = Promise.withResolvers<never>()
  const end = (): void => ended.reject(all.reason)
  all.addEventListener('abort', end, { once: true })
  try {
    all.throwIfAborted()
    return await Promise.race([work(all), ended.promise])
  } catch (error) {
    if (errorCode(error)?.startsWith('KALI_ERR_')) throw error
    const reason = signal?.aborted === true ? 'the login was given up' : ending.signal.aborted ? `it did not answer within ${LIMITS.directoryLoginMs} ms` : error instanceof Away ? error.message : undefined
    if (reason === undefined) throw error
    throw KALI.DIRECTORY_AWAY({ url: plan.url, reason })
  } finally {
    all.removeEventListener('abort', end)
    timer.cancel()
  }
}

/** A directory of the settings as they are at each login. Errors: as Directory says; what is wrong with settings as they stand, too. */
export function createLdapDirectory({ settings, bindPassword, clock, log }: LdapDirectoryOptions): Directory {
  let underWay = 0

  /** The one message for all who are not let in, never sooner than the bound; the reason is the log's. */
  async function refuse(name: string, reason: string, sinceMs: number, signal: AbortSignal | undefined): Promise<never> {
    log.warn('login refused', { user: name, reason })
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = clock.after(Math.max(0, sinceMs + LIMITS.directoryRefusalMs - clock.nowMs()), resolve)
    signal?.addEventListener('abort', () => resolve(), { once: true })
    if (signal?.aborted === true) resolve()
    await promise
    timer.cancel()
    throw KALI.LOGIN_REFUSED({ name })
  }

  async function ask(plan: LdapPlan, { name, password }: Credentials, signal: AbortSignal): Promise<DirectoryUser | { readonly refused: string }> {
    const searcher = plan.bindDn === undefined ? undefined : await bindPassword()
    return withLdap(plan, { signal }, async (session) => {
      await bindToSearch(plan, session, searcher)
      const found = theUser(plan, name, await session.search(plan.userBase(name), { filter: plan.userFilter(name), attributes: [plan.nameAttribute, 'memberOf'], sizeLimit: 2 }))
      if (!found.ok) return { refused: found.reason }
      const entry = found.value
      const search = plan.groupSearch?.(name, entry.dn)
      const groups = search === undefined ? undefined : await session.search(search.base, { filter: search.filter, attributes: ['1.1'], sizeLimit: LIMITS.userGroupsMax })
      // Last on this connection, so that nothing is asked as the user; what is odd about his groups, only who knows his password hears.
      const his = isHis(await session.bind(entry.dn, password))
      if (!his.ok) return { refused: his.reason }
      const { groups: names, leftOut } = groupsOf(plan, entry, groups)
      if (leftOut > 0) log.info('groups left out: not below the group base, or of names that no rule can name', { user: name, groups: leftOut })
      return { name, dn: entry.dn, groups: names }
    })
  }

  return {
    async authenticate(credentials, { signal } = {}) {
      const sinceMs = clock.nowMs()
      const name = canonicalUserName(credentials.name)
      const set = settings()
      if (set === undefined) throw KALI.DIRECTORY_NONE({})
      const plan = planLdap(set)
      if (!usablePassword(credentials.password)) return refuse(name, 'no password that could be sent', sinceMs, signal)
      if (underWay >= LIMITS.directoryLoginsMax) throw KALI.DIRECTORY_AWAY({ url: plan.url, reason: `${underWay} logins are under way on this node` })
      underWay++
      let answer: Awaited<ReturnType<typeof ask>>
      try {
        answer = await inTime(plan, { clock, signal }, (all) => ask(plan, { name, password: credentials.password }, all))
      } catch (error) {
        log.warn('the directory could not be asked', { user: name, reason: error instanceof Error ? error.message : String(error) })
        throw error
      } finally {
        underWay--
      }
      return 'refused' in answer ? refuse(name, answer.refused, sinceMs, signal) : answer
    },
  }
}

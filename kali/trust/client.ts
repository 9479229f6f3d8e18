// Trust as a shell or a program has it: shows its login on a connection, keeps it fresh while work goes on, and the methods of
// users and administrators (`dc.trust`). Loads nothing that only a node needs.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock, Timer } from '../../fabric/base.ts'
import type { CallOptions, RpcPeer } from '../../fabric/mod.ts'
import { KALI } from '../errors.ts'
import { proveRequest } from '../http-proof.ts'
import type { LdapSettings, RoleRecord, UserRecord } from './contract.ts'
import { makeHolderKeys, proveHolder } from './holder.ts'
import { readLogin, removeLogin, writeLogin } from './login-file.ts'
import type { LoginFile } from './login-file.ts'
import { NODE_METHODS } from './node-wire.ts'
import type { AdmitNodeAnswer, RevokedNodeRow } from './node-wire.ts'
import { TRUST_METHODS } from './wire.ts'
import type { Challenge, LdapStep, LoginAnswer, LoginBody, RoleRow, TrustShown, UserRow, WhoAmI } from './wire.ts'

type Caller = Pick<RpcPeer, 'call' | 'onClose'>

export interface LoginOptions extends Omit<LoginBody, 'holder' | 'verbs' | 'nodes'> { readonly verbs?: readonly string[]; readonly nodes?: readonly string[] }

export interface TrustApi {
  whoAmI(): Promise<WhoAmI>
  /** Asks the directory, and keeps the token in the config directory for the next connections; this one stays as it is. */
  login(options: LoginOptions): Promise<Omit<LoginAnswer, 'token'>>
  /** Forgets the login for this fabric; whether there was one. */
  logout(): Promise<boolean>
  show(): Promise<TrustShown>
  users(): Promise<readonly UserRow[]>
  /** `sessions`: how many of this node were ended. */
  revokeUser(name: string): Promise<{ readonly user: UserRecord; readonly sessions: number }>
  restoreUser(name: string): Promise<{ readonly user: UserRecord; readonly sessions: number }>
  roles(): Promise<readonly RoleRow[]>
  setRole(role: RoleRecord): Promise<RoleRecord>
  removeRole(name: string): Promise<void>
  /** Ends all tokens of the fabric. */
  rotate(): Promise<{ readonly tokenEpoch: number; readonly sessions: number }>
  setLdap(settings: LdapSettings, password?: string): Promise<LdapSettings>
  removeLdap(): Promise<void>
  testLdap(): Promise<readonly LdapStep[]>
  /** Cuts a node off everywhere: by name, id, or key. */
  revokeNode(node: string, reason?: string): Promise<RevokedNodeRow>
  /** Takes that back; or a ticket for a key that is no member's. */
  admitNode(node: string, options?: { readonly lifetimeMs?: number }): Promise<AdmitNodeAnswer>
  revokedNodes(): Promise<readonly RevokedNodeRow[]>
  /** Headers that make one HTTP request the user's (http-proof.ts). Throws LOGIN_NEEDED. */
  signRequest(request: { readonly url: string; readonly method: string; readonly body: Uint8Array }): Promise<Readonly<Record<string, string>>>
}

/** Shows the login that lies in `config` for the fabric of this node; undefined when there is none. Throws what the node answers, LOGIN_FILE. */
export async function presentLogin(peer: Caller, { config, clock, callOptions }: { readonly config: string; readonly clock: Clock; readonly callOptions: () => CallOptions }): Promise<WhoAmI | undefined> {
  const { fabric, node, nonce } = await peer.call(TRUST_METHODS.challenge, null, callOptions()) as Challenge
  const login = await readLogin(config, fabric)
  if (login === undefined) return undefined
  const { token } = login
  const who = await peer.call(TRUST_METHODS.present, { token, proof: proveHolder(login.privateKey, { fabric, node, nonce, token }) }, callOptions()) as WhoAmI
  keepFresh(peer, login, { config, clock })
  return who
}

/** New tokens below half of the life of each, as long as the connection and the login last. */
function keepFresh(peer: Caller, first: LoginFile, { config, clock }: { readonly config: string; readonly clock: Clock }): void {
  let timer: Timer | undefined
  const plan = (login: LoginFile): void => {
    const { issuedAtMs, expiresAtMs, renewableUntilMs } = login
    if (renewableUntilMs <= expiresAtMs) return
    const dueMs = issuedAtMs + (expiresAtMs - issuedAtMs) / 2 - clock.wallMs()
    timer = clock.after(Math.max(0, dueMs), () => void renew(login), { background: true })
  }
  const renew = async (login: LoginFile): Promise<void> => {
    try {
      const answer = await peer.call(TRUST_METHODS.renew, null, { timeoutMs: LIMITS.callTimeoutMs }) as LoginAnswer
      const { token, issuedAtMs, expiresAtMs, renewableUntilMs } = answer
      const next = { ...login, token, issuedAtMs, expiresAtMs, renewableUntilMs }
      await writeLogin(config, next)
      plan(next)
    } catch {
      // The token that there is stays good until its end; the connection then says why.
    }
  }
  peer.onClose(() => timer?.cancel())
  plan(first)
}

export function createTrustApi({ peer, config, clock, callOptions }: { readonly peer: Caller; readonly config: string; readonly clock: Pick<Clock, 'wallMs'>; readonly callOptions: () => CallOptions }): TrustApi {
  const ask = async <T>(method: string, body: unknown = null): Promise<T> => await peer.call(method, body, callOptions()) as T
  return {
    whoAmI: () => ask(TRUST_METHODS.whoami),
    async login({ user, password, verbs = [], nodes = [], calls, lifeMs }) {
      const keys = makeHolderKeys()
      const body: LoginBody = { user, password, holder: keys.publicKey, verbs, nodes, ...(calls === undefined ? {} : { calls }), ...(lifeMs === undefined ? {} : { lifeMs }) }
      const { token, ...answer } = await ask<LoginAnswer>(TRUST_METHODS.login, body)
      await writeLogin(config, { v: 1, token, privateKey: keys.privateKey, ...answer })
      return answer
    },
    async logout() {
      const { fabric } = await ask<Challenge>(TRUST_METHODS.challenge)
      return removeLogin(config, fabric)
    },
    show: () => ask(TRUST_METHODS.show),
    users: () => ask(TRUST_METHODS.users),
    revokeUser: (name) => ask(TRUST_METHODS.revoke, { name }),
    restoreUser: (name) => ask(TRUST_METHODS.restore, { name }),
    roles: () => ask(TRUST_METHODS.roles),
    setRole: (role) => ask(TRUST_METHODS.setRole, role),
    removeRole: async (name) => { await ask(TRUST_METHODS.removeRole, { name }) },
    rotate: () => ask(TRUST_METHODS.rotate),
    setLdap: (settings, password) => ask(TRUST_METHODS.ldapSet, { ...settings, ...(password === undefined ? {} : { password }) }),
    removeLdap: async () => { await ask(TRUST_METHODS.ldapRemove) },
    testLdap: () => ask(TRUST_METHODS.ldapTest),
    revokeNode: (node, reason = '') => ask(NODE_METHODS.revoke, { node, reason }),
    admitNode: (node, options = {}) => ask(NODE_METHODS.admit, { node, ...options }),
    revokedNodes: () => ask(NODE_METHODS.revoked),
    async signRequest({ url, method, body }) {
      const { fabric } = await ask<Challenge>(TRUST_METHODS.challenge)
      const login = await readLogin(config, fabric)
      if (login === undefined) throw KALI.LOGIN_NEEDED({ method: 'a request over HTTP' })
      const { host, pathname, search } = new URL(url)
      const proof = proveRequest(login.privateKey, { host, method, target: `${pathname}${search}`, token: login.token, body }, clock.wallMs())
      return { Authorization: `Bearer ${login.token}`, 'Kumoi-Proof': proof }
    },
  }
}

// What the tests of LDAP servers that are wrong share: certificates made once a file, a login, and what became of it.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { errorCode, systemClock } from '../../../fabric/base.ts'
import type { Clock } from '../../../fabric/base.ts'
import type { LdapSettings } from '../../../kali/trust/contract.ts'
import type { Directory } from '../../../kali/trust/directory.ts'
import { createLdapDirectory } from '../../../kali/trust/ldap.ts'
import { OPERATION } from '../../../kali/trust/ldap-message.ts'
import { honest, message, result, startLdapServer } from '../../support/ldap-server.ts'
import type { Answers, LdapServer, LdapServerOptions } from '../../support/ldap-server.ts'
import { makeCertificates } from '../../support/slapd.ts'
import type { CertificateKind, Certificates } from '../../support/slapd.ts'

export const REFUSED = 'KALI_ERR_LOGIN_REFUSED', AWAY = 'KALI_ERR_DIRECTORY_AWAY'
/** Bounds of time come twenty times sooner: for servers that hang. */
export const hasty: Clock = { ...systemClock, after: (delayMs, callback, options) => systemClock.after(delayMs / 20, callback, options) }

const folder = mkdtempSync(join(tmpdir(), 'kumoi-ldap-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const made = new Map<CertificateKind, Certificates>()
export const certificatesOf = (kind: CertificateKind): Certificates => {
  const those = made.get(kind) ?? makeCertificates(folder, kind)
  made.set(kind, those)
  return those
}

export const settingsOf = (port: number, more: Partial<LdapSettings> = {}): LdapSettings => ({ url: `ldaps://127.0.0.1:${port}`, startTls: false, ca: certificatesOf('good').ca, userBase: 'dc=lab', userFilter: '(uid={name})', ...more })
export const overStartTls = (port: number): Partial<LdapSettings> => ({ url: `ldap://127.0.0.1:${port}`, startTls: true })
export const directoryOf = (settings: LdapSettings, clock: Clock = systemClock): Directory => createLdapDirectory({ settings: () => settings, bindPassword: async () => undefined, clock, log: { info() {}, warn() {} } })
export const login = { name: 'alice', password: 'alice-secret' }
export const serverOf = (t: Pick<Test, 'teardown'>, answers: Answers, more: Partial<LdapServerOptions> = {}): Promise<LdapServer> => startLdapServer(t, { certificates: certificatesOf('good'), answers, ...more })

export interface Became { readonly code: string | undefined; readonly message: string; readonly passwords: readonly string[] }
export const became = (directory: Directory): Promise<Omit<Became, 'passwords'>> => directory.authenticate(login).then(() => ({ code: 'accepted', message: '' }), (error: Error) => ({ code: errorCode(error), message: error.message }))
/** One server for one login. */
export async function outcomeOf(t: Pick<Test, 'teardown'>, answers: Answers, { clock, server: options, settings }: { readonly clock?: Clock; readonly server?: Partial<LdapServerOptions>; readonly settings?: (port: number) => Partial<LdapSettings> } = {}): Promise<Became> {
  const server = await serverOf(t, answers, options)
  return { ...await became(directoryOf(settingsOf(server.port, settings?.(server.port)), clock)), passwords: server.passwords }
}

/** The honest server, with another answer to one kind of question. */
export const except = (operation: number, answer: (id: number) => Uint8Array | undefined): Answers => (question) => question.operation === operation ? answer(question.id) : honest(question)
export const bindSays = (answer: (id: number) => Uint8Array | undefined): Answers => except(OPERATION.bind, answer)
export const searchSays = (...answers: readonly Uint8Array[]): Answers => except(OPERATION.search, (id) => Buffer.concat(answers.map((each) => message(id, each))))
export const each = <T>(cases: readonly T[], run: (of: T) => Promise<unknown>): Promise<unknown> => Promise.all(cases.map(run))
export const done = result(OPERATION.searchDone, 0)
export const yes = result(OPERATION.bindResponse, 0)

// Settings of the directory, checked and taken apart: what may not be refused at a login is refused when it is set.
//
// There is no way without TLS: ldaps://, or ldap:// with StartTLS. The name in the user's entry is read from the attribute that
// userFilter compares with {name}; it must say what was typed (ldap.ts). Pure.

import { X509Certificate } from 'node:crypto'
import { LIMITS } from '../../fabric/base.ts'
import { KALI } from '../errors.ts'
import type { LdapSettings } from './contract.ts'
import { escapeDn, escapeFilter, parseDn } from './ldap-text.ts'
import type { Rdn } from './ldap-text.ts'

/** Settings as a login uses them. */
export interface LdapPlan {
  /** As in the settings: for messages. */
  readonly url: string
  readonly host: string
  readonly port: number
  /** TLS from the first byte, or after a request on the plain connection and before anything else. */
  readonly tls: 'from-the-start' | 'start-tls'
  readonly ca: string | undefined
  readonly bindDn: string | undefined
  /** Attribute that holds a user's name, in lower case: "uid". */
  readonly nameAttribute: string
  userBase(name: string): string
  /** Whether the search is in a place that the name decides: that it is not there says that he is unknown. */
  readonly userBaseNamed: boolean
  userFilter(name: string): string
  /** Groups below this count only; undefined: all that memberOf names. */
  readonly groupBase: readonly Rdn[] | undefined
  /** Undefined: memberOf only. */
  readonly groupSearch: undefined | ((name: string, dn: string) => { readonly base: string; readonly filter: string })
}

const refuse = (what: string, expected: string): Error => KALI.DIRECTORY_SETTINGS({ what, expected })
const filled = (template: string, values: Readonly<Record<string, string>>): string => template.replace(/\{(name|dn)\}/g, (_, key: string) => values[key] ?? '')

/** Errors: KALI_ERR_DIRECTORY_SETTINGS, naming the field. */
export function planLdap(settings: LdapSettings): LdapPlan {
  const { host, port, tls } = planUrl(settings)
  checkCa(settings.ca)
  for (const [what, text] of Object.entries({ 'the bind DN': settings.bindDn, 'the user base': settings.userBase, 'the user filter': settings.userFilter, 'the group base': settings.groupBase, 'the group filter': settings.groupFilter })) {
    if (text !== undefined && (text.length > LIMITS.directoryTextCharsMax || /\p{Cc}/u.test(text))) throw refuse(what, `at most ${LIMITS.directoryTextCharsMax} characters without control characters`)
  }
  if (settings.bindDn !== undefined) checkDn('the bind DN', settings.bindDn)
  checkDn('the user base', filled(settings.userBase, { name: 'x' }))
  const nameAttribute = checkFilter('the user filter', settings.userFilter, /\(([A-Za-z][A-Za-z0-9-]*)=\{name\}\)/, '(ATTRIBUTE={name})')
  if (settings.userFilter.includes('{dn}')) throw refuse('the user filter', 'without {dn}, which is known only after it')
  return {
    url: settings.url, host, port, tls,
    ca: settings.ca,
    bindDn: settings.bindDn,
    nameAttribute: nameAttribute.toLowerCase(),
    userBase: (name) => filled(settings.userBase, { name: escapeDn(name) }),
    userBaseNamed: settings.userBase.includes('{name}'),
    userFilter: (name) => filled(settings.userFilter, { name: escapeFilter(name) }),
    ...planGroups(settings),
  }
}

function planUrl({ url: text, startTls }: LdapSettings): Pick<LdapPlan, 'host' | 'port' | 'tls'> {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'ldaps:' && url.protocol !== 'ldap:') || url.hostname === '') throw refuse('the URL', 'ldaps://HOST[:PORT], or ldap://HOST[:PORT] with StartTLS')
  if (url.username !== '' || url.password !== '' || (url.pathname !== '' && url.pathname !== '/') || url.search !== '' || url.hash !== '') throw refuse('the URL', 'protocol, host and port only')
  if (url.protocol === 'ldap:' && !startTls) throw refuse('the URL', 'ldaps://, or ldap:// with StartTLS: passwords are not sent in the clear')
  if (url.protocol === 'ldaps:' && startTls) throw refuse('StartTLS', 'left out with ldaps://, which has TLS from the first byte')
  const port = url.port === '' ? (startTls ? 389 : 636) : Number(url.port)
  if (port === 0) throw refuse('the URL', 'a port above 0')
  return { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port, tls: startTls ? 'start-tls' : 'from-the-start' }
}

function checkCa(ca: string | undefined): void {
  if (ca === undefined) return
  // node:tls takes a text without any certificate for "trust nobody", and an empty one for "trust what the machine trusts".
  const blocks = ca.length > LIMITS.directoryCaCharsMax ? null : ca.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
  const readable = (block: string): boolean => { try { return new X509Certificate(block).raw.length > 0 } catch { return false } }
  if (blocks === null || !blocks.every(readable)) throw refuse('the authority', `PEM certificates, at most ${LIMITS.directoryCaCharsMax} characters`)
}

function checkDn(what: string, dn: string): void {
  const names = parseDn(dn)
  if (names === undefined || names.length === 0) throw refuse(what, 'a distinguished name such as ou=people,dc=example,dc=org')
}

/** A filter as ldapts reads it (no spaces between its parts), with the place of the value where it is compared. The first group of `place` is given back. */
function checkFilter(what: string, filter: string, place: RegExp, expected: string): string {
  const found = place.exec(filter)
  if (!balanced(filter)) throw refuse(what, 'a filter in parentheses, without spaces between its parts')
  if (found === null) throw refuse(what, `a filter with ${expected} in it`)
  return found[1] ?? ''
}
function balanced(filter: string): boolean {
  let depth = 0
  for (const [at, char] of [...filter].entries()) {
    if (char === '(') depth++
    if (char === ')') depth--
    if (depth < 0 || (depth === 0 && at < [...filter].length - 1)) return false
  }
  return depth === 0 && filter.startsWith('(') && !/[(&|!)] |\) +[()]/.test(filter)
}

function planGroups({ groupBase, groupFilter }: LdapSettings): Pick<LdapPlan, 'groupBase' | 'groupSearch'> {
  if (groupBase === undefined) {
    if (groupFilter !== undefined) throw refuse('the group filter', 'given together with a group base')
    return { groupBase: undefined, groupSearch: undefined }
  }
  checkDn('the group base', groupBase)
  if (groupBase.includes('{')) throw refuse('the group base', 'one place for everybody, without {name}')
  const below = parseDn(groupBase)
  if (groupFilter === undefined) return { groupBase: below, groupSearch: undefined }
  checkFilter('the group filter', groupFilter, /=\{(?:dn|name)\}\)/, '{dn} or {name} as a value')
  return { groupBase: below, groupSearch: (name, dn) => ({ base: groupBase, filter: filled(groupFilter, { name: escapeFilter(name), dn: escapeFilter(dn) }) }) }
}

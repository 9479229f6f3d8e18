// What a directory's answers say of a user: which entry is his, what he is called, which groups he is in. Pure.
//
// A refusal's reason is for the node's log; whoever logs in hears one message for all. A group's name is the cn of its DN, the same
// way from memberOf and from a search. Groups whose names no rule could name are left out; too many are not cut.
// Groups in groups are followed only where the server does it (a filter with a matching rule, a memberOf that it reckons).

import { LIMITS } from '../../fabric/base.ts'
import { Away } from './ldap-connect.ts'
import type { LdapPlan } from './ldap-settings.ts'
import { isBelow, parseDn } from './ldap-text.ts'
import type { LdapEntry, LdapOutcome } from './ldap-wire.ts'
import { canonicalGroupName, canonicalUserName } from './names.ts'

/** Result codes of RFC 4511 appendix A that we tell apart. */
export const CODE = { success: 0, timeLimit: 3, sizeLimit: 4, referral: 10, adminLimit: 11, constraintViolation: 19, noSuchObject: 32, inappropriateAuthentication: 48, invalidCredentials: 49, insufficientAccess: 50, unwilling: 53 } as const

/** Bind answers that are about the user: wrong password, locked, not one to log in with. All others are about the directory. */
const ABOUT_THE_USER: ReadonlySet<number> = new Set([CODE.referral, CODE.constraintViolation, CODE.noSuchObject, CODE.inappropriateAuthentication, CODE.invalidCredentials, CODE.insufficientAccess, CODE.unwilling])

export type Judged<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string }
const no = (reason: string): { readonly ok: false; readonly reason: string } => ({ ok: false, reason })

/** Values of an attribute, asked without options ("uid", not "uid;lang-en"); undefined: it is not there exactly once. */
function valuesOf(entry: LdapEntry, attribute: string): readonly string[] | undefined {
  const found = entry.attributes.filter(({ type }) => type.toLowerCase() === attribute)
  return found.length === 1 ? found[0]!.values : undefined
}

/** The one entry that a search for a user found. Throws Away where the answer is about the directory. */
export function theUser(plan: LdapPlan, name: string, { code, entries, references }: LdapOutcome): Judged<LdapEntry> {
  if (code === CODE.referral) return no('the directory refers to another one, which is not followed')
  if (code === CODE.noSuchObject) {
    if (plan.userBaseNamed) return no('no entry')
    throw new Away('the user base is not there, or not for the account that searches')
  }
  // The limit is two: one entry and "there are more" would be a choice made by chance.
  if (code === CODE.sizeLimit || entries.length > 1) return no('more than one entry')
  if (code !== CODE.success) throw new Away(`it did not search for the user (code ${code})`)
  const [entry] = entries
  if (entry === undefined) return no(references === 0 ? 'no entry' : 'only references to other directories, which are not followed')
  // An empty DN would bind as nobody; one that is no DN, ldapts may take for the name of another way to bind.
  const dn = parseDn(entry.dn)
  if (dn === undefined || dn.length === 0 || entry.dn.length > LIMITS.userDnCharsMax) return no('a DN that cannot be read')
  const names = valuesOf(entry, plan.nameAttribute)
  if (names === undefined || names.length === 0) return no(`the entry shows no ${plan.nameAttribute}`)
  // A second name would be a second user, whom the rules and the revocation of the first do not reach.
  if (names.length > 1) return no(`the entry has ${names.length} names`)
  return canonicalOrNothing(canonicalUserName, names[0]!) === name ? { ok: true, value: entry } : no('the entry has another name')
}

function canonicalOrNothing(canonical: (text: string) => string, text: string): string | undefined {
  try { return canonical(text) } catch { return undefined }
}

/** What a bind with the user's password says. Throws Away. */
export function isHis({ code }: LdapOutcome): Judged<true> {
  if (code === CODE.success) return { ok: true, value: true }
  if (ABOUT_THE_USER.has(code)) return no(`the bind was refused (code ${code})`)
  throw new Away(`it did not check the password (code ${code})`)
}

/** His groups, sorted; and how many were left out. Throws Away. */
export function groupsOf(plan: LdapPlan, entry: LdapEntry, search: LdapOutcome | undefined): { readonly groups: readonly string[]; readonly leftOut: number } {
  if (search?.code === CODE.noSuchObject) throw new Away('the group base is not there, or not for the account that searches')
  if (search !== undefined && search.code !== CODE.success && search.code !== CODE.sizeLimit) throw new Away(`it did not search for groups (code ${search.code})`)
  // A range ("memberOf;range=0-1499") says that there are more.
  const tooMany = search?.code === CODE.sizeLimit || entry.attributes.some(({ type }) => type.toLowerCase().startsWith('memberof;'))
  const dns = [...valuesOf(entry, 'memberof') ?? [], ...search?.entries.map(({ dn }) => dn) ?? []]
  const names = new Set<string>()
  let leftOut = 0
  for (const text of dns) {
    const dn = parseDn(text)
    const cn = dn?.[0]?.find(({ attribute }) => attribute === 'cn')?.value
    const name = cn === undefined || (plan.groupBase !== undefined && !isBelow(dn!, plan.groupBase)) ? undefined : canonicalOrNothing(canonicalGroupName, cn)
    if (name === undefined) leftOut++
    else names.add(name)
  }
  if (tooMany || names.size > LIMITS.userGroupsMax) throw new Away(`he is in more than ${LIMITS.userGroupsMax} groups; a narrower group base leaves those out that no rule names`)
  return { groups: [...names].sort(), leftOut }
}

// Canonical names of users and groups: the one spelling that rules, records and the audit go by (reliability.md 4.4).
//
// Only case is repaired, since directories do not tell it apart. Everything else that a directory may take for the same name
// (widths, compatibility letters, invisible characters, spaces) is refused: two spellings of one user would be two users to a
// rule that denies, and two groups of one spelling one group to a rule that allows. NFKC is the test, not the repair: a text that it
// changes is refused.

import { LIMITS } from '../../fabric/base.ts'
import { KALI } from '../errors.ts'

/** Of a user: ASCII, so that no letter looks like another's. */
const USER = /^[a-z0-9][a-z0-9._-]*$/
/** Of a group: the same, and single spaces inside ("domain admins"). */
const GROUP = /^[a-z0-9][a-z0-9._-]*(?: [a-z0-9._-]+)*$/

function canonical(what: 'user' | 'group', text: string, { form, charsMax }: { readonly form: RegExp; readonly charsMax: number }): string {
  // Kelvin's sign falls to "k" in lower case, and NFKC changes it: asked of the text as it came, and only of one that is not huge.
  if (text.length <= charsMax && text.normalize('NFKC') === text) {
    const folded = text.toLowerCase()
    if (form.test(folded)) return folded
  }
  const expected = `letters a-z, digits, dot, hyphen and underscore${what === 'group' ? ', single spaces inside' : ''}, beginning with a letter or digit, at most ${charsMax}`
  throw KALI.TRUST_NAME({ what, expected, ...(printable(text) ? { name: text } : {}) })
}

/** Shown in a message only if nothing in it can deceive who reads. */
const printable = (text: string): boolean => /^[\x20-\x7e]{1,64}$/.test(text)

/**
 * "Alice" -> "alice". Refused (KALI_ERR_TRUST_NAME): anything but 1 to 63 of a-z, 0-9, dot, hyphen and underscore after the case
 * is folded, beginning with a letter or digit; so also spaces at the ends, controls, and letters that only look like these.
 */
export function canonicalUserName(text: string): string {
  return canonical('user', text, { form: USER, charsMax: LIMITS.userNameCharsMax })
}

/**
 * "Domain Admins" -> "domain admins". Like a user's, and single spaces inside: they are kept, not mapped to a hyphen, since whoever may
 * make a group "domain-admins" would otherwise be in "Domain Admins".
 */
export function canonicalGroupName(text: string): string {
  return canonical('group', text, { form: GROUP, charsMax: LIMITS.groupNameCharsMax })
}

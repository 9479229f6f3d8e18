// Contract of the directory: who knows users and their passwords (LDAP: ldap.ts). Asked at login only; what it answers goes
// into the user's record, and from then on records decide. Directory down: no new logins, and nothing else changes.
//
// Whoever implements it: an empty password never reaches the wire, a name matches exactly one entry, and "no such user" and
// "wrong password" are one error, KALI_ERR_LOGIN_REFUSED, also in the time it takes as far as that can be. A directory that cannot
// be asked is KALI_ERR_DIRECTORY_AWAY; none set up, KALI_ERR_DIRECTORY_NONE.

export interface Credentials {
  /** Canonical (names.ts). */
  readonly name: string
  readonly password: string
}

export interface DirectoryUser {
  /** The canonical name that was asked for. */
  readonly name: string
  readonly dn: string
  /** Canonical names of groups, sorted, at most LIMITS.userGroupsMax. */
  readonly groups: readonly string[]
}

export interface Directory {
  authenticate(credentials: Credentials, options?: { readonly signal?: AbortSignal }): Promise<DirectoryUser>
}

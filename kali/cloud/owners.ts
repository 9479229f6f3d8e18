// Whose quotas a VM counts in, beyond its pool and its account: its user's, and those of the groups that he is in when it is
// booked. Pure.
//
//   account "fn:web@0a1b.../user:alice" -> user alice -> his groups now -> intent.owner, written with the booking
//
// Invariants: the owner is taken when a booking begins and stays until it ends, so that what is given back is what was taken,
// whatever becomes of the user meanwhile; a group that he enters or leaves counts from his next booking on. Who is no user
// (a machine's administrator, a part of a node) has no owner: such VMs count in pool and account alone.

import { LIMITS } from '../../fabric/base.ts'
import { parseFunctionPrincipal } from '../../functions/mod.ts'
import { parsePrincipal } from '../../rmo/mod.ts'
import type { IntentRecord, OwnerRecord, QuotaScope } from './records.ts'

/** Groups of a user at this moment, on this node (kali/trust). */
export type GroupsOf = (user: string) => readonly string[]

/** The user behind a principal, also one that was narrowed, or whose function it is; undefined: none. */
export function userOf(principal: string): string | undefined {
  const root = parsePrincipal(parseFunctionPrincipal(principal)?.deployer ?? principal)?.root
  return root?.type === 'user' ? root.name : undefined
}

export interface OwnersOptions { readonly groupsOf: GroupsOf; /** Groups with a limit are counted first, should he be in more than LIMITS.quotaGroupsMax. */ readonly limited: (group: string) => boolean }

/** `after` with the owner that it is booked for: anew when its booking begins or passes to another account, else as it was. */
export function withOwner(before: IntentRecord | undefined, after: IntentRecord, { groupsOf, limited }: OwnersOptions): IntentRecord {
  const { owner: _stale, ...bare } = after
  const kept = before?.booked === true && before.account === after.account
  const owner = !after.booked ? undefined : kept ? before.owner : ownerOf(after.account, groupsOf, limited)
  return owner === undefined ? bare : { ...bare, owner }
}

function ownerOf(account: string, groupsOf: GroupsOf, limited: OwnersOptions['limited']): OwnerRecord | undefined {
  const user = userOf(account)
  if (user === undefined) return undefined
  const groups = [...new Set(groupsOf(user))].sort()
  return { user, groups: [...groups.filter(limited), ...groups.filter((group) => !limited(group))].slice(0, LIMITS.quotaGroupsMax) }
}

export const ownerScopes = (owner: OwnerRecord | undefined): readonly QuotaScope[] => (owner === undefined ? [] : [`user/${owner.user}`, ...owner.groups.map((group): QuotaScope => `group/${group}`)])

/** As users write it: users and groups as access rules name them. Pools stand by uuid: their name is for the caller to say. */
export const scopeText = (scope: QuotaScope): string => scope.replace(/^(user|group)\//, '$1:')

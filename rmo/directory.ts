// Directory: which node owns which object.
//
// A reference is an identity (kind, uuid) with the home it was last known at. For kinds that live with a
// member (PhysicalMachine) membership knows the home for certain. For hosted kinds (VM, Volume, ...) the
// last known home is asked; when the object has moved, that node answers with RMO_ERR_MOVED and the new
// home, which is learned here. A bounded hint, never the truth: the home decides. What lives in the global store (Pool)
// is served by every node, so the node that is asked is its home. Pure but for its table.

import { LIMITS, uuidOfNode } from '../fabric/base.ts'
import type { NodeId } from '../fabric/base.ts'
import type { Member } from '../fabric/mod.ts'
import { RMO } from './errors.ts'
import type { Kind } from './kind.ts'

/** What names an object on the wire. */
export interface Target { readonly kind: string; readonly uuid: string; readonly home: NodeId }

export interface Directory {
  /** The node to ask. Throws RMO_ERR_GONE when no live node can own the object. */
  locate(kind: Kind, target: Target): NodeId
  /** An object was seen at, or said to have moved to, a node. */
  learn(kind: string, uuid: string, home: NodeId): void
  /** Members that may be called, ordered by name, then uuid. */
  live(): readonly Member[]
  /** The member that is the object of a kind that lives with members. */
  memberOf(target: Pick<Target, 'uuid' | 'home'>): Member | undefined
}

export const isLive = (member: Member): boolean => member.state === 'alive' || member.state === 'suspect'

const compare = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0
/** Everything that lists objects orders them so: by name, then uuid, by code unit. */
export const byNameThenUuid = (a: { readonly name: string; readonly uuid: string }, b: { readonly name: string; readonly uuid: string }): number =>
  compare(a.name, b.name) || compare(a.uuid, b.uuid)

const GONE_REASON: Readonly<Record<Member['state'], string>> = {
  alive: 'its node is alive', suspect: 'its node is suspect', dead: 'its node was declared dead', left: 'its node left the fabric',
}

export function createDirectory({ self, members }: { readonly self: NodeId; readonly members: () => readonly Member[] }): Directory {
  const moved = new Map<string, NodeId>()

  const memberOf = ({ uuid, home }: Pick<Target, 'uuid' | 'home'>): Member | undefined => {
    const all = members()
    // The home named is nearly always right and costs one derivation instead of one per member.
    return (uuidOfNode(home) === uuid ? all.find((member) => member.id === home) : undefined) ??
      all.find((member) => uuidOfNode(member.id) === uuid)
  }

  return {
    memberOf,
    locate(kind, target) {
      if (kind.residence === 'global') return self
      const key = `${target.kind}/${target.uuid}`
      const hint = moved.get(key)
      const member = kind.residence === 'member' ? memberOf(target) : members().find((known) => known.id === (hint ?? target.home))
      if (member !== undefined && isLive(member)) return member.id
      moved.delete(key)
      const reason = member === undefined ? 'its node is not a member of this fabric' : GONE_REASON[member.state]
      throw RMO.GONE({ kind: target.kind, name: member?.name ?? target.uuid, reason })
    },
    learn(kind, uuid, home) {
      const key = `${kind}/${uuid}`
      moved.delete(key)
      moved.set(key, home)
      const oldest = moved.keys().next().value
      if (moved.size > LIMITS.directoryEntriesMax && oldest !== undefined) moved.delete(oldest)
    },
    live: () => members().filter(isLive)
      .map((member) => ({ member, name: member.name, uuid: uuidOfNode(member.id) }))
      .sort(byNameThenUuid)
      .map(({ member }) => member),
  }
}

// The living members as calls are placed by them. A call asks up to three times who is there, and listing a thousand
// members takes longer than the rest of it: the list is made again when somebody came or went, and when its loads are old.

import { LIMITS } from '../fabric/base.ts'
import type { Clock, NodeId } from '../fabric/base.ts'
import type { Membership } from '../fabric/mod.ts'

export interface SeenMember { readonly id: NodeId; readonly name: string; readonly cpuRatio: number }

export interface SeenMembers { list(): readonly SeenMember[]; stop(): void }

export function seeMembers(membership: Pick<Membership, 'members' | 'onEvent'>, clock: Clock): SeenMembers {
  let seen: readonly SeenMember[] = []
  let untilMs = -Infinity
  const stop = membership.onEvent(({ type }) => { if (type !== 'updated') untilMs = -Infinity })
  return {
    list() {
      const nowMs = clock.nowMs()
      if (nowMs < untilMs) return seen
      untilMs = nowMs + LIMITS.invokeNodesMs
      return seen = membership.members().filter(({ state }) => state === 'alive').map(({ id, name, load }) => ({ id, name, cpuRatio: load.cpuRatio }))
    },
    stop,
  }
}

// "I am cut off too": when the store is out of reach for those without whom nobody can take over, a host may keep its
// protected VMs (cloud.md 5.10, XAPI's second survival rule).
//
//   host --kali.cut-off, asked at q--> members and voters --"cut off" from enough, within R--> age counts from q
//                 enough: every other expected member, or more than half of the voters (voters.ts; an embedded store)
//
// Why q is safe: who answers "cut off" has no contact to the store at some moment after q, and counts for a takeover only
// after contact unbroken for a whole L since; a host that counts from q has given up by q + F, and F + K + S < L. This
// rests on two things that the caller sees to: it is answered by what the taker's own rule counts by
// (CloudView.contactSinceMs()), and the expected members are all nodes that might take over, dead ones included: they do
// not answer. The node of an embedded store does not either; so there the voters decide, which it cannot outvote.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock, NodeId, Timer } from '../../fabric/base.ts'
import type { FabricNode, RpcRegistry } from '../../fabric/mod.ts'
import { isMajority } from './voters.ts'
import type { Voters } from './voters.ts'

const METHOD = 'kali.cut-off'
/** Of who is not cut off, within one question. */
const ASKED_TIMES = 8

/** Serves the question on this node; `contactMs`: how long it has had the store without a gap. */
export function registerCutOff(registry: Pick<RpcRegistry, 'method'>, contactMs: () => number | undefined): void {
  registry.method(METHOD, (_body, { caller }) => {
    const forMs = contactMs()
    return caller.via !== 'link' ? {} : forMs === undefined ? { cutOff: true } : { contactMs: forMs }
  })
}

/** How long a node has had the store without a gap, ms of its own clock; undefined: it is cut off. Rejects when it cannot be reached. */
export const askContact = (fabric: Pick<FabricNode, 'peer'>, timeoutMs: number) => async (node: NodeId): Promise<number | undefined> =>
  readContact(await (await fabric.peer(node)).call(METHOD, {}, { timeoutMs, principal: 'system:lease' }))

/** What says neither is neither a vote for those who keep nor for those who take. */
function readContact(answer: unknown): number | undefined {
  if (typeof answer !== 'object' || answer === null) return 0
  if ('cutOff' in answer && answer.cutOff === true) return undefined
  return 'contactMs' in answer && typeof answer.contactMs === 'number' ? answer.contactMs : 0
}

export interface SurvivalOptions {
  readonly clock: Clock
  /** All other expected members. */
  readonly others: readonly NodeId[]
  /** Lists of voters that may stand in the store (voters.ts), perhaps with this host among them. */
  readonly voters: readonly Voters[]
  /** Whether that node, or this one, is cut off. */
  ask(node: NodeId): Promise<boolean>
  readonly timeoutMs: number
}

/** Two hosts could each believe the other one cut off; three or more need all to say so, or most of the voters. False when it cannot be true any more, or not in time. */
export async function cutOffTogether({ clock, others, voters, ask, timeoutMs }: SurvivalOptions): Promise<boolean> {
  const all = others.length >= 2 && others.length < LIMITS.survivalMembersMax ? others : undefined
  const lists = voters.flatMap((list) => list === undefined ? [] : [list])
  // One that is not known may be any, or none: then a taker asks no voter.
  const most = lists.length > 0 && lists.length === voters.length ? lists : undefined
  const said = new Map<NodeId, boolean>()
  const count = (list: readonly NodeId[], counts: (answer: boolean | undefined) => boolean): number => list.filter((node) => counts(said.get(node))).length
  const judge = (counts: (answer: boolean | undefined) => boolean): boolean =>
    (all !== undefined && count(all, counts) === all.length) || (most !== undefined && most.every((list) => isMajority(count(list, counts), list)))
  const asked = [...new Set([...all ?? [], ...most?.flat() ?? []])]
  const pauses = new Map<NodeId, Timer>()
  let over = false
  return new Promise((resolve) => {
    const end = (answer: boolean): void => {
      over = true
      timer.cancel()
      for (const pause of pauses.values()) pause.cancel()
      resolve(answer)
    }
    const timer = clock.after(timeoutMs, () => end(false), { background: true })
    const look = (): void => {
      if (judge((answer) => answer === true)) end(true)
      else if (!judge((answer) => answer !== false)) end(false)
    }
    /** Who has not lost the store yet may find out a moment later: what it says then is as good. */
    const again = (node: NodeId): void => { pauses.set(node, clock.after(timeoutMs / ASKED_TIMES, () => put(node), { background: true })) }
    const put = (node: NodeId): void => {
      ask(node).then((cutOff) => {
        if (cutOff) said.set(node, true)
        else if (!over) again(node)
        look()
      }, () => { said.set(node, false); look() })
    }
    look()
    if (!over) for (const node of asked) put(node)
  })
}

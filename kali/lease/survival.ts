// "I am cut off too": when the store is out of reach for every expected member at once, nobody can take over, and a host may
// keep its protected VMs (cloud.md 5.10, XAPI's second survival rule).
//
//   host --kali.cut-off, asked at q--> every other expected member --true from all, within R--> age counts from q
//
// Why q is safe: a member that answers true has no contact to the store at some moment after q, and may take over only
// after contact unbroken for a whole L since; a host that counts from q has given up by q + F, and F + K + S < L. This
// rests on two things that the caller sees to: `cutOff` is what the taker's own rule counts by (CloudView.contactSinceMs() is
// undefined), and the expected members are all nodes that might take over, dead ones included: they do not answer.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock, NodeId } from '../../fabric/base.ts'
import type { FabricNode, RpcRegistry } from '../../fabric/mod.ts'

const METHOD = 'kali.cut-off'

/** Serves the question on this node. */
export function registerCutOff(registry: Pick<RpcRegistry, 'method'>, cutOff: () => boolean): void {
  registry.method(METHOD, (_body, { caller }) => ({ cutOff: caller.via === 'link' && cutOff() }))
}

/** Asks one member; rejects when it cannot be reached. */
export const askCutOff = (fabric: Pick<FabricNode, 'peer'>, timeoutMs: number) => async (node: NodeId): Promise<boolean> => {
  const answer = await (await fabric.peer(node)).call(METHOD, {}, { timeoutMs, principal: 'system:lease' })
  return typeof answer === 'object' && answer !== null && 'cutOff' in answer && answer.cutOff === true
}

export interface SurvivalOptions {
  readonly clock: Clock
  /** All other expected members. */
  readonly others: readonly NodeId[]
  ask(node: NodeId): Promise<boolean>
  readonly timeoutMs: number
}

/** Two hosts could each believe the other one cut off; three or more need all to say so. False as soon as one does not. */
export async function allCutOff({ clock, others, ask, timeoutMs }: SurvivalOptions): Promise<boolean> {
  if (others.length < 2 || others.length >= LIMITS.survivalMembersMax) return false
  return new Promise((resolve) => {
    let missing = others.length
    const end = (answer: boolean): void => { timer.cancel(); resolve(answer) }
    const timer = clock.after(timeoutMs, () => end(false), { background: true })
    for (const node of others) {
      ask(node).then((cutOff) => {
        if (!cutOff) end(false)
        else if (--missing === 0) end(true)
      }, () => end(false))
    }
  })
}

// One call of a verb at an object's home, as it is: nothing awaited before it, nothing kept of its answer.
//
//   reference --[session.ts: order, cold arguments]--> callHome --rmo.invoke--> the object's home

import { LIMITS } from '../fabric/base.ts'
import type { ReferenceRecord } from '../functions/mod.ts'
import { checkArguments, sentArguments } from './check.ts'
import { RMO } from './errors.ts'
import { METHODS } from './messages.ts'
import type { Session } from './session.ts'

/** From "should have answered" to giving up: a verb's own timeout shall be reported by the verb. */
const BUDGET_RESERVE_MS = 1_000

export async function callHome(session: Session, { kind, uuid, home, name, cold }: ReferenceRecord, verb: string, given: readonly unknown[]): Promise<unknown> {
  if (cold === true) throw RMO.COLD({ kind, name, verb })
  const operation = session.kinds.kindOf(kind).operations.get(verb)
  // A mistake is thrown here, where its stack shows the caller's line; the home checks again.
  if (operation !== undefined) checkArguments(kind, verb, operation, given)
  const args = operation === undefined ? given : sentArguments(kind, verb, operation, given)
  const options = session.callOptions()
  const budgetMs = operation?.budgetMs?.(args)
  const timeoutMs = budgetMs === undefined ? options.timeoutMs : Math.min(LIMITS.callTimeoutMsMax, Math.max(options.timeoutMs ?? LIMITS.callTimeoutMs, budgetMs + BUDGET_RESERVE_MS))
  const body = { kind, uuid, home, verb, args: session.codec.encode(args) }
  const answer = await session.peer.call(METHODS.invoke, body, { ...options, ...(timeoutMs === undefined ? {} : { timeoutMs }) })
  return session.codec.decode(answer as Uint8Array, 'value')
}

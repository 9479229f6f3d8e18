// Calls of one deployed function by another: `fn(name)(payload)` in its context. Right and account are those of the
// calling function; budget, hops and time left were counted by host-calls.ts on the way here, so recursion ends. A singleton
// calls only while its epoch holds, as it changes objects (trigger/fence.ts); what it enqueues is fenced where it is put.
//
//   fn.invoke   [reference, payload, options]   payload and answer: bytes of an array of one value
//                                               target 'all': a list of [node, bytes] or [node, null, code, message]
//   fn.enqueue  [reference, payload, options]   the id of the call

import { fromErrorRecord, LIMITS } from '../../fabric/base.ts'
import type { CallScope, Holders, InvokeOutcome, InvokeRequest, Invoker, SystemCalls } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { checkPayload, noPayload } from './items.ts'
import { present, readTarget } from './wire.ts'

const RIGHT = 'function:invoke'
const KEY_CHARS_MAX = 256

export function registerNested(systemCalls: SystemCalls, invoker: Invoker, holders: Pick<Holders, 'check'>): void {
  systemCalls.register('fn.invoke', async (args, scope, authority, nested) => {
    const request = readNested(args, scope)
    if (scope.epoch !== undefined) await holders.check(scope.name, scope.epoch, authority.signal)
    if (request.target === 'all') {
      const outcomes = await invoker.invokeAll(request, authority)
      nested(outcomes.reduce((sum, outcome) => sum + causedBy(outcome), 0) + outcomes.length - 1)
      return outcomes.map((outcome) => outcome.status === 'value' ? [outcome.call.nodeName, outcome.value] : [outcome.call?.nodeName ?? '', null, outcome.error.code, outcome.error.message])
    }
    const outcome = await invoker.invoke(request, authority)
    nested(causedBy(outcome))
    if (outcome.status === 'value') return outcome.value
    throw fromErrorRecord({ ...outcome.error, outcome: outcome.mayHaveRun ? outcome.error.outcome ?? 'failed' : 'not-started' })
  })
  systemCalls.register('fn.enqueue', (args, scope, authority) => invoker.enqueue(readNested(args, scope), authority))
}

/** A call whose end is not known may have caused as many as it was given; without a record it is taken to have caused none only when it never ran. */
const causedBy = (outcome: InvokeOutcome): number => outcome.call?.nested ?? (outcome.status === 'value' || outcome.mayHaveRun ? LIMITS.callBudget : 0)

function readNested([reference, payload, options]: readonly unknown[], scope: CallScope): InvokeRequest {
  const { name, rights, budget } = scope
  if (!rights.includes(RIGHT)) throw FUNCTIONS.FUNCTION_DENIED({ name, what: `call ${String(reference).slice(0, 80)}`, right: RIGHT })
  if (typeof reference !== 'string') throw FUNCTIONS.PAYLOAD_INVALID({ what: 'the name of the function', expected: 'text', got: typeof reference })
  const bytes = payload ?? noPayload()
  if (!(bytes instanceof Uint8Array)) throw FUNCTIONS.BAD_MESSAGE({ what: 'the payload of a nested call' })
  checkPayload(bytes, LIMITS.payloadBytesMax)
  const { target, timeoutMs, idempotencyKey } = (options ?? {}) as Readonly<Record<string, unknown>>
  if (timeoutMs !== undefined && timeoutMs !== null && !(typeof timeoutMs === 'number' && timeoutMs > 0)) throw FUNCTIONS.PAYLOAD_INVALID({ what: 'timeoutMs', expected: 'a number above 0', got: String(timeoutMs).slice(0, 80) })
  if (idempotencyKey !== undefined && idempotencyKey !== null && !(typeof idempotencyKey === 'string' && idempotencyKey.length > 0 && idempotencyKey.length <= KEY_CHARS_MAX)) throw FUNCTIONS.PAYLOAD_INVALID({ what: 'idempotencyKey', expected: `1 to ${KEY_CHARS_MAX} characters`, got: typeof idempotencyKey })
  return {
    reference, payload: bytes, cause: { type: 'call' }, budget, depth: (scope.depth ?? 0) + 1, ...present({ traceparent: scope.traceparent }),
    ...present({
      target: target === undefined || target === null ? undefined : readTarget(target),
      timeoutMs: typeof timeoutMs === 'number' ? timeoutMs : undefined,
      idempotencyKey: typeof idempotencyKey === 'string' ? idempotencyKey : undefined,
    }),
  }
}

// The methods of invoke/ on a node: for shells and members ('functions.invoke', queues), and for the node that has chosen
// this one ('functions.call').

import { LIMITS } from '../../fabric/base.ts'
import type { CallContext, RpcRegistry } from '../../fabric/mod.ts'
import { admitAdministrator } from '../administrator.ts'
import type { Admit } from '../administrator.ts'
import type { InvokeRequest } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { bytes, count, text } from '../plan/wire.ts'
import type { AsyncCalls } from './async-calls.ts'
import type { NodeInvoker } from './invoker.ts'
import type { Letters } from './letters.ts'
import type { Runner } from './run-here.ts'
import { INVOKE_METHODS, readCall, readRequest, writeAnswer, writeOutcome } from './wire.ts'

export interface InvokeServiceOptions {
  readonly registry: RpcRegistry
  readonly invoker: NodeInvoker
  readonly runner: Runner
  readonly asyncCalls: AsyncCalls
  readonly letters: Letters
  /** Default: the administrator of the machine alone. */
  readonly admit?: Admit
}

const NAMES_MAX = 100_000
const nameOrAll = (value: unknown): string | undefined => (value === null || value === undefined ? undefined : text(value, 'name'))
const ids = (value: unknown): readonly string[] | undefined => {
  if (value === null || value === undefined) return undefined
  if (!Array.isArray(value) || value.length > NAMES_MAX) throw FUNCTIONS.BAD_MESSAGE({ what: 'ids' })
  return value.map((id) => text(id, 'id'))
}
const pair = (body: unknown): readonly unknown[] => { if (Array.isArray(body)) return body; throw FUNCTIONS.BAD_MESSAGE({ what: 'a list' }) }

/**
 * What may be said of a call by who makes it. A socket's calls come from outside: nothing caused them, they are in no other
 * call, and what a function learns of its cause (the headers of a request, an event) is nothing that a shell makes up.
 */
const claimed = ({ budget, ...request }: InvokeRequest, { caller }: CallContext): InvokeRequest => ({
  ...request, ...(budget === undefined ? {} : { budget: Math.min(budget, LIMITS.callBudget) }), ...(caller.via === 'link' ? {} : { cause: { type: 'call' }, depth: 0 }),
})

export function registerInvoke({ registry, invoker, runner, asyncCalls, letters, admit = admitAdministrator }: InvokeServiceOptions): void {
  registry.method(INVOKE_METHODS.call, async (body, context) => {
    if (context.caller.via !== 'link') throw FUNCTIONS.BAD_MESSAGE({ what: `${INVOKE_METHODS.call} from a shell` })
    return writeAnswer({ outcome: await invoker.serve(readCall(body), context), calls: runner.calls })
  })
  registry.method(INVOKE_METHODS.invoke, async (body, context) => {
    const { request: told, shape } = readRequest(body)
    const request = claimed(told, context)
    if (shape === 'all' || request.target === 'all') return (await invoker.invokeAll(request, context)).map(writeOutcome)
    return writeOutcome(await invoker.invoke(request, context))
  })
  registry.method(INVOKE_METHODS.enqueue, (body, context) => invoker.enqueue(claimed(readRequest(body).request, context), context))
  registry.method(INVOKE_METHODS.emit, (body, context) => {
    const [topic, payload] = pair(body)
    return asyncCalls.emit(text(topic, 'topic'), bytes(payload, 'payload'), { from: context.principal, deployer: context.principal }, context)
  })
  registry.method(INVOKE_METHODS.waiting, async (body) => await letters.list('call', nameOrAll(pair(body)[0]), count(pair(body)[1] ?? 0, 'limit')))
  registry.method(INVOKE_METHODS.dead, async (body) => await letters.list('dead', nameOrAll(pair(body)[0]), count(pair(body)[1] ?? 0, 'limit')))
  registry.method(INVOKE_METHODS.redrive, (body, context) => {
    admit(context, 'function:redrive', 'redrive calls')
    return letters.redrive(text(pair(body)[0], 'name'), ids(pair(body)[1]))
  })
  registry.method(INVOKE_METHODS.discard, (body, context) => {
    admit(context, 'function:discard', 'discard calls')
    return letters.discard(text(pair(body)[0], 'name'), ids(pair(body)[1]))
  })
}

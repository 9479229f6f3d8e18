// Calls out of the sandbox: handle.verb(...args) -> one post, one answer. Budgets are spent here, before
// anything leaves (reliability.md rows 5 to 8), and checked again by the kernel, which trusts nobody.
//
// Each call carries (element, sequence): the kernel's journal answers a re-run from it, so that a chunk
// that is run again after its cell was killed repeats no effect. The element is known for handles that
// came with an item, and for anything called before the element's first await; else it is -1.

import type { ReferenceRecord } from '../../contract.ts'
import { FROM_LANE } from '../frames.ts'
import { SandboxError } from './error-capture.ts'
import { host, job } from './host.ts'
import { keptAnswer } from './kept.ts'
import { JSONParse, JSONStringify, mapClear, mapDelete, mapGet, mapSet, ObjectDefineProperty, PromiseConstructor } from './primordials.ts'
import { refuseSecrets } from './secrets.ts'
import { stand } from './standing.ts'
import { decodeAnswer, encodeArguments } from './value.ts'

interface Waiting { readonly target: ReferenceRecord | undefined; readonly verb: string; readonly element: number; readonly resolve: (value: unknown) => void; readonly reject: (error: unknown) => void; readonly bytes: Uint8Array; readonly text: string; readonly sequence: number }

export interface CallBudget { hostCalls: number; inFlight: number; argumentBytes: number }
export const callBudget: CallBudget = { hostCalls: 0, inFlight: 0, argumentBytes: 0 }

const waiting = new Map<number, Waiting>()
let queue: { id: number; call: Waiting }[] = []
let queueHead = 0
let inFlight = 0
let lastCall = 0

/** One of the calls of the budget; throws when there is none left, or the function has ended. */
export function spendCall(verb: string): void {
  if (job.id === 0) throw new SandboxError('FUNCTIONS_ERR_SANDBOX_CALL_AFTER_END', `${verb} was called after the function had returned; await it inside the function`)
  if (job.hostCallsLeft <= 0) {
    throw new SandboxError('FUNCTIONS_ERR_SANDBOX_HOST_CALLS', `The function made more than ${callBudget.hostCalls} calls to the system; do more per call, or split the work`)
  }
  job.hostCallsLeft--
}

/** `guarded`: what it carries leaves the function, and so may hold no secret. */
export function hostCall(target: ReferenceRecord | undefined, verb: string, args: readonly unknown[], element: number, guarded?: 'guarded'): Promise<unknown> {
  spendCall(verb)
  const bytes = encodeArguments(args, callBudget.argumentBytes)
  if (bytes.byteLength > callBudget.argumentBytes) {
    throw new SandboxError('FUNCTIONS_ERR_SANDBOX_HOST_CALL_BYTES', `The arguments of ${verb} take ${bytes.byteLength} bytes, more than the ${callBudget.argumentBytes} allowed; pass less, or pass it in parts`)
  }
  if (guarded !== undefined) refuseSecrets(bytes, verb)
  const owner = element >= 0 ? element : job.element
  const slot = owner + 1
  const sequence = job.sequences[slot] ?? 0
  job.sequences[slot] = sequence + 1
  const text = target === undefined
    ? JSONStringify(owner >= 0 ? [verb] : [verb, job.waiting]) as string
    : JSONStringify([verb, target.kind, target.uuid, target.home]) as string
  const id = ++lastCall
  return new PromiseConstructor<unknown>((resolve, reject) => {
    const call: Waiting = { target, verb, element: owner, resolve, reject, bytes, text, sequence }
    if (inFlight >= callBudget.inFlight) queue[queue.length] = { id, call }
    else send(id, call)
  })
}

function send(id: number, call: Waiting): void {
  inFlight++
  mapSet(waiting, id, call)
  host.post(FROM_LANE.call, job.id, id, call.element + 1, call.sequence, 0, call.text, call.bytes)
}

/** Answers from the kernel, four values each: number of the call, whether it succeeded, value bytes, else an error record as text; with bytes, a number to keep them under (kept.ts). */
export function answer(...given: unknown[]): void {
  for (let i = 0; i < given.length; i += 4) answerOne(given[i] as number, given[i + 1] as boolean, given[i + 2] as Uint8Array | undefined, given[i + 3] as string)
}

function answerOne(id: number, ok: boolean, bytes: Uint8Array | undefined, text: string): void {
  const call = mapGet(waiting, id)
  if (call === undefined) {
    // Nobody's any more, but the kernel's side counts on its being here.
    if (ok && text !== '' && bytes !== undefined) keptAnswer(+text, bytes, -1)
    return
  }
  mapDelete(waiting, id)
  inFlight--
  const next = queue[queueHead]
  if (next !== undefined) {
    queueHead++
    if (queueHead === queue.length) { queue = []; queueHead = 0 }
    send(next.id, next.call)
  }
  if (!ok) return call.reject(answeredError(text))
  try {
    // A number of an answer: kept, or kept from before (simulation).
    if (text !== '' && call.target !== undefined) stand(call.target, call.verb, +text < 0 ? -text : +text)
    call.resolve(text === '' ? decodeAnswer(bytes as Uint8Array, call.element) : keptAnswer(+text, bytes, call.element))
  } catch (error) {
    call.reject(error)
  }
}

export interface AnsweredError { code?: string; message?: string; name?: string; stack?: string; cause?: AnsweredError }

function answeredError(text: string): Error {
  const record = JSONParse(text) as AnsweredError
  return errorFromRecord(record)
}

export function errorFromRecord(record: AnsweredError): Error {
  const error = new SandboxError(record.code ?? 'FUNCTIONS_ERR_SANDBOX_HOST_CALL', record.message ?? 'The call failed')
  if (record.name !== undefined) error.name = record.name
  if (record.stack !== undefined) ObjectDefineProperty(error, 'stack', { value: record.stack, configurable: true, writable: true })
  if (record.cause !== undefined) ObjectDefineProperty(error, 'cause', { value: errorFromRecord(record.cause), configurable: true, writable: true })
  return error
}

/** The job is over: answers that still come are nobody's. */
export function forgetCalls(): void {
  mapClear(waiting)
  queue = []
  queueHead = 0
  inFlight = 0
}

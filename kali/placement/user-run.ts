// Runs a scheduler of a user's on this node: a captured one as a job with one element in the sandbox, a deployed one as a
// call by name. It gets data and gives an answer: a captured one has no calls out of the sandbox at all, a deployed one the
// rights it was deployed with. A new context each time, so that nothing is remembered from one placement to the next.
//
// A captured one runs under a principal that no gate knows, in a cell for the schedulers of who made the pool: whoever may
// change the pool, or only try a scheduler on it, is not its maker, and must not have code beside the maker's own in one process.

import { hash } from 'node:crypto'
import { fromErrorRecord, LIMITS } from '../../fabric/base.ts'
import type { Clock, ErrorRecord, Random } from '../../fabric/base.ts'
import { decodeValue, encodeArray, FUNCTIONS } from '../../functions/mod.ts'
import type { Invoker, Job, Sandbox } from '../../functions/mod.ts'
import type { SchedulerRef } from '../cloud/contract.ts'
import { KALI } from '../errors.ts'
import type { SchedulerPayload } from './user-scheduler.ts'

export type UserRef = Exclude<SchedulerRef, { type: 'builtin' }>
/** Rejects with what the scheduler threw, or the sandbox or catalog said. The answer is a SchedulerAnswer, or what a plain function answered. */
export type UserRun = (ref: UserRef, payload: SchedulerPayload, context: { /** Who calls a deployed one: the pool's maker. */ readonly principal: string; readonly signal: AbortSignal }) => Promise<unknown>

export interface UserRunOptions {
  readonly sandbox: Pick<Sandbox, 'run'>
  readonly invoker: Pick<Invoker, 'invoke'>
  readonly clock: Clock
  readonly random: Random
}

type Closure = Extract<SchedulerRef, { type: 'closure' }>

export function createUserRun({ sandbox, invoker, clock, random }: UserRunOptions): UserRun {
  const newTrace = (): string => Buffer.from(random.bytes(8)).toString('hex')
  return async (ref, payload, { principal, signal }) => {
    if (ref.type === 'closure') return runClosure(sandbox, ref, payload, principal, newTrace(), signal)
    const endMs = clock.nowMs() + LIMITS.schedulerAnswerMs
    const outcome = await invoker.invoke(
      { reference: ref.name, payload: encodeArray([payload]), cause: { type: 'call' }, timeoutMs: LIMITS.schedulerAnswerMs },
      { principal, trace: newTrace(), hop: 0, signal, remainingMs: () => Math.max(1, endMs - clock.nowMs()) })
    if (outcome.status !== 'value') throw thrown(outcome.error)
    return (decodeValue(outcome.value) as unknown[])[0]
  }
}

async function runClosure(sandbox: Pick<Sandbox, 'run'>, ref: Closure, payload: SchedulerPayload, principal: string, trace: string, signal: AbortSignal): Promise<unknown> {
  const blobs = new Map([[ref.codeHash, checked(ref.name, Buffer.from(ref.text), ref.codeHash)], [ref.environmentHash, checked(ref.name, Buffer.from(ref.environment, 'base64'), ref.environmentHash)]])
  const job: Job = {
    principal: `scheduler/${principal}`, trace, baseIndex: 0, terminal: { verb: 'collect' },
    stages: [{ verb: 'map', code: ref.codeHash, environment: ref.environmentHash, name: ref.name }],
    input: { type: 'items', count: 1, bytes: encodeArray([payload]) },
    limits: { timeoutMs: LIMITS.schedulerAnswerMs, heapLimitMiB: LIMITS.heapLimitMiB, cpuTimeMs: LIMITS.schedulerTimeoutMs, resultBytes: LIMITS.schedulerBytesMax, hostCalls: 0, concurrency: 1, fresh: true },
    blob: (wanted) => blobs.get(wanted) ?? raiseMissing(wanted),
  }
  const { runs } = await sandbox.run(job, { hostCall: async () => { throw FUNCTIONS.SANDBOX_HOST_CALL({ reason: 'a scheduler decides by what it is given: vm and pms' }) }, console() {} }, signal)
  const [run] = runs
  if (run === undefined) throw FUNCTIONS.INTERNAL({ reason: 'the sandbox answered nothing' })
  if ('failure' in run) throw thrown(run.failure.error)
  return (decodeValue(run.values) as unknown[])[0]
}

/** The bytes are kept in cells by their hash: what a record says of itself is not believed. */
function checked(name: string, bytes: Uint8Array, expected: string): Uint8Array {
  if (hash('sha256', bytes, 'hex') !== expected) throw KALI.SCHEDULER_INVALID({ what: `the code of ${name}`, expected: 'as its hash says; set the scheduler again' })
  return new Uint8Array(bytes)
}

const thrown = (record: ErrorRecord): Error => fromErrorRecord(record)
function raiseMissing(wanted: string): never { throw FUNCTIONS.MISSING_BLOB({ hash: wanted }) }

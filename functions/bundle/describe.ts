// Asks a script what it defines: one job with one element in the deployer's cell, on the node that is to record it. What a
// manifest says is therefore what the code says, never what somebody says about the code.

import { hash } from 'node:crypto'
import { LIMITS, fromErrorRecord } from '../../fabric/base.ts'
import type { Job, Sandbox } from '../contract.ts'
import type { Invocation } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { decodeValue, encodeArray } from '../value/mod.ts'

const EMPTY = new Uint8Array(0)
const EMPTY_HASH = hash('sha256', EMPTY, 'hex')

/**
 * The definition as plain data; functions in it are `{ function: name }`. Rejects with what the file threw while it was
 * evaluated (its stack in the script's lines: positions.ts), DEFINITION_INVALID, or what the sandbox met (timeout, memory).
 */
export async function describeBundle(sandbox: Sandbox, script: Uint8Array, principal: string, signal: AbortSignal): Promise<unknown> {
  const code = hash('sha256', script, 'hex')
  const trace = code.slice(0, 16)
  const invocation: Invocation = {
    what: 'describe', payload: null,
    call: { id: trace, name: 'describe', alias: 'stable', version: code, trace, traceparent: '', node: '', attempt: 1, epoch: null, cause: { type: 'call' }, deadlineMs: LIMITS.functionTimeoutMs },
  }
  const job: Job = {
    principal, trace, baseIndex: 0, terminal: { verb: 'collect' },
    stages: [{ verb: 'map', code, environment: EMPTY_HASH, name: 'describe' }],
    input: { type: 'items', count: 1, bytes: encodeArray([invocation]) },
    // Bounded by what it uses: beside busy calls of the same deployer it may wait long for its turn.
    limits: { timeoutMs: LIMITS.functionTimeoutMs, heapLimitMiB: LIMITS.heapLimitMiB, cpuTimeMs: LIMITS.describeMs, resultBytes: LIMITS.definitionBytesMax, hostCalls: 0, concurrency: 1, fresh: true },
    blob: (wanted) => (wanted === code ? script : EMPTY),
  }
  const { runs } = await sandbox.run(job, { hostCall: async () => { throw FUNCTIONS.SANDBOX_HOST_CALL({ reason: 'a definition is made without calls' }) }, console() {} }, signal)
  const [run] = runs
  if (run === undefined) throw FUNCTIONS.INTERNAL({ reason: 'the sandbox answered nothing about a definition' })
  if ('failure' in run) throw fromErrorRecord(run.failure.error)
  return (decodeValue(run.values) as unknown[])[0]
}

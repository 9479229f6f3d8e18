// The part of a job that repeats from chunk to chunk, as a lane knows it: functions, terminal, limits. Named
// by a key, so that the next chunk of the same map sends a number instead. Pure.

import { LIMITS } from '../../../fabric/base.ts'
import type { Hash } from '../../../fabric/base.ts'
import type { Job } from '../../contract.ts'

export interface JobPlan {
  readonly key: string
  readonly text: Uint8Array
  readonly initial: Uint8Array | undefined
  readonly heapLimitMiB: number
  readonly cpuTimeMs: number
  readonly fresh: boolean
  /** One partial result for all elements, so no part of them can be told apart. */
  readonly folds: boolean
  readonly code: readonly Hash[]
  readonly environments: readonly Hash[]
}

/** SHA-256 of no bytes: an environment that captured nothing is never asked for. */
const EMPTY_HASH = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

const encoder = new TextEncoder()

export function planKey({ stages, terminal, limits, early }: Job): string {
  let key = terminal.verb
  for (const stage of stages) key += `|${stage.verb}:${stage.code}:${stage.environment}`
  if ('code' in terminal) key += `|${terminal.code}:${terminal.environment}`
  if (terminal.verb === 'fold') key += `|${Buffer.from(terminal.initial).toString('base64')}`
  return `${key}|${limits.heapLimitMiB},${limits.cpuTimeMs},${limits.resultBytes},${limits.hostCalls},${limits.concurrency},${limits.fresh ? 1 : 0}${early === true ? ',early' : ''}`
}

export function makePlan(key: string, { stages, terminal, limits, early }: Job): JobPlan {
  const refs = [...stages, ...('code' in terminal ? [terminal] : [])]
  const environment = (hash: Hash): string => (hash === EMPTY_HASH ? '' : hash)
  const ref = ({ code, environment: captured, name }: { code: Hash; environment: Hash; name: string }): object => ({ code, environment: environment(captured), name })
  const text = JSON.stringify({
    stages: stages.map((stage) => ({ verb: stage.verb, ...ref(stage) })),
    terminal: { verb: terminal.verb, ...('code' in terminal ? ref(terminal) : {}) },
    concurrency: Math.max(1, limits.concurrency), resultBytes: limits.resultBytes, hostCalls: limits.hostCalls,
    hostCallsInFlight: LIMITS.hostCallsInFlightMax, hostCallBytes: LIMITS.hostCallBytesMax, consoleBytes: LIMITS.consoleBytesMax,
    ...(early === true ? { early } : {}),
  })
  return {
    key, text: encoder.encode(text), initial: terminal.verb === 'fold' ? terminal.initial : undefined,
    heapLimitMiB: limits.heapLimitMiB, cpuTimeMs: limits.cpuTimeMs, fresh: limits.fresh, folds: terminal.verb !== 'collect',
    code: [...new Set(refs.map(({ code }) => code))],
    environments: [...new Set(refs.map(({ environment: captured }) => captured))].filter((hash) => hash !== EMPTY_HASH),
  }
}

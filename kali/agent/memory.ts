// What the agent remembers of one VM between two rounds: back-off, whether it has run, since when. Pure.
//
//   observe: what is seen now                learn: how a step ended
//
// Back-off: LIMITS.agentBackoffMs doubling to agentBackoffMsMax. A decision of somebody else (a user's start, a policy's
// retry) begins everything anew; a decision of the agent's own does not.

import { LIMITS } from '../../fabric/base.ts'
import type { IntentRecord } from '../cloud/contract.ts'
import { standingOf } from './standing.ts'
import { AGENT, GUEST } from './steps.ts'
import type { Memory, Outcome, Seen, Step } from './steps.ts'

export const isOff = (state: NonNullable<Seen['domain']>['state']): boolean => state === 'stopped' || state === 'crashed' || state === 'saved'

/** 1 s, 2 s, 4 s, ... at most a minute. */
export const backoffMs = (failures: number): number =>
  failures <= 0 ? 0 : Math.min(LIMITS.agentBackoffMsMax, LIMITS.agentBackoffMs * 2 ** Math.min(failures - 1, 16))

const begun = (intent: IntentRecord | undefined, nowMs: number): Memory => ({
  decision: intent?.decision ?? '', epoch: intent?.epoch ?? 0, sinceMs: nowMs,
  pauses: 0, notBeforeMs: 0, failures: 0, crashes: 0, here: false, ran: false, counted: false, excused: false, fenced: false, swept: false, heard: false, listenAtMs: 0,
})

/** Without properties that do not apply any more. */
function without<K extends keyof Memory>(memory: Memory, key: K): Omit<Memory, K> {
  const { [key]: _, ...rest } = memory
  return rest
}

function decidedAnew(memory: Memory, intent: IntentRecord): Memory {
  if (intent.decision === memory.decision) return memory
  const next = { ...memory, decision: intent.decision }
  if (intent.decidedBy === AGENT || intent.decidedBy === GUEST) return next
  return { ...without(next, 'error'), pauses: 0, notBeforeMs: 0, failures: 0, crashes: 0, excused: true, swept: false }
}

export function observe(before: Memory | undefined, seen: Seen): Memory {
  const { intent, domain, status, nowMs } = seen
  let memory = before === undefined || before.epoch !== (intent?.epoch ?? 0) ? { ...begun(intent, nowMs), fenced: before?.fenced ?? false } : before
  if (intent === undefined) return memory
  memory = decidedAnew(memory, intent)
  if (domain === undefined) return seen.connected && memory.here ? { ...memory, here: false } : memory
  if (standingOf(domain, intent, status, seen.self) !== 'ours') return memory
  if (!memory.here) memory = { ...memory, here: true }
  if (isOff(domain.state)) {
    if (memory.runningSinceMs !== undefined) memory = { ...without(memory, 'runningSinceMs'), heard: false }
    return intent.desired === 'running' || !memory.ran ? memory : { ...memory, ran: false, counted: false, crashes: 0 }
  }
  const runningSinceMs = memory.runningSinceMs ?? nowMs
  const steady = nowMs - runningSinceMs >= LIMITS.agentSteadyMs
  // A hypervisor that has not noticed a death yet says that it runs: the restart of that death stays counted.
  const counted = memory.counted && nowMs - runningSinceMs < LIMITS.hostDeathConfirmMs
  return { ...memory, ran: true, counted, excused: false, swept: false, runningSinceMs, ...steady ? { crashes: 0 } : {} }
}

/** Steps whose failures say that this machine cannot have the VM running. */
const MAKES: ReadonlySet<Step['do']> = new Set(['create', 'restore', 'start'])

export function learn(memory: Memory, step: Step, outcome: Outcome, nowMs: number): Memory {
  if (!outcome.ok) {
    const pauses = memory.pauses + 1
    const failures = memory.failures + (outcome.counts && MAKES.has(step.do) ? 1 : 0)
    return { ...memory, pauses, failures, notBeforeMs: nowMs + backoffMs(pauses), error: outcome.error, swept: false }
  }
  const failed = memory.failures > 0 && !MAKES.has(step.do)
  // What went well beside it does not make a start that fails any better.
  const next: Memory = failed ? memory : { ...without(memory, 'error'), pauses: 0, notBeforeMs: 0 }
  switch (step.do) {
    case 'create': case 'restore': return { ...next, failures: 0 }
    case 'start': return { ...next, failures: 0, ran: true, counted: false, excused: false, fenced: false, swept: false, heard: false, listenAtMs: 0, startedAtMs: nowMs, crashes: memory.crashes + (step.again ? 1 : 0) }
    case 'count': return { ...next, counted: true }
    case 'destroy': return { ...next, swept: true }
    case 'listen': return { ...next, heard: outcome.heard === true, listenAtMs: nowMs + LIMITS.agentReadyPollMs }
    default: return next
  }
}

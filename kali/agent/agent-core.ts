// The next step for one VM on this machine, from what is there now: pure, level by level. Events only shorten the wait;
// whatever was missed is seen the next time, and no state waits for an event that cannot come.
//
//   whose copy is it (standing.ts) --> what is wanted of it --> one step --> looked at again
//
// Invariants (cloud.md 5.3, 5.9, 5.12, 5.13):
//   - a protected VM is started only with the lease held and the watchdog armed for it; the guard asks for the epoch then
//   - a restart is counted before it is done; none without a try left
//   - phase 'crashed' is a promise: it is off here, and this agent starts it only after somebody has decided anew. So a
//     policy may take it elsewhere. 'failed' is none: it is tried again
//   - a stale copy is destroyed and undefined, its disks are kept
// Attempts here are few when protected (then it is the HA policy's), many when not (then it is a human's).

import { LIMITS } from '../../fabric/base.ts'
import type { IntentRecord, StatusRecord } from '../cloud/contract.ts'
import type { AgentDomain } from '../cloud/parts.ts'
import { triesNow, withTry } from '../cloud/tries.ts'
import { backoffMs, isOff } from './memory.ts'
import { hasArrived, standingOf } from './standing.ts'
import type { Decision, Memory, Report, Seen, Step } from './steps.ts'

type Wanted = Seen & { readonly intent: NonNullable<Seen['intent']> }
type Present = Wanted & { readonly domain: AgentDomain }

const rest = (report?: Report, atMs?: number): Decision => ({ step: { do: 'rest', ...atMs === undefined ? {} : { atMs } }, ...report === undefined ? {} : { report } })
const doing = (step: Step, report?: Report): Decision => ({ step, ...report === undefined ? {} : { report } })
/** After failures not before their back-off is over. `meanwhile`: the phase while it waits. */
const paced = ({ notBeforeMs, error }: Memory, { nowMs }: Seen, step: Step, report?: Report, meanwhile?: Report['phase']): Decision => {
  if (nowMs >= notBeforeMs) return doing(step, report)
  const phase = meanwhile ?? report?.phase
  return rest(phase === undefined ? undefined : { phase, ...error === undefined ? {} : { error } }, notBeforeMs)
}

/** Why it is off, as the hypervisor says it. Off for no reason that is known (the host went down with it) is no wish of the guest's. */
export function endOf({ state, reason }: Pick<AgentDomain, 'state' | 'reason'>): 'shut-down' | 'crashed' {
  return state === 'stopped' && reason === 'shutdown' ? 'shut-down' : 'crashed'
}

export function decide(seen: Seen, memory: Memory): Decision {
  const { intent, domain, status, self } = seen
  // What cannot be seen now is neither there nor gone.
  if (!seen.connected) return rest()
  if (domain === undefined) return intent?.machine?.uuid === self ? missing({ ...seen, intent }, memory) : seen.armed === undefined ? rest() : doing({ do: 'disarm' })
  const judged = standingOf(domain, intent, status, self)
  const standing = judged === 'stale' && memory.here && intent?.machine?.uuid === self ? 'unstamped' : judged
  if (intent === undefined || standing === 'released' || standing === 'foreign') {
    if (seen.armed !== undefined) return doing({ do: 'disarm' })
    return standing === 'released' ? paced(memory, seen, { do: 'stamp', epoch: 0 }) : rest()
  }
  const present: Present = { ...seen, intent, domain }
  switch (standing) {
    case 'ahead': return rest()
    case 'stale': return expel(present, memory)
    case 'leaving': return intent.machine === undefined ? rest() : paced(memory, seen, { do: 'migrate', to: intent.machine })
    case 'unstamped': return paced(memory, seen, { do: 'stamp', epoch: intent.epoch }, { phase: isOff(domain.state) ? 'creating' : 'running' })
    case 'ours': return isOff(domain.state) ? off(present, memory) : active(present, memory)
  }
}

// ---------------------------------------------------------------- copies that are not this machine's

function expel(seen: Present, memory: Memory): Decision {
  if (!isOff(seen.domain.state)) return paced(memory, seen, { do: 'destroy' })
  if (seen.armed !== undefined) return doing({ do: 'disarm' })
  return paced(memory, seen, { do: 'remove', keepDisks: true })
}

// ---------------------------------------------------------------- not there

const phaseHere = ({ intent, status }: Wanted): StatusRecord['phase'] | undefined => status?.epoch === intent.epoch && status.machine === intent.machine?.uuid ? status.phase : undefined

/** Nobody else can have it, and here it is not: it is made, or made again, or it is on its way. */
function missing(seen: Wanted, memory: Memory): Decision {
  const { intent, nowMs } = seen
  if (seen.armed !== undefined) return doing({ do: 'disarm' })
  if (intent.origin === 'migrate' && !memory.ran && !hasArrived(intent, seen.status)) {
    const lateMs = memory.sinceMs + LIMITS.agentArrivalMs
    return nowMs < lateMs ? rest({ phase: 'migrating' }, lateMs)
      : rest({ phase: 'failed', error: `it has not come within ${LIMITS.agentArrivalMs / 60_000} minutes; see what the machine that it comes from says` })
  }
  if (intent.desired === 'absent') return paced(memory, seen, { do: 'forget' })
  if (intent.error !== undefined) return rest({ phase: 'crashed', error: intent.error })
  const gaveUp = givesUp(seen, memory)
  if (gaveUp !== undefined) return gaveUp
  const phase = phaseHere(seen)
  // Made already, and vanished since: made from its image again it would be another one.
  const made = memory.ran || (phase !== undefined && phase !== 'creating' && phase !== 'failed')
  return paced(memory, seen, { do: intent.origin === 'create' && !made ? 'create' : 'restore' }, { phase: 'creating' }, 'failed')
}

/** Tried often enough here. */
function givesUp(seen: Wanted, memory: Memory): Decision | undefined {
  const { intent, domain } = seen
  const error = memory.error ?? 'it could not be kept running'
  if (intent.protection === undefined) {
    return Math.max(memory.failures, memory.crashes) < LIMITS.agentTriesMax ? undefined
      : paced({ ...memory, notBeforeMs: 0 }, seen, { do: 'give-up', error: `${LIMITS.agentTriesMax} tries in a row failed: ${error}` }, { phase: 'crashed', error })
  }
  if (memory.failures < LIMITS.agentTriesProtected) return undefined
  // A start that was given up may still come: after a destroy it cannot.
  if (domain !== undefined && !memory.swept) return paced(memory, seen, { do: 'destroy' }, { phase: 'failed', error })
  return left(seen, error)
}

/** The HA policy's from here on. */
const left = (seen: Wanted, error?: string): Decision => {
  const report: Report = { phase: 'crashed', ...error === undefined ? {} : { error } }
  return seen.armed === undefined ? rest(report) : doing({ do: 'disarm' }, report)
}

// ---------------------------------------------------------------- there and off

function off(seen: Present, memory: Memory): Decision {
  const { intent, domain, armed, nowMs } = seen
  if (intent.desired !== 'running') {
    if (armed !== undefined) return doing({ do: 'disarm' })
    if (intent.desired === 'absent') return paced(memory, seen, { do: 'remove', keepDisks: false }, { phase: 'stopping' })
    const phase = phaseHere(seen) === 'shut-down' || intent.decidedBy === 'guest' ? 'shut-down' : 'stopped'
    return seen.sameSettings ? rest({ phase }) : paced(memory, seen, { do: 'keep-settings' }, { phase })
  }
  if (intent.error !== undefined) return left(seen, intent.error)
  const gaveUp = givesUp(seen, memory)
  if (gaveUp !== undefined) return gaveUp

  const { protection, tries } = intent
  const phase = phaseHere(seen)
  const ran = memory.ran || phase === 'running' || phase === 'ready' || phase === 'crashed'
  const again = ran && !memory.excused && !memory.fenced && domain.state !== 'saved'
  const end = endOf(domain)
  if (again && end === 'shut-down' && (protection?.onGuestShutdown ?? 'leave') === 'leave') return paced(memory, seen, { do: 'leave' })
  if (again && protection !== undefined && end === 'crashed') {
    // Once it is promised to the HA policy a window that ends changes nothing: that one decides.
    const { restarts } = phase === 'crashed' ? tries : triesNow(tries, protection.windowMs, seen.wallMs)
    if (!memory.counted) return restarts < protection.restarts ? paced(memory, seen, { do: 'count' }, { phase: 'starting' }, 'starting') : left(seen)
  } else if (again) {
    const dueMs = (memory.startedAtMs ?? nowMs) + backoffMs(memory.crashes)
    if (memory.crashes > 0 && nowMs < dueMs) return rest({ phase: 'failed', error: 'it keeps ending soon after its start' }, dueMs)
  }
  if (protection !== undefined) {
    if (armed === undefined || !seen.held) return paced(memory, seen, { do: 'arm' }, { phase: 'starting' }, 'failed')
    if (!protection.armed) return paced(memory, seen, { do: 'confirm' }, { phase: 'starting' }, 'failed')
  }
  return paced(memory, seen, { do: 'start', again }, { phase: 'starting' }, 'failed')
}

// ---------------------------------------------------------------- there and running

function active(seen: Present, memory: Memory): Decision {
  const { intent, domain, group, armed } = seen
  if (intent.desired !== 'running') {
    // Asked, and asked again; one that cannot be asked has its plug pulled.
    const step: Step = memory.pauses > 0 ? { do: 'destroy' } : { do: 'stop', patienceMs: group?.spec.drainMs ?? LIMITS.agentStopPatienceMs }
    return paced(memory, seen, step, { phase: 'stopping' })
  }
  const { report, step, atMs } = readiness(seen, memory)
  const { protection, tries } = intent
  if (protection === undefined) {
    if (armed !== undefined) return doing({ do: 'disarm' }, report)
  } else {
    if (memory.fenced && !seen.held) return doing({ do: 'destroy' })
    if (armed === undefined || (domain.pid !== undefined && armed.pid !== domain.pid)) return paced(memory, seen, { do: 'arm', ...domain.pid === undefined ? {} : { pid: domain.pid } }, report)
    if (!protection.armed && seen.held) return paced(memory, seen, { do: 'confirm' }, report)
  }
  // libvirt would start it with the host, and ask nobody.
  if (domain.settings.autostart === true) return paced(memory, seen, { do: 'stamp', epoch: intent.epoch }, report)
  if (!seen.sameSettings) return paced(memory, seen, { do: 'keep-settings' }, report)
  const ranMs = seen.nowMs - (memory.runningSinceMs ?? seen.nowMs)
  const windowMs = protection?.windowMs ?? Infinity
  const tried = tries.restarts + tries.relocations > 0
  if (tried && ranMs >= windowMs) return paced(memory, seen, { do: 'reset-tries' }, report)
  if (step !== undefined) return doing(step, report)
  const resetAtMs = tried && windowMs < Infinity ? seen.nowMs + windowMs - ranMs : undefined
  return rest(report, atMs === undefined ? resetAtMs : Math.min(atMs, resetAtMs ?? Infinity))
}

/** A member of a group is ready when it said so, or has been warm for long enough; any other VM when it runs. */
function readiness(seen: Present, memory: Memory): { readonly report: Report; readonly step?: Step; readonly atMs?: number } {
  const { group, nowMs } = seen
  const running: Report = { phase: 'running' }
  if (group === undefined) return { report: running }
  const { readyText, warmUpMs } = group.spec
  // Said to be ready by an earlier life of the agent, and not started again since.
  const known = memory.startedAtMs === undefined && phaseHere(seen) === 'ready'
  const warmAtMs = (memory.runningSinceMs ?? nowMs) + warmUpMs
  if (memory.heard || known || (readyText === undefined && nowMs >= warmAtMs)) return { report: { phase: 'ready' } }
  if (readyText === undefined) return { report: running, atMs: warmAtMs }
  return nowMs >= memory.listenAtMs ? { report: running, step: { do: 'listen', text: readyText } } : { report: running, atMs: memory.listenAtMs }
}

/** Of the intent, what an agent's own restart makes of it; undefined: not its to restart any more. */
export function withRestart(present: IntentRecord, epoch: number, nowWallMs: number): IntentRecord['tries'] | undefined {
  const { protection, tries, desired } = present
  if (present.epoch !== epoch || desired !== 'running' || protection === undefined || triesNow(tries, protection.windowMs, nowWallMs).restarts >= protection.restarts) return undefined
  return withTry(tries, 'restarts', protection.windowMs, nowWallMs)
}

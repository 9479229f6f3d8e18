// The lease of a host as a state machine: when to take, renew, let go, and give up. Pure: (state, event, now) -> state and
// actions; keeper.ts carries them out. `now` and all moments are of one clock that runs in suspend (boot-clock.ts).
//
//   idle --arm--> taking --granted--> held --last disarm--> idle
//                                      |  renewed: age counts from before it was sent
//                                      |  others cut off too, as many as it takes: age counts from before they were asked (cloud.md 5.10)
//                                      `--age >= F, gone, no watchdog--> fencing --all seen off--> idle
//
// Invariants: held only while age < F; a lease that ended is taken anew only from idle, when every protected VM has been
// seen off (but one that ended in a common outage: nobody can have taken over); whatever comes late changes nothing.

export type LeasePhase = 'idle' | 'taking' | 'held' | 'fencing'

export interface LeaseState {
  readonly phase: LeasePhase
  /** VMs that are protected here, or about to be. */
  readonly vms: ReadonlySet<string>
  /** Of the store; undefined while held: it ended in a common outage, and is being taken again. */
  readonly lease: string | undefined
  /** Moment from which the age counts; -Infinity: none. */
  readonly sinceMs: number
  /** The age counts from a common outage, not from a renewal. */
  readonly survives: boolean
  /** When the store is asked next. */
  readonly nextMs: number
  /** Number of the question to the store that is waited for; 0: none. What an older one failed to answer is no news. */
  readonly asking: { readonly store: number; readonly members: boolean }
  /** Questions to the store so far. */
  readonly asked: number
}

export type LeaseEvent =
  | { readonly type: 'arm'; readonly vm: string }
  /** Seen off, or protected no more. */
  | { readonly type: 'disarm'; readonly vm: string }
  | { readonly type: 'granted'; readonly request: number; readonly lease: string; readonly sentMs: number }
  | { readonly type: 'renewed'; readonly request: number; readonly lease: string; readonly sentMs: number }
  /** Not answered in time, or refused; a late answer may still come. */
  | { readonly type: 'failed'; readonly request: number }
  /** The store says that it has ended. */
  | { readonly type: 'gone'; readonly lease: string }
  | { readonly type: 'members'; readonly askedMs: number; readonly cutOffTogether: boolean }
  /** There is no watchdog, and none can be had; or it has given a VM up already. */
  | { readonly type: 'unguarded'; readonly why: string }
  /** Every protected VM has been seen off. */
  | { readonly type: 'fenced' }
  | { readonly type: 'tick' }

export type LeaseAction =
  | { readonly do: 'take'; readonly request: number }
  | { readonly do: 'renew'; readonly request: number; readonly lease: string }
  | { readonly do: 'ask-members' }
  /** The watchdog may let all `vms` run until then. */
  | { readonly do: 'feed'; readonly untilMs: number }
  /** These must be off; nothing new is begun. */
  | { readonly do: 'fence'; readonly vms: readonly string[]; readonly why: string }
  | { readonly do: 'let-go'; readonly lease: string }

export interface LeaseTimes { readonly renewMs: number; readonly giveUpMs: number }
export interface LeaseStep { readonly state: LeaseState; readonly actions: readonly LeaseAction[] }

const NOT_ASKING = { store: 0, members: false }
export const IDLE: LeaseState = { phase: 'idle', vms: new Set(), lease: undefined, sinceMs: -Infinity, survives: false, nextMs: Infinity, asking: NOT_ASKING, asked: 0 }

export const ageMs = ({ phase, sinceMs }: LeaseState, nowMs: number): number => phase === 'held' ? nowMs - sinceMs : Infinity
/** One sum for both who asks and who sets the timer: rounded in two ways, a timer would ring just before the end, again and again. */
const endsMs = ({ phase, sinceMs }: LeaseState, { giveUpMs }: LeaseTimes): number => phase === 'held' ? sinceMs + giveUpMs : -Infinity
export const isHeld = (state: LeaseState, times: LeaseTimes, nowMs: number): boolean => nowMs < endsMs(state, times)

/** When a tick has something to do. */
export function nextTickMs(state: LeaseState, times: LeaseTimes): number {
  const { phase, nextMs, asking } = state
  const askMs = asking.store > 0 || phase === 'idle' || phase === 'fencing' ? Infinity : nextMs
  return Math.min(askMs, phase === 'held' ? endsMs(state, times) : Infinity)
}

const stay = (state: LeaseState): LeaseStep => ({ state, actions: [] })
const without = (vms: ReadonlySet<string>, vm: string): ReadonlySet<string> => new Set([...vms].filter((each) => each !== vm))

function fence(state: LeaseState, why: string): LeaseStep {
  return { state: { ...state, phase: 'fencing', survives: false, nextMs: Infinity, asking: NOT_ASKING }, actions: [{ do: 'fence', vms: [...state.vms], why }] }
}
const asking = (state: LeaseState): LeaseState & { readonly asked: number } => ({ ...state, asked: state.asked + 1, asking: { ...state.asking, store: state.asked + 1 } })
const answered = (state: LeaseState, request: number): LeaseState => state.asking.store === request ? { ...state, asking: { ...state.asking, store: 0 } } : state
/** Nothing is held or wanted; old questions stay old. */
const idle = ({ asked }: LeaseState): LeaseState => ({ ...IDLE, asked })
function take(state: LeaseState): LeaseStep {
  const next = asking(state)
  return { state: next, actions: [{ do: 'take', request: next.asked }] }
}
const letGo = (lease: string | undefined): readonly LeaseAction[] => lease === undefined ? [] : [{ do: 'let-go', lease }]

function granted(before: LeaseState, { request, lease, sentMs }: Extract<LeaseEvent, { readonly type: 'granted' }>, times: LeaseTimes, nowMs: number): LeaseStep {
  const isAnswer = before.asking.store === request
  const state = answered(before, request)
  const wanted = isAnswer && state.lease === undefined && state.vms.size > 0
  // Asked for and wanted no more, or so late that it would have to be given up at once.
  if (!wanted || nowMs - sentMs >= times.giveUpMs) {
    return { state: isAnswer && state.vms.size === 0 ? idle(state) : state, actions: letGo(lease) }
  }
  const held: LeaseState = { ...state, phase: 'held', lease, sinceMs: Math.max(state.sinceMs, sentMs), survives: false, nextMs: sentMs + times.renewMs }
  return { state: held, actions: [{ do: 'feed', untilMs: held.sinceMs + times.giveUpMs }] }
}

function failed(state: LeaseState, request: number, times: LeaseTimes, nowMs: number): LeaseStep {
  if (state.asking.store !== request) return stay(state)
  if (state.phase === 'taking' && state.vms.size === 0) return stay(idle(state))
  const retry: LeaseState = { ...answered(state, request), nextMs: nowMs + times.renewMs / 4 }
  if (state.phase !== 'held' || state.asking.members) return stay(retry)
  return { state: { ...retry, asking: { store: 0, members: true } }, actions: [{ do: 'ask-members' }] }
}

function tick(state: LeaseState, times: LeaseTimes, nowMs: number): LeaseStep {
  if (state.phase === 'idle' || state.phase === 'fencing' || state.asking.store > 0 || nowMs < state.nextMs) return stay(state)
  if (state.lease === undefined) return take(state)
  const next = asking({ ...state, nextMs: nowMs + times.renewMs })
  return { state: next, actions: [{ do: 'renew', request: next.asked, lease: state.lease }] }
}

export function step(before: LeaseState, event: LeaseEvent, times: LeaseTimes, nowMs: number): LeaseStep {
  // First of all, whatever happened: a stalled host finds out here, before anything that came meanwhile is believed.
  if (before.phase === 'held' && !isHeld(before, times, nowMs)) {
    const given = fence(before, `its lease was not renewed for ${Math.round(ageMs(before, nowMs))} ms`)
    if (event.type !== 'disarm' && event.type !== 'granted') return given
    const then = step(given.state, event, times, nowMs)
    return { state: then.state, actions: [...given.actions, ...then.actions] }
  }
  const state = before
  switch (event.type) {
    case 'arm': {
      if (state.phase === 'fencing' || state.vms.has(event.vm)) return stay(state)
      const armed: LeaseState = { ...state, vms: new Set([...state.vms, event.vm]) }
      if (state.phase === 'idle') return take({ ...armed, phase: 'taking', nextMs: nowMs })
      return state.phase === 'held' ? { state: armed, actions: [{ do: 'feed', untilMs: state.sinceMs + times.giveUpMs }] } : stay(armed)
    }
    case 'disarm': {
      const left: LeaseState = { ...state, vms: without(state.vms, event.vm) }
      // While it is being taken, the answer decides; while fencing, all are waited for.
      if (left.vms.size > 0 || state.phase === 'fencing' || state.phase === 'idle') return stay(left)
      if (state.phase === 'taking') return stay(state.asking.store > 0 ? left : idle(left))
      return { state: idle(left), actions: letGo(state.lease) }
    }
    case 'granted': return granted(state, event, times, nowMs)
    case 'renewed': {
      if (state.phase !== 'held' || state.lease !== event.lease) return stay(state)
      const sinceMs = Math.max(state.sinceMs, event.sentMs)
      const kept: LeaseState = { ...answered(state, event.request), sinceMs, survives: state.survives && sinceMs > event.sentMs }
      return { state: kept, actions: [{ do: 'feed', untilMs: sinceMs + times.giveUpMs }] }
    }
    case 'failed': return failed(state, event.request, times, nowMs)
    case 'gone': {
      if (state.phase !== 'held' || state.lease !== event.lease) return stay(state)
      if (!state.survives) return fence(state, 'the global store says that its lease has ended')
      return take({ ...state, lease: undefined })
    }
    case 'members': {
      if (state.phase !== 'held') return stay(state)
      const told: LeaseState = { ...state, asking: { ...state.asking, members: false } }
      if (!event.cutOffTogether || event.askedMs <= state.sinceMs) return stay(told)
      return { state: { ...told, sinceMs: event.askedMs, survives: true }, actions: [{ do: 'feed', untilMs: event.askedMs + times.giveUpMs }] }
    }
    case 'unguarded': return state.phase === 'held' ? fence(state, event.why) : stay(state)
    case 'fenced': return state.phase === 'fencing' ? { state: idle(state), actions: letGo(state.lease) } : stay(state)
    case 'tick': return tick(state, times, nowMs)
  }
}

// State machine of a VM, pure: which verb may run in which state, which ones are done already, and what comes next.
//
//   cold --add--> stopped <--stop, destroy-- running <--resume-- paused
//                    |  \--start----------------^ \---suspend-----^
//   crashed --start--^   saved <--save-- running, paused;   saved --start--> running
//   stopped, crashed, saved --remove--> gone
//
// A verb that asks for what is there already succeeds (start of a running VM); any other mismatch is
// RMO_ERR_STATE_INVALID and says what is needed.

import type { DomainState } from './driver/contract.ts'
import { RMO } from './errors.ts'

export type VmState = DomainState | 'cold' | 'gone'
export const VM_STATES = ['cold', 'running', 'paused', 'stopping', 'stopped', 'crashed', 'saved', 'gone'] as const satisfies readonly VmState[]

interface Rule {
  /** States it works from. */
  readonly from: readonly VmState[]
  /** States in which what it asks for is there. */
  readonly done: readonly VmState[]
  /** State it leads to; left out: it stays what it was. */
  readonly to?: VmState
  /** For people, as it stands after "needs it". */
  readonly needs: string
}
const OFF = ['stopped', 'crashed'] as const

const RULES = {
  add: { from: ['cold'], done: [], to: 'stopped', needs: 'cold' },
  start: { from: [...OFF, 'saved'], done: ['running'], to: 'running', needs: 'stopped, crashed or saved (resume() lets a paused one go on)' },
  startPaused: { from: [...OFF, 'saved'], done: ['paused'], to: 'paused', needs: 'stopped, crashed or saved' },
  stop: { from: ['running', 'stopping'], done: [...OFF, 'saved'], to: 'stopped', needs: 'running (a paused guest cannot answer: resume() it, or stop({ force: true }))' },
  destroy: { from: ['running', 'paused', 'stopping'], done: [...OFF, 'saved'], to: 'stopped', needs: 'added' },
  reboot: { from: ['running'], done: [], needs: 'running' },
  suspend: { from: ['running'], done: ['paused'], to: 'paused', needs: 'running' },
  resume: { from: ['paused'], done: ['running'], to: 'running', needs: 'paused' },
  save: { from: ['running', 'paused'], done: ['saved'], to: 'saved', needs: 'running or paused' },
  migrate: { from: ['running', 'paused', ...OFF], done: [], needs: 'running, paused or stopped' },
  clone: { from: OFF, done: [], needs: 'stopped, so that its disks hold still' },
  snapshot: { from: ['running', 'paused', ...OFF], done: [], needs: 'running, paused or stopped' },
  revert: { from: ['running', 'paused', 'stopping', ...OFF, 'saved'], done: [], needs: 'added' },
  change: { from: ['running', 'paused', 'stopping', ...OFF, 'saved'], done: [], needs: 'added' },
  rename: { from: OFF, done: [], needs: 'stopped' },
  console: { from: ['running', 'paused', 'stopping'], done: [], needs: 'running' },
  serial: { from: ['running', 'paused', 'stopping'], done: [], needs: 'running' },
  remove: { from: OFF, done: ['gone'], to: 'gone', needs: 'stopped (or force)' },
} as const satisfies Readonly<Record<string, Rule>>

export type VmOperation = keyof typeof RULES
export const VM_OPERATIONS = Object.keys(RULES) as readonly VmOperation[]

/** 'do': carry it out; 'done': nothing to do, success; 'refuse': not in this state. */
export type VmDecision = { readonly answer: 'do'; readonly to: VmState } | { readonly answer: 'done' } | { readonly answer: 'refuse'; readonly needs: string }

export function decide(operation: VmOperation, state: VmState): VmDecision {
  const rule: Rule = RULES[operation]
  if (rule.done.includes(state)) return { answer: 'done' }
  if (rule.from.includes(state)) return { answer: 'do', to: rule.to ?? state }
  return { answer: 'refuse', needs: rule.needs }
}

/** True when it must be carried out, false when there is nothing to do; throws RMO_ERR_STATE_INVALID, RMO_ERR_GONE or RMO_ERR_COLD. */
export function mustDo(operation: VmOperation, { name, state }: { readonly name: string; readonly state: VmState }): boolean {
  const decision = decide(operation, state)
  if (decision.answer !== 'refuse') return decision.answer === 'do'
  if (state === 'gone') throw RMO.GONE({ kind: 'VM', name, reason: 'it was removed' })
  if (state === 'cold') throw RMO.COLD({ kind: 'VM', name, verb: operation })
  throw RMO.STATE_INVALID({ kind: 'VM', name, operation, state, needs: decision.needs })
}

/** The three levels that matter to a watcher; states of one level differ only in why. */
export type VmLevel = 'running' | 'paused' | 'off'
export const levelOf = (state: DomainState): VmLevel =>
  state === 'paused' ? 'paused' : state === 'running' || state === 'stopping' ? 'running' : 'off'
/** It uses processor and memory. */
export const isActive = (state: DomainState): boolean => levelOf(state) !== 'off'

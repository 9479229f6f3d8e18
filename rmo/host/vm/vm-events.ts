// What a driver's event means for watchers, and what is told when a reading finds what no event has told. Pure.

import type { DomainRecord, DomainState, DriverEvent } from '../../driver/contract.ts'
import { levelOf } from '../../vm-state.ts'
import type { VmLevel } from '../../vm-state.ts'

export type StateEventType = 'started' | 'suspended' | 'resumed' | 'stopped' | 'crashed' | 'saved'
export interface StateChange { readonly type: StateEventType; readonly state: DomainState; readonly reason: string }

/** libvirt's details of "stopped" that mean: not asked for by anybody ("failed": the emulator died). */
const CRASHES = new Set(['crashed', 'failed'])

/** undefined: says nothing about its state (defined, undefined, shutdown: the guest is on its way, "stopped" follows). */
export function changedByEvent(event: Extract<DriverEvent, { readonly type: 'domain' }>): StateChange | undefined {
  const reason = event.detail
  switch (event.event) {
    case 'started': case 'migratedIn': return { type: 'started', state: 'running', reason: event.event === 'migratedIn' ? 'migrated' : reason }
    case 'suspended': return { type: 'suspended', state: 'paused', reason }
    case 'resumed': return { type: 'resumed', state: 'running', reason }
    case 'crashed': return { type: 'crashed', state: 'crashed', reason }
    case 'saved': return { type: 'saved', state: 'saved', reason }
    case 'stopped':
      if (CRASHES.has(reason)) return { type: 'crashed', state: 'crashed', reason }
      return reason === 'saved' ? { type: 'saved', state: 'saved', reason } : { type: 'stopped', state: 'stopped', reason }
    default: return undefined
  }
}

/** The event that leads from the level told last to the state that was read. */
export function toldByLevel(told: VmLevel, { state, reason }: Pick<DomainRecord, 'state' | 'reason'>): StateEventType {
  switch (levelOf(state)) {
    case 'running': return told === 'paused' ? 'resumed' : 'started'
    case 'paused': return told === 'running' ? 'suspended' : 'started'
    case 'off': return state === 'crashed' || CRASHES.has(reason) ? 'crashed' : state === 'saved' ? 'saved' : 'stopped'
  }
}

// libvirt's domain states and reasons (virDomainState, virDomainRunningReason, ...) in Kumoi's words. Pure.

import type { DomainState } from '../contract.ts'

const RUNNING = ['unknown', 'booted', 'migrated', 'restored', 'from-snapshot', 'unpaused', 'migration-canceled', 'save-canceled', 'wakeup', 'crashed', 'postcopy', 'postcopy-failed'] as const
const PAUSED = ['unknown', 'user', 'migration', 'save', 'dump', 'io-error', 'watchdog', 'from-snapshot', 'shutting-down', 'snapshot', 'crashed', 'starting-up', 'postcopy', 'postcopy-failed', 'api-error'] as const
const SHUTOFF = ['unknown', 'shutdown', 'destroyed', 'crashed', 'migrated', 'saved', 'failed', 'from-snapshot', 'daemon'] as const
const SHUTOFF_CRASHED = 3

// By virDomainState: no state, running, blocked, paused, shutdown (being shut down), shut off, crashed, suspended by the guest.
const STATES: readonly { readonly state: DomainState; readonly reasons: readonly string[] }[] = [
  { state: 'running', reasons: RUNNING }, { state: 'running', reasons: RUNNING }, { state: 'running', reasons: ['unknown'] }, { state: 'paused', reasons: PAUSED },
  { state: 'stopping', reasons: ['unknown', 'user'] }, { state: 'stopped', reasons: SHUTOFF }, { state: 'crashed', reasons: ['unknown', 'panicked'] }, { state: 'paused', reasons: ['guest-suspended'] },
]

/** State and reason from libvirt's numbers. QEMU that died is shut off with the reason "crashed"; a stopped domain with an image of its memory is "saved". */
export function domainState(state: number, reason: number, hasSavedMemory: boolean): { readonly state: DomainState; readonly reason: string } {
  const row = STATES[state] ?? { state: 'running', reasons: [] }
  const why = row.reasons[reason] ?? `number ${reason}`
  if (row.state !== 'stopped') return { state: row.state, reason: why }
  if (hasSavedMemory) return { state: 'saved', reason: why }
  return { state: reason === SHUTOFF_CRASHED ? 'crashed' : 'stopped', reason: why }
}

/** A process runs it. */
export const isActive = (state: DomainState): boolean => state === 'running' || state === 'paused' || state === 'stopping'

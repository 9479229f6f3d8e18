// libvirt's events, each with its C callback, its number and what it becomes: a driver event without a time.
//
// Used by the event thread (callbacks) and by operations/connection.ts (registrations). Numbers are those of
// virDomainEventID, virDomainEventType and so on (libvirt-domain.h, libvirt-network.h, libvirt-storage.h).

import type { RawEvent } from './messages.ts'
import type { Pointer } from './operation.ts'

/** Whose event it is; decides how name and uuid are read and which function registers it. */
export type EventSource = 'domain' | 'network' | 'pool'
export interface EventSubject { readonly uuid: string; readonly name: string }
export interface EventRow {
  readonly source: EventSource
  readonly id: number
  /** C parameters between the object and the opaque token. */
  readonly parameters: readonly ('int' | 'str' | 'uint64_t')[]
  /** undefined: of no interest. */
  make(subject: EventSubject, values: readonly (number | bigint | string | null)[]): RawEvent | undefined
}
type LifecycleName = Extract<RawEvent, { type: 'domain' }>['event']
type SignalName = Extract<RawEvent, { type: 'domain-signal' }>['event']

const LIFECYCLE: readonly { readonly event: LifecycleName; readonly details: readonly string[] }[] = [
  { event: 'defined', details: ['added', 'updated', 'renamed', 'from-snapshot'] },
  { event: 'undefined', details: ['removed', 'renamed'] },
  { event: 'started', details: ['booted', 'migrated', 'restored', 'from-snapshot', 'wakeup'] },
  { event: 'suspended', details: ['paused', 'migrated', 'io-error', 'watchdog', 'restored', 'from-snapshot', 'api-error', 'postcopy', 'postcopy-failed'] },
  { event: 'resumed', details: ['unpaused', 'migrated', 'from-snapshot', 'postcopy', 'postcopy-failed'] },
  { event: 'stopped', details: ['shutdown', 'destroyed', 'crashed', 'migrated', 'saved', 'failed', 'from-snapshot'] },
  { event: 'shutdown', details: ['finished', 'guest', 'host'] },
  { event: 'suspended', details: ['guest-memory', 'guest-disk'] },
  { event: 'crashed', details: ['panicked', 'crashloaded'] },
]
/** What a lifecycle event means to Kumoi where the detail decides. QEMU dead without a word is "stopped, failed". */
const MEANING: Readonly<Record<string, LifecycleName>> = {
  'resumed/migrated': 'migratedIn', 'stopped/migrated': 'migratedOut', 'stopped/saved': 'saved', 'stopped/crashed': 'crashed', 'stopped/failed': 'crashed',
}
const WATCHDOG = ['none', 'pause', 'reset', 'poweroff', 'shutdown', 'debug', 'inject-nmi'] as const
const IO_ERROR = ['none', 'pause', 'report'] as const
const AGENT = ['unknown', 'connected', 'disconnected'] as const
const POOL = ['defined', 'undefined', 'started', 'stopped', 'created', 'deleted'] as const
const NETWORK = ['defined', 'undefined', 'started', 'stopped'] as const
const KIB = 1024

const word = (words: readonly string[], value: unknown): string => words[Number(value)] ?? `number ${String(value)}`

/** A lifecycle event by its two numbers; undefined for numbers of a newer libvirt. */
export function lifecycle(event: number, detail: number): { readonly event: LifecycleName; readonly detail: string } | undefined {
  const row = LIFECYCLE[event]
  if (row === undefined) return undefined
  const why = word(row.details, detail)
  return { event: MEANING[`${row.event}/${why}`] ?? row.event, detail: why }
}

const signal = (id: number, event: SignalName, parameters: EventRow['parameters'], read: (values: readonly (number | bigint | string | null)[]) => { readonly detail: string; readonly value?: number }): EventRow =>
  ({ source: 'domain', id, parameters, make: (subject, values) => ({ type: 'domain-signal', ...subject, event, ...read(values) }) })
const alias = (values: readonly unknown[]): { detail: string } => ({ detail: String(values[0] ?? '') })

export const EVENTS: Readonly<Record<string, EventRow>> = {
  lifecycle: {
    source: 'domain', id: 0, parameters: ['int', 'int'],
    make(subject, [event, detail]) {
      const meant = lifecycle(Number(event), Number(detail))
      return meant === undefined ? undefined : { type: 'domain', ...subject, ...meant }
    },
  },
  reboot: signal(1, 'reboot', [], () => ({ detail: '' })),
  watchdog: signal(3, 'watchdog', ['int'], ([action]) => ({ detail: word(WATCHDOG, action) })),
  ioError: signal(6, 'ioError', ['str', 'str', 'int', 'str'], ([path, device, action, reason]) =>
    ({ detail: `${String(reason || 'I/O error')} on ${String(path || device)}, action ${word(IO_ERROR, action)}` })),
  balloon: signal(13, 'balloon', ['uint64_t'], ([actualKiB]) => ({ detail: 'bytes', value: Number(actualKiB) * KIB })),
  deviceRemoved: signal(15, 'deviceRemoved', ['str'], alias),
  agent: signal(18, 'agent', ['int', 'int'], ([state]) => ({ detail: word(AGENT, state) })),
  deviceAdded: signal(19, 'deviceAdded', ['str'], alias),
  migration: signal(20, 'migration', ['int'], ([iteration]) => ({ detail: 'iteration', value: Number(iteration) })),
  deviceRemovalFailed: signal(22, 'deviceRemovalFailed', ['str'], alias),
  metadata: signal(23, 'metadata', ['int', 'str'], ([, namespace]) => ({ detail: String(namespace ?? '') })),
  network: { source: 'network', id: 0, parameters: ['int', 'int'], make: (subject, [event]) => ({ type: 'network', ...subject, event: word(NETWORK, event) }) },
  pool: { source: 'pool', id: 0, parameters: ['int', 'int'], make: (subject, [event]) => ({ type: 'pool', ...subject, event: word(POOL, event) }) },
  poolRefresh: { source: 'pool', id: 1, parameters: [], make: (subject) => ({ type: 'pool', ...subject, event: 'refreshed' }) },
}

/** The token that a registration carries, as the pointer C hands back. */
export const tokenOf = (opaque: Pointer | null): number => Number(opaque ?? 0n)

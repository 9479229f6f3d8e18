// What is written down of a migration, before each phase, on both sides; and what a restart makes of it. The rule at the
// end is pure: cloud.md 5.8, "never both running".

import type { NodeId } from '../../../fabric/base.ts'
import type { LocalStore } from '../../../fabric/mod.ts'
import { LIMITS, errorCode } from '../../../fabric/base.ts'
import type { DomainState } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import type { MigrationRecord } from '../../kinds/interfaces.ts'
import { levelOf } from '../../vm-state.ts'
import { textOf } from '../all-or-nothing.ts'

export interface MigrationNote extends MigrationRecord {
  readonly role: 'outgoing' | 'incoming'
  readonly uuid: string
  readonly name: string
  /** The other side. */
  readonly peer: NodeId
  /** Its machine; one node can stand for several simulated ones. */
  readonly machine: string
  /** On whose behalf. */
  readonly principal: string
  /** Of the VM when it began. */
  readonly state: DomainState
  /** What the destination's driver needs to let it go on, once the source has let go of it. */
  readonly handover?: string
}

const ENDED: ReadonlySet<MigrationRecord['phase']> = new Set(['done', 'failed', 'cancelled'])
export const hasEnded = ({ phase }: Pick<MigrationRecord, 'phase'>): boolean => ENDED.has(phase)

export const inPhase = (note: MigrationNote, phase: MigrationRecord['phase'], atMs: number, more: { readonly error?: string; readonly handover?: string } = {}): MigrationNote =>
  ({ ...note, ...more, phase, phases: [...note.phases, { phase, atMs: Math.round(atMs) }] })

/** As users see it. */
export const recordOf = ({ id, from, to, phase, phases, error }: MigrationNote): MigrationRecord => ({ id, from, to, phase, phases, ...error === undefined ? {} : { error } })

/** Hosts of one node share its store. */
const prefixOf = (machineUuid: string): string => `migration/${machineUuid}/`

export interface MigrationNotes {
  /** Of the VM's last migration. */
  get(uuid: string): MigrationNote | undefined
  /** Durable when it resolves; notes of one VM are written in order. */
  save(note: MigrationNote): Promise<void>
  drop(uuid: string): Promise<void>
  /** Not ended. */
  open(): readonly MigrationNote[]
}

export function createMigrationNotes(store: Pick<LocalStore, 'get' | 'range' | 'write'>, machineUuid: string): MigrationNotes {
  const prefix = prefixOf(machineUuid)
  const read = (): readonly MigrationNote[] => store.range({ prefix, limit: LIMITS.migrationNotesMax * 2 }).map(({ value }) => JSON.parse(value) as MigrationNote)
  let writing: Promise<void> = Promise.resolve()
  const write = (key: string, value: string | undefined): Promise<void> => {
    const turn = writing.then(() => store.write([{ key, value }]))
    writing = turn.catch(() => {})
    return turn
  }
  /** Ended ones are only for info(); the oldest go first. */
  const prune = async (): Promise<void> => {
    const ended = read().filter(hasEnded)
    const startedAtMs = ({ phases }: MigrationNote): number => phases[0]?.atMs ?? 0
    const over = ended.length - LIMITS.migrationNotesMax
    if (over > 0) for (const { uuid } of ended.sort((a, b) => startedAtMs(a) - startedAtMs(b)).slice(0, over)) await write(prefix + uuid, undefined)
  }
  return {
    get(uuid) {
      const value = store.get(prefix + uuid)
      return value === undefined ? undefined : JSON.parse(value) as MigrationNote
    },
    async save(note) {
      await write(prefix + note.uuid, JSON.stringify(note))
      if (hasEnded(note)) await prune()
    },
    drop: (uuid) => write(prefix + uuid, undefined),
    open: () => read().filter((note) => !hasEnded(note)),
  }
}

/** What one side is known to have: a domain in some state, none ('absent'), or no answer ('unknown'). */
export type Side = DomainState | 'absent' | 'unknown'

/**
 * 'stays': it is the source's; the destination gives up what it has. 'moved': it is the destination's; the source gives
 * up what it has. 'complete': it has left the source and runs nowhere, so the destination takes it over, if it can.
 * 'wait': not to be known now, so nothing is touched.
 */
export type Verdict = 'stays' | 'moved' | 'complete' | 'wait'

export function settle(here: Side, there: Side): Verdict {
  if (here === 'unknown') return 'wait'
  if (here === 'absent') {
    if (there === 'unknown') return 'wait'
    return there === 'absent' ? 'complete' : 'moved'
  }
  // It runs here, so it must not run there, whatever is there.
  if (levelOf(here) === 'running') return 'stays'
  if (there === 'unknown') return 'wait'
  // A source that stands still while the destination runs has handed over.
  return there !== 'absent' && levelOf(there) === 'running' ? 'moved' : 'stays'
}

/** Why, without repeating what the error around it says: drivers and destinations refuse with the same codes. */
export function reasonOf(error: unknown): string {
  const { reason } = (error as { readonly details?: { readonly reason?: unknown } } | undefined)?.details ?? {}
  const code = errorCode(error)
  return typeof reason === 'string' && (code === RMO.MIGRATION_FAILED.code || code === RMO.MIGRATION_REFUSED.code) ? reason : textOf(error)
}

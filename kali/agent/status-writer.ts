// Status records of one VM: the newest only, written beside the work, so that a slow store keeps no VM waiting.
//
// One exception: a phase that others act on ('crashed': it may be taken elsewhere) is withdrawn before it is broken.
// What cannot be written is written with the next look.

import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Clock, Timer } from '../../fabric/base.ts'
import type { IntentRecord, StatusRecord } from '../cloud/contract.ts'
import type { CloudBook } from '../cloud/parts.ts'
import { KALI } from '../errors.ts'
import type { Report } from './steps.ts'

export interface StatusWriter {
  /** What was written last, or is being written. */
  known(): StatusRecord | undefined
  tell(intent: IntentRecord, report: Report, attempts: number): void
  /** Resolves when the store has another phase than this one. Rejects when it cannot be written. */
  withdrawn(phase: StatusRecord['phase']): Promise<void>
  stop(): void
}
export interface StatusWriterOptions {
  readonly vm: string
  readonly machine: string
  /** As the view has it. */
  stored(): StatusRecord | undefined
  readonly book: Pick<CloudBook, 'status'>
  readonly clock: Clock
  /** It could not be written: look again. */
  retry(): void
}

const same = (a: StatusRecord | undefined, b: StatusRecord): boolean =>
  a !== undefined && a.machine === b.machine && a.epoch === b.epoch && a.phase === b.phase && a.attempts === b.attempts && a.error === b.error

export function createStatusWriter({ vm, machine, stored, book, clock, retry }: StatusWriterOptions): StatusWriter {
  /** The newest that shall be in the store, and the newest that is. */
  let wish: StatusRecord | undefined
  let written: StatusRecord | undefined
  let writing: Promise<void> | undefined
  let timer: Timer | undefined
  let stopped = false

  const write = async (): Promise<void> => {
    // Not at once: `writing` must be set before this ends, and is unset in the very turn that finds nothing left to write.
    await undefined
    try {
      while (wish !== undefined && !same(written, wish) && !stopped) {
        const record = wish
        await book.status(record)
        written = record
      }
    } finally { writing = undefined }
  }
  const begin = (): Promise<void> => writing ??= write()
  const failed = (error: unknown): void => {
    wish = undefined
    // Of an intent that is another machine's by now: nothing to say any more.
    if (stopped || errorCode(error) === KALI.EPOCH_STALE.code || errorCode(error) === KALI.CHANGED.code) return
    timer?.cancel()
    timer = clock.after(LIMITS.agentBackoffMs, retry, { background: true })
  }
  return {
    known: () => wish ?? written,
    tell({ epoch }, { phase, error }, attempts) {
      const before = wish ?? written ?? stored()
      const began = before?.phase === phase && before.epoch === epoch && before.machine === machine ? before.sinceMs : Math.round(clock.wallMs())
      const next: StatusRecord = { uuid: vm, machine, epoch, phase, sinceMs: began, attempts, ...error === undefined ? {} : { error } }
      if (same(before, next)) return
      wish = next
      begin().catch(failed)
    },
    async withdrawn(phase) {
      if (writing === undefined && (written ?? stored())?.phase !== phase) return
      await begin()
      if (written === undefined || written.phase === phase) throw KALI.CHANGED({ what: `The status of VM ${vm}` })
    },
    stop() { stopped = true; timer?.cancel() },
  }
}

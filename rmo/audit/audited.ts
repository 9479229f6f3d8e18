// One privileged act between its two records: nothing is done unless the intent is on disk, and what became of it is said
// whatever happens.

import { errorCode } from '../../fabric/base.ts'
import { RMO } from '../errors.ts'
import type { AuditIntent, AuditLog } from './contract.ts'
import { failureText } from './log.ts'

const DENIED = /_ERR_(?:(?:[A-Z]+_)?DENIED|LOCAL_ONLY)$/
/** Whether an error of this code says that somebody may not. */
export const isDenial = (code: string | undefined): boolean => code !== undefined && DENIED.test(code)

export interface AuditedOptions {
  /** Whether an error is the ordinary end of such an act: a console that its user closed. */
  readonly isEnd?: (error: unknown) => boolean
  /** Done also when it cannot be recorded: to stop a node is what a full disk may need, and a signal would do it anyway. */
  readonly unrecorded?: 'refuse' | 'go-on'
}

/** Rejects with RMO_ERR_AUDIT_UNAVAILABLE (unless it is to go on unrecorded) before `work` was begun, or with what `work` rejects with. */
export async function audited<T>(log: Pick<AuditLog, 'begin'>, intent: AuditIntent, work: () => T | Promise<T>, { isEnd = () => false, unrecorded = 'refuse' }: AuditedOptions = {}): Promise<T> {
  const end = await log.begin(intent).catch((error: unknown) => {
    if (unrecorded === 'refuse' || errorCode(error) !== RMO.AUDIT_UNAVAILABLE.code) throw error
    return (): void => {}
  })
  try {
    const answer = await work()
    end({ outcome: 'done' })
    return answer
  } catch (error) {
    end(isEnd(error) ? { outcome: 'done' } : { outcome: isDenial(errorCode(error)) ? 'denied' : 'failed', error: failureText(error) })
    throw error
  }
}

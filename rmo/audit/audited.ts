// One privileged act between its two records: nothing is done unless the intent is on disk, and what became of it is said
// whatever happens.

import { errorCode } from '../../fabric/base.ts'
import type { AuditIntent, AuditLog } from './contract.ts'
import { failureText } from './log.ts'

const DENIED = /_ERR_(?:(?:[A-Z]+_)?DENIED|LOCAL_ONLY)$/
/** Whether an error of this code says that somebody may not. */
export const isDenial = (code: string | undefined): boolean => code !== undefined && DENIED.test(code)

export interface AuditedOptions {
  /** Whether an error is the ordinary end of such an act: a console that its user closed. */
  readonly isEnd?: (error: unknown) => boolean
}

/** Rejects with RMO_ERR_AUDIT_UNAVAILABLE before `work` was begun, or with what `work` rejects with. */
export async function audited<T>(log: Pick<AuditLog, 'begin'>, intent: AuditIntent, work: () => T | Promise<T>, { isEnd = () => false }: AuditedOptions = {}): Promise<T> {
  const end = await log.begin(intent)
  try {
    const answer = await work()
    end({ outcome: 'done' })
    return answer
  } catch (error) {
    end(isEnd(error) ? { outcome: 'done' } : { outcome: isDenial(errorCode(error)) ? 'denied' : 'failed', error: failureText(error) })
    throw error
  }
}

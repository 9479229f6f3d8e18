// Refusals, so many of a principal as he is worth: whoever is refused a thousand times a second writes a few records a minute,
// and one at the end of the minute that says how many more there were. Principals are bounded too: further ones share a row.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock, Timer } from '../../fabric/base.ts'
import type { AuditIntent } from './contract.ts'

export interface RefusalFoldOptions {
  readonly clock: Clock
  /** False: there is no room now; it is folded. */
  write(intent: AuditIntent, error: string, count: number): boolean
}
export interface RefusalFold {
  add(intent: AuditIntent, error: string): void
  /** Writes what was folded. */
  close(): void
}

interface Row { told: number; folded: number; last: { readonly intent: AuditIntent; readonly error: string } | undefined }
const OTHERS = '(others)'

export function createRefusalFold({ clock, write }: RefusalFoldOptions): RefusalFold {
  const rows = new Map<string, Row>()
  let timer: Timer | undefined

  const settle = (): void => {
    timer = undefined
    for (const [key, row] of rows) {
      const { last, folded } = row
      const written = last === undefined || write(last.intent, `${last.error} (the last of ${folded} alike in a minute)`, folded)
      // What found no room waits for the next minute.
      if (written) rows.delete(key)
    }
    if (rows.size > 0) arm()
  }
  const arm = (): void => { timer ??= clock.after(LIMITS.auditRefusalWindowMs, settle, { background: true }) }

  return {
    add(intent, error) {
      const key = rows.has(intent.principal) || rows.size < LIMITS.auditRefusersMax ? intent.principal : OTHERS
      const row = rows.get(key) ?? { told: 0, folded: 0, last: undefined }
      rows.set(key, row)
      arm()
      if (row.told < LIMITS.auditRefusalsPerWindow && write(intent, error, 1)) {
        row.told++
        return
      }
      row.folded++
      row.last = { intent, error }
    },
    close() {
      timer?.cancel()
      settle()
      timer?.cancel()
    },
  }
}

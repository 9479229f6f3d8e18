// Changes under way and lately done, by operation id: the same change asked twice is done once.
//
// The id comes with the call (a retry brings the same), or is made by the first node. It stands in the audit and in the
// answer of the change. Outcomes of changes to settings and state are kept for LIMITS.operationWindowMs; what programs and
// files answered is not (it may be large, and such verbs are not retried).

import { LIMITS } from '../fabric/base.ts'
import type { Clock, Random } from '../fabric/base.ts'
import { RMO } from './errors.ts'
import type { AclVerb } from './gate.ts'

export interface Operations {
  /** A new id: 32 hex digits. */
  mint(): string
  /** Runs `work`, or gives the outcome of the same operation. `what` names principal, object and verb; another change under the same id is refused. */
  once<T>(id: string, what: string, acl: AclVerb, work: () => Promise<T>): Promise<T>
}

interface Entry { readonly what: string; readonly outcome: Promise<unknown>; endedAtMs: number | undefined }

const NOT_KEPT: ReadonlySet<AclVerb> = new Set<AclVerb>(['execute', 'inspect'])

export function createOperations({ clock, random }: { readonly clock: Clock; readonly random: Random }): Operations {
  const entries = new Map<string, Entry>()

  const forgetOld = (): void => {
    const nowMs = clock.nowMs()
    for (const [id, { endedAtMs }] of entries) {
      const old = endedAtMs !== undefined && nowMs - endedAtMs > LIMITS.operationWindowMs
      // Oldest first: once one is young and there is room, so are the rest.
      if (!old && (entries.size <= LIMITS.operationsMax || endedAtMs === undefined)) break
      entries.delete(id)
    }
  }
  return {
    mint: () => Array.from(random.bytes(16), (byte) => byte.toString(16).padStart(2, '0')).join(''),
    async once(id, what, acl, work) {
      forgetOld()
      const known = entries.get(id)
      if (known !== undefined) {
        if (known.what !== what) throw RMO.ARGUMENT_INVALID({ call: what, path: 'the operation id', expected: 'one that no other change has', got: JSON.stringify(id) })
        return known.outcome as ReturnType<typeof work>
      }
      const outcome = work()
      const entry: Entry = { what, outcome, endedAtMs: undefined }
      entries.set(id, entry)
      const ended = (): void => {
        if (NOT_KEPT.has(acl)) entries.delete(id)
        else entry.endedAtMs = clock.nowMs()
      }
      outcome.then(ended, ended)
      return outcome
    },
  }
}

// Whether what was opened under a right is still allowed: watches and byte streams ask again every LIMITS.aclRecheckMs.
//
// Not by events of what changed: rules, roles, groups, a user cut off, a VM that left its pool - all of them are answered by
// asking the gate again, and none can be forgotten. One timer, while anything is open. Asked without the log: nothing is begun.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock, Timer } from '../../fabric/base.ts'

export interface OpenRights {
  /** Calls `end` once with the refusal when `ask` answers one. The answer lets go. An `ask` that fails is asked again the next time. */
  hold(ask: () => Promise<Error | undefined>, end: (refusal: Error) => void): () => void
}

export function createOpenRights({ clock }: { readonly clock: Clock }): OpenRights {
  const open = new Map<object, { readonly ask: () => Promise<Error | undefined>; readonly end: (refusal: Error) => void }>()
  let timer: Timer | undefined
  const later = (): void => { if (open.size > 0) timer ??= clock.after(LIMITS.aclRecheckMs, () => { void look() }, { background: true }) }
  const look = async (): Promise<void> => {
    for (const [key, { ask, end }] of [...open]) {
      const refusal = await ask().catch(() => undefined)
      if (refusal !== undefined && open.delete(key)) end(refusal)
    }
    timer = undefined
    later()
  }
  return {
    hold(ask, end) {
      const key = {}
      open.set(key, { ask, end })
      later()
      return () => {
        open.delete(key)
        if (open.size > 0) return
        timer?.cancel()
        timer = undefined
      }
    },
  }
}

// Ways back of a change that is made in steps: walked newest first when a later step fails, or when whoever asked for the
// change cannot go on. Walking never rejects; it answers what is left.

import { LIMITS } from '../../../fabric/base.ts'
import type { Clock } from '../../../fabric/base.ts'
import type { Call } from '../../driver/contract.ts'

export interface Undo {
  /** `what` names it for people when it cannot be undone; undefined: nothing would be left behind. */
  add(what: string | undefined, back: () => Promise<void>): void
  /** A call of its own: the change's may have run out of time, which is why it is undone. */
  readonly call: Call
  /** Once; a second run finds nothing to do. */
  run(): Promise<readonly string[]>
}

export function createUndo(clock: Clock): Undo {
  const steps: { readonly what: string | undefined; readonly back: () => Promise<void> }[] = []
  let endsAtMs: number | undefined
  return {
    add: (what, back) => { steps.push({ what, back }) },
    call: { remainingMs: () => endsAtMs === undefined ? LIMITS.undoTimeoutMs : Math.max(0, endsAtMs - clock.nowMs()) },
    async run() {
      endsAtMs = clock.nowMs() + LIMITS.undoTimeoutMs
      const left: string[] = []
      for (const { what, back } of steps.splice(0).reverse()) await back().catch(() => { if (what !== undefined) left.push(what) })
      return left
    },
  }
}

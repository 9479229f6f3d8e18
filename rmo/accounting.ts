// Adds up what objects use by themselves (a VM's seconds, its vcpus' and its memory's) on their accounts, every
// LIMITS.accountTickMs, for the kinds that say what that is (`used`).

import { LIMITS } from '../fabric/base.ts'
import type { Clock } from '../fabric/base.ts'
import type { Ledger } from './ledger.ts'
import type { LocalObjects } from './object.ts'
import type { KindRegistry } from './registry.ts'

/** Starts; the answer adds up a last time and stops. */
export function startAccounting({ kinds, objects, ledger, clock }: { readonly kinds: KindRegistry; readonly objects: LocalObjects; readonly ledger: Ledger; readonly clock: Clock }): () => void {
  const tick = (): void => {
    for (const { kind, used } of kinds.kinds) {
      if (used === undefined) continue
      for (const { uuid, local } of objects.list(kind)) {
        const spent = used(local)
        if (Object.values(spent).some((amount) => amount > 0)) ledger.use({ kind, uuid }, spent)
      }
    }
  }
  const next = (): ReturnType<Clock['after']> => clock.after(LIMITS.accountTickMs, () => { tick(); timer = next() }, { background: true })
  let timer = next()
  return () => { timer.cancel(); tick() }
}

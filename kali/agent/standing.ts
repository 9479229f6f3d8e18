// Whose is the copy of a VM that stands on this machine? Pure; from the epoch in the domain's own metadata and the intent.
//
// Sources: cloud.md 5.3 (machine and epoch in one record), 5.8 (migration), 5.9 (a returning node destroys what is
// stale). When in doubt a copy is never 'ours': disks are kept whatever happens.

import type { IntentRecord, StatusRecord } from '../cloud/contract.ts'
import type { AgentDomain } from '../cloud/parts.ts'

export type Standing =
  /** The cloud does not know it and never did. */
  | 'foreign'
  /** Was the cloud's; nobody wants anything of it any more. */
  | 'released'
  /** This machine, this epoch. */
  | 'ours'
  /** This machine, and no other can have it: it has only not been written into the domain yet. */
  | 'unstamped'
  /** To be sent to the machine that the intent names. */
  | 'leaving'
  /** Another machine has it, or this one in a newer life. */
  | 'stale'
  /** Newer than what this node knows of the intents: it knows too little to judge. */
  | 'ahead'

/** It has been seen on the intent's machine in the intent's epoch. */
export function hasArrived({ epoch }: Pick<IntentRecord, 'epoch'>, status: StatusRecord | undefined): boolean {
  return status !== undefined && status.epoch === epoch && status.phase !== 'migrating' && status.phase !== 'failed'
}

export function standingOf({ epoch = 0 }: Pick<AgentDomain, 'epoch'>, intent: IntentRecord | undefined, status: StatusRecord | undefined, self: string): Standing {
  if (intent === undefined) return epoch > 0 ? 'released' : 'foreign'
  // Taken over as it stands: what an earlier life in the cloud wrote into it says nothing.
  if (epoch > intent.epoch) return intent.origin === 'present' && intent.machine?.uuid === self ? 'unstamped' : 'ahead'
  const before = epoch === 0 || epoch === intent.epoch - 1
  // Without a place it is nobody's: what stands here is neither started nor destroyed.
  if (intent.machine === undefined) return 'foreign'
  if (intent.machine.uuid !== self) return intent.origin === 'migrate' && before && !hasArrived(intent, status) ? 'leaving' : 'stale'
  if (epoch === intent.epoch) return 'ours'
  switch (intent.origin) {
    case 'present': return 'unstamped'
    case 'create': return epoch === 0 ? 'unstamped' : 'stale'
    case 'migrate': return before ? 'unstamped' : 'stale'
    case 'restore': return 'stale'
  }
}

// Whether this node itself is still spoken with: what it knows of its own revocation, from the list or from being refused.
//
// The list (signed records, kali/trust) is certain. A member's word is not: it counts only while no link at all is up, so that
// one member alone cannot make another stop serving its shells. Whatever link comes up takes such a word back.
// Invariant: a revoked node says so, with the reason, to whoever asks it through its local doors; it does not serve on.

import type { CodedError } from './errors.ts'
import type { NodeId } from './id.ts'
import type { Revocations } from './identity/revocation.ts'
import type { Link, Transport } from './transport/contract.ts'

/** What whoever is at the node's socket may still ask: what became of it, and to stop it. */
const STILL: ReadonlySet<string> = new Set(['node.info', 'node.members', 'node.watch', 'node.down', 'trust.whoami'])

export interface StandingOptions {
  readonly self: NodeId
  readonly revocations: Pick<Revocations, 'refusal'>
  readonly transport: Pick<Transport, 'links' | 'onLink'> & { onRefused(refused: (by: NodeId, why: CodedError) => void): void }
  /** Once for each word of a member. */
  readonly told: (by: NodeId, why: CodedError) => void
}

export interface Standing {
  /** FABRIC_ERR_REVOKED or FABRIC_ERR_REVOKED_ADMISSION. */
  cutOff(): CodedError | undefined
  /** Why a call through a local door is not taken. */
  refuse(method: string): CodedError | undefined
}

export function createStanding({ self, revocations, transport, told }: StandingOptions): Standing {
  let word: CodedError | undefined
  transport.onRefused((by, why) => {
    if (word === undefined) told(by, why)
    word = why
  })
  transport.onLink((_link: Link) => { word = undefined })
  const linked = (): boolean => {
    for (const _link of transport.links()) return true
    return false
  }
  const cutOff = (): CodedError | undefined => revocations.refusal(self) ?? (word === undefined || linked() ? undefined : word)
  return { cutOff, refuse: (method) => (STILL.has(method) ? undefined : cutOff()) }
}

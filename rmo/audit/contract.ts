// Contract of the audit log of a node: one hash-chained record before a privileged act and one after it, refusals too.
//
//   begin(intent) -> on disk -> the act -> end(outcome) -> on disk, soon
//
// Invariants: no privileged act runs unless its intent is stored (AUDIT_UNAVAILABLE refuses it); each record names the hash of
// the one before; signed checkpoints (count, head) lie on at least two other members, so that cutting off the end, or writing
// all anew with the node's own key, is found. What was not allowed to be is hashed, not told: arguments, secrets.
// Sources: reliability.md 4.5, 6 (12); Vault's rule that nobody is answered before an audit device has it.

export interface AuditIntent {
  /** Id of the change: the same on every node that had part in it. */
  readonly operation: string
  readonly trace: string
  /** Who asks, as far as the node knows: "user:alice", "fn:keep@0123456789ab#7/user:alice". */
  readonly principal: string
  /** Verb of the object ("start"), or what else was asked: "login", "deploy", "node.revoke". */
  readonly verb: string
  /** What it needed (ACL_VERBS), of an object's verb. */
  readonly acl?: string
  /** "VM/UUID", "function/NAME", "user/alice"; '' when of the node itself. */
  readonly object: string
  /** Name of the object at that moment, for people. */
  readonly name?: string
  /** Hash of the code that asked: program of a shipped function or version of a deployed one, hex. */
  readonly code?: string
}
export type AuditOutcome = { readonly outcome: 'done' } | { readonly outcome: 'failed' | 'denied'; readonly error: string }

export interface AuditLog {
  /** Resolves once the intent is on disk; the answer stores the outcome. Rejects with RMO_ERR_AUDIT_UNAVAILABLE: then nothing may be done. */
  begin(intent: AuditIntent): Promise<(end: AuditOutcome) => void>
  /** One record for what was refused before it could begin: a wrong password, a bad token. Never throws. */
  refused(intent: AuditIntent, error: string): void
}

/** A record as it is stored and shown. */
export interface AuditEntry extends AuditIntent {
  readonly seq: number
  readonly atMs: number
  readonly node: string
  readonly phase: 'intent' | 'outcome' | 'refused'
  /** Of an outcome: seq of its intent. */
  readonly of?: number
  readonly outcome?: 'done' | 'failed' | 'denied'
  readonly error?: string
  /** Of a refusal that stands for many alike: how many. */
  readonly count?: number
  readonly tookMs?: number
  /** Hash of the record before (chain.ts), hex; the first names the node. */
  readonly previous: string
}

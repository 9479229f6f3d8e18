// What an object's audit() answers: the records of the chain that are of it, an intent and its outcome as one change.

import { LIMITS } from '../../fabric/base.ts'
import type { AclVerb } from '../gate.ts'
import type { AuditRecord } from '../object.ts'
import type { AuditEntry } from './contract.ts'
import type { NodeAuditLog } from './log.ts'

/** One change: what was asked, and what became of it as far as is known. */
function changeOf(asked: AuditEntry, ended: AuditEntry | undefined): AuditRecord {
  const { operation, atMs, principal, trace, verb, acl } = asked
  const { outcome = asked.phase === 'refused' ? 'denied' as const : 'running' as const, error, tookMs } = ended ?? asked
  return { operation, atMs, principal, trace, verb, acl: (acl ?? 'administer') as AclVerb, outcome, ...(error === undefined ? {} : { error }), ...(tookMs === undefined ? {} : { tookMs }) }
}

/** Newest last. */
export function changesOf(log: Pick<NodeAuditLog, 'of'>, object: string, recordsMax: number): readonly AuditRecord[] {
  const outcomes = new Map<number, AuditEntry>()
  const changes: AuditRecord[] = []
  let before = Infinity
  while (changes.length < recordsMax) {
    const page = log.of(object, { before, limit: LIMITS.auditAnswerMax })
    for (const entry of page) {
      if (entry.phase === 'outcome') outcomes.set(entry.of ?? 0, entry)
      else if (changes.length < recordsMax) changes.push(changeOf(entry, outcomes.get(entry.seq)))
    }
    const oldest = page.at(-1)
    if (page.length < LIMITS.auditAnswerMax || oldest === undefined) break
    before = oldest.seq
  }
  return changes.reverse()
}

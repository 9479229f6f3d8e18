// The chain of an audit log, pure: how a record is written as text, what its hash is, and what is wrong with a row of records.
//
//   stored     previous:64 hex  body: JSON, fields in the order below, nothing else
//   hash       SHA-256( previous as 32 bytes, SHA-256(body) )
//   start      SHA-256( "kumoi-audit-v1 NODE" ), so that a log cannot pass for another node's
//
// A hash is made of the one before and of the digest of the body: whoever knows the hash at 10 can be shown, with ten digests
// and without one body, that the hash at 20 goes on from it (witness.ts). Times never go down. Source: reliability.md 4.5.

import { createHash } from 'node:crypto'
import type { AuditEntry } from './contract.ts'

export type AuditBody = Omit<AuditEntry, 'previous'>
/** Of a chain after `size` records: the hash of the last one. */
export interface ChainHead { readonly size: number; readonly head: string }

const HASH_CHARS = 64
export const DIGEST_BYTES = 32
const SEQUENCE_DIGITS = 16

export const sequenceText = (seq: number): string => String(seq).padStart(SEQUENCE_DIGITS, '0')

export const startOf = (node: string): string => createHash('sha256').update(`kumoi-audit-v1 ${node}`).digest('hex')
export const digestOf = (body: string): Buffer => createHash('sha256').update(body).digest()
export const linkOf = (previous: string, digest: Uint8Array): string => createHash('sha256').update(previous, 'hex').update(digest).digest('hex')
export const hashOfStored = (stored: string): string => linkOf(stored.slice(0, HASH_CHARS), digestOf(stored.slice(HASH_CHARS)))
export const digestOfStored = (stored: string): Buffer => digestOf(stored.slice(HASH_CHARS))
export const previousOf = (stored: string): string => stored.slice(0, HASH_CHARS)

/** The one form of a body. */
export function bodyText(entry: AuditBody): string {
  const { seq, atMs, node, phase, of, operation, trace, principal, verb, acl, object, name, code, outcome, error, count, tookMs } = entry
  return JSON.stringify({ seq, atMs, node, phase, of, operation, trace, principal, verb, acl, object, name, code, outcome, error, count, tookMs })
}

export const storedText = (previous: string, entry: AuditBody): string => `${previous}${bodyText(entry)}`

/** Throws SyntaxError when it is no record. */
export function entryOf(stored: string): AuditEntry {
  return { ...JSON.parse(stored.slice(HASH_CHARS)) as AuditBody, previous: stored.slice(0, HASH_CHARS) }
}

/** Where a proof leads from a head: the next size and hash. `digests`: those of the records after it, 32 bytes each. */
export function follow(from: ChainHead, digests: Uint8Array): ChainHead {
  let { size, head } = from
  for (let at = 0; at + DIGEST_BYTES <= digests.byteLength; at += DIGEST_BYTES) {
    head = linkOf(head, digests.subarray(at, at + DIGEST_BYTES))
    size++
  }
  return { size, head }
}

/** What can be wrong with a row of records by itself. */
export type ChainFault = 'unreadable' | 'missing' | 'reordered' | 'rewritten' | 'foreign' | 'time-back' | 'outcome-twice'
export interface ChainFinding { readonly fault: ChainFault; readonly seq: number; readonly text: string }

/** Findings are told one by one up to this many: after them the log is known to be bad. */
const FINDINGS_MAX = 20
/** Intents that may be under way at once and still be matched with their outcomes. */
const OPEN_MAX = 65_536

export interface ChainReader {
  /** The next record as stored. */
  take(stored: string): void
  /** After all were taken. */
  end(): { readonly head: ChainHead; readonly findings: readonly ChainFinding[]; readonly heads: ReadonlyMap<number, string>; readonly unmatched: number; readonly bytes: number }
}

/** Reads a row of records from `from` on (the start, or the cut), remembers the hashes at `wanted` sizes. */
export function createChainReader({ node, from, wanted }: { readonly node: string; readonly from: ChainHead; readonly wanted: ReadonlySet<number> }): ChainReader {
  let { size, head } = from
  let atMs = 0
  let bytes = 0
  const findings: ChainFinding[] = []
  const heads = new Map<number, string>()
  const open = new Set<number>()
  const note = (fault: ChainFault, seq: number, text: string): void => { if (findings.length < FINDINGS_MAX) findings.push({ fault, seq, text }) }
  if (wanted.has(size)) heads.set(size, head)

  const judge = (entry: AuditEntry, stored: string): void => {
    const { seq, phase, of } = entry
    const due = size + 1
    if (seq > due) note('missing', due, `records ${due} to ${seq - 1} are missing`)
    else if (seq < due) note('reordered', seq, `record ${seq} stands where ${due} is due`)
    if (entry.previous !== head) note('rewritten', seq, `record ${seq} does not go on from the one before it: that one, or it, was rewritten`)
    if (entry.node !== node) note('foreign', seq, `record ${seq} is of node ${entry.node.slice(0, 8)}`)
    if (entry.atMs < atMs) note('time-back', seq, `record ${seq} is older than the one before it`)
    if (bodyText(entry) !== stored.slice(HASH_CHARS)) note('rewritten', seq, `record ${seq} is not written as a node writes it`)
    if (phase === 'intent' && open.size < OPEN_MAX) open.add(seq)
    if (phase === 'outcome' && of !== undefined && !open.delete(of) && of > from.size) note('outcome-twice', seq, `record ${seq} is an outcome of record ${of}, which has one already or is no intent`)
    atMs = Math.max(atMs, entry.atMs)
    size = seq
  }
  return {
    take(stored) {
      bytes += stored.length
      try {
        judge(entryOf(stored), stored)
      } catch {
        size++
        note('unreadable', size, `record ${size} cannot be read`)
      }
      head = hashOfStored(stored)
      if (wanted.has(size)) heads.set(size, head)
    },
    end: () => ({ head: { size, head }, findings, heads, unmatched: open.size, bytes }),
  }
}

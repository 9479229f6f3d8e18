// Signed statements about an audit log: a checkpoint ("after SIZE records the hash was HEAD, and this is my ORDINAL-th"), and
// the cut ("what was up to SIZE was dropped for its age, the hash there was HEAD"). Pure. Checkpoints of one node have
// ordinals without gaps, and a higher one never has a lower size: two that contradict prove by themselves, with the node's
// own signature, that its log was taken back or written anew. Source: reliability.md 4.5.

import type { CertifiedSigner } from '../../fabric/mod.ts'
import type { ChainHead } from './chain.ts'

export type AuditSigner = Pick<CertifiedSigner, 'sign'>
export type AuditVerifier = Pick<CertifiedSigner, 'verify'>

export interface Checkpoint extends ChainHead { readonly node: string; readonly ordinal: number; readonly atMs: number; readonly signature: string }
export interface Cut extends ChainHead { readonly node: string; readonly atMs: number; readonly signature: string }

const bytesOf = (parts: readonly (string | number)[]): Uint8Array => new TextEncoder().encode(JSON.stringify(parts))
const checkpointBytes = ({ node, ordinal, size, head, atMs }: Omit<Checkpoint, 'signature'>): Uint8Array => bytesOf(['kumoi-audit-checkpoint-v1', node, ordinal, size, head, atMs])
const cutBytes = ({ node, size, head, atMs }: Omit<Cut, 'signature'>): Uint8Array => bytesOf(['kumoi-audit-cut-v1', node, size, head, atMs])

export const signCheckpoint = (of: Omit<Checkpoint, 'signature'>, signer: AuditSigner): Checkpoint => ({ ...of, signature: signer.sign(checkpointBytes(of)) })
export const signCut = (of: Omit<Cut, 'signature'>, signer: AuditSigner | undefined): Cut => ({ ...of, signature: signer?.sign(cutBytes(of)) ?? '' })

export const checkpointHolds = (checkpoint: Checkpoint, verifier: AuditVerifier): boolean => verifier.verify(checkpoint.node, checkpointBytes(checkpoint), checkpoint.signature)
export const cutHolds = (cut: Cut, verifier: AuditVerifier): boolean => verifier.verify(cut.node, cutBytes(cut), cut.signature)

const isHead = (value: unknown): value is string => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0

/** What another node, or a file, says is a checkpoint; undefined when it is none. */
export function readCheckpoint(value: unknown): Checkpoint | undefined {
  const { node, ordinal, size, head, atMs, signature } = (value ?? {}) as Partial<Record<keyof Checkpoint, unknown>>
  if (typeof node !== 'string' || !isCount(ordinal) || !isCount(size) || !isHead(head) || !isCount(atMs) || typeof signature !== 'string') return undefined
  return { node, ordinal, size, head, atMs, signature }
}
export function readCut(value: unknown): Cut | undefined {
  const { node, size, head, atMs, signature } = (value ?? {}) as Partial<Record<keyof Cut, unknown>>
  if (typeof node !== 'string' || !isCount(size) || !isHead(head) || !isCount(atMs) || typeof signature !== 'string') return undefined
  return { node, size, head, atMs, signature }
}

// Puts the audit of a node together: the log is there from the start (createAuditLog); this adds its checkpoints, the book of
// what it witnesses for others, and what is served of it all.

import type { Clock, NodeId } from '../../fabric/base.ts'
import { LIMITS } from '../../fabric/base.ts'
import type { CallContext, CertifiedSigner, LocalStore, Member, RpcPeer, RpcRegistry } from '../../fabric/mod.ts'
import { createCheckpointer } from './checkpointer.ts'
import { serveAuditGather } from './gather.ts'
import type { NodeAuditLog } from './log.ts'
import { serveAudit } from './service.ts'
import { AUDIT_METHODS, readWitnessAnswer } from './wire.ts'
import { createWitnessBook } from './witness-book.ts'

export interface AuditOptions {
  readonly log: NodeAuditLog
  readonly store: LocalStore
  readonly signer: CertifiedSigner
  readonly registry: RpcRegistry
  readonly clock: Clock
  readonly fabric: string
  readonly members: () => readonly Pick<Member, 'id' | 'name' | 'state'>[]
  readonly peer: (node: NodeId) => RpcPeer | Promise<RpcPeer>
  readonly mayRead: (context: CallContext, object: string | undefined) => Promise<void>
  readonly warn: (message: string, about: Readonly<Record<string, unknown>>) => void
}
export interface NodeAudit {
  /** Begins to bring checkpoints to witnesses; call when the node serves. */
  start(): void
  stop(): Promise<void>
}

export function startAudit({ log, store, signer, registry, clock, fabric, members, peer, mayRead, warn }: AuditOptions): NodeAudit {
  const book = createWitnessBook({
    store, verifier: signer,
    contradicted: ({ node, ordinal, size }) => warn('a member showed a checkpoint of its audit log that contradicts the one that this node keeps', { of: node.slice(0, 8), ordinal, records: size }),
  })
  const checkpoints = createCheckpointer({
    log, store, signer, clock, members, warn,
    show: async (node, { shown, from, digests }) => readWitnessAnswer(await (await peer(node)).call(AUDIT_METHODS.witness, { checkpoint: { ...shown }, from, digests }, { timeoutMs: LIMITS.auditWitnessTimeoutMs })),
  })
  const served = { registry, log, checkpoints, book, mayRead }
  serveAudit(served)
  serveAuditGather({ ...served, self: signer.node, fabric, members, peer, verifier: signer, clock })
  return { start: () => checkpoints.start(), stop: () => checkpoints.stop() }
}

// The disk under witness.ts: witness/NODE holds what this node keeps of the log of NODE. Checkpoints of one node are taken
// one after another, and the answer leaves when it is on the disk.

import { LIMITS } from '../../fabric/base.ts'
import type { LocalStore } from '../../fabric/mod.ts'
import type { ChainHead } from './chain.ts'
import { checkpointHolds } from './checkpoint.ts'
import type { AuditVerifier, Checkpoint } from './checkpoint.ts'
import { NOTHING_WITNESSED, witness } from './witness.ts'
import type { WitnessAnswer, Witnessed } from './witness.ts'

export interface WitnessBook {
  /** Undefined: it is not signed by its node, or there are too many nodes. Rejects when it cannot be stored. */
  show(message: { readonly shown: Checkpoint; readonly from: number; readonly digests: Uint8Array }): Promise<WitnessAnswer | undefined>
  of(node: string): Witnessed
}

const keyOf = (node: string): string => `witness/${node}`

export function createWitnessBook({ store, verifier, contradicted = () => {} }: { readonly store: LocalStore; readonly verifier: AuditVerifier; readonly contradicted?: (shown: Checkpoint) => void }): WitnessBook {
  /** By node: proofs that have come a part of their way. One each, and forgotten with the next. */
  const progress = new Map<string, ChainHead>()
  const tails = new Map<string, Promise<unknown>>()
  const of = (node: string): Witnessed => {
    const stored = store.get(keyOf(node))
    return stored === undefined ? NOTHING_WITNESSED : JSON.parse(stored) as Witnessed
  }
  const isNew = (node: string): boolean => store.get(keyOf(node)) === undefined

  const take = async (message: { readonly shown: Checkpoint; readonly from: number; readonly digests: Uint8Array }): Promise<WitnessAnswer | undefined> => {
    const { shown } = message
    if (!checkpointHolds(shown, verifier)) return undefined
    if (isNew(shown.node) && store.range({ prefix: 'witness/', limit: LIMITS.auditWitnessedMax }).length >= LIMITS.auditWitnessedMax) return undefined
    const before = of(shown.node)
    const step = witness(before, { ...message, progress: progress.get(shown.node) })
    if (step.progress === undefined) progress.delete(shown.node)
    else progress.set(shown.node, step.progress)
    if (step.state !== before) await store.write([{ key: keyOf(shown.node), value: JSON.stringify(step.state) }])
    if (step.answer.answer === 'contradiction') contradicted(shown)
    return step.answer
  }
  return {
    of,
    show(message) {
      const { node } = message.shown
      const run = (tails.get(node) ?? Promise.resolve()).then(() => take(message), () => take(message))
      tails.set(node, run)
      const ended = (): void => { if (tails.get(node) === run) tails.delete(node) }
      run.then(ended, ended)
      return run
    },
  }
}

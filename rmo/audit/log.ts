// The audit log of a node: an intent on disk before the act, its outcome soon after, in the chain of chain.ts.
//
//   chain/SEQ              previous hash and body        chain-of/OBJECT/SEQ   '': which records are of an object
//   chain-open/SEQ         the intent has no outcome     chain-cut             signed: how much of the old end was dropped
//
// Records that come while others are being written share the next write (group commit); seq and hash are given when a write
// is made up, so that one that failed leaves no hole. Outcomes do not hurry: they go with the next intent, or by themselves
// after LIMITS.auditOutcomeMs. What a crash left open is answered at the next start. Bounded: records, texts, open intents.

import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Clock, Timer } from '../../fabric/base.ts'
import type { LocalStore, StoreChange } from '../../fabric/mod.ts'
import { RMO } from '../errors.ts'
import { bodyText, entryOf, hashOfStored, sequenceText, startOf } from './chain.ts'
import type { AuditBody, ChainHead } from './chain.ts'
import { signCut } from './checkpoint.ts'
import type { AuditSigner, Cut } from './checkpoint.ts'
import type { AuditEntry, AuditIntent, AuditLog, AuditOutcome } from './contract.ts'
import { createRefusalFold } from './refusals.ts'

export interface AuditLogOptions {
  readonly store: LocalStore
  readonly clock: Clock
  readonly node: string
  /** Signs the cut; left out (simulation): it is not signed. */
  readonly signer?: AuditSigner
  /** Told when records wait that cannot be stored. */
  readonly failed?: (error: unknown) => void
  /** Default LIMITS.auditRecordsMax. */
  readonly recordsMax?: number
}

/** The log with what its own node does with it. Reading answers what is on disk. */
export interface NodeAuditLog extends AuditLog {
  readonly node: string
  head(): ChainHead
  /** Where what is kept begins: the start of the chain, or what was dropped. */
  cut(): Cut | undefined
  /** As stored, of `seq` and after it. */
  stored(seq: number, limit: number): readonly string[]
  /** Records of an object, newest first, page by page: those below `before`. */
  of(object: string, options: { readonly before: number; readonly limit: number }): readonly AuditEntry[]
  /** After each write. */
  onWritten(listener: () => void): () => void
  flush(): Promise<void>
  /** Everything is on disk, or cannot be; the store stays open. */
  close(): Promise<void>
}

type Draft = Omit<AuditBody, 'seq' | 'node'> & { /** Of an intent. */ readonly settle?: { resolve(seq: number): void; reject(error: unknown): void } }

const CUT = 'chain-cut'
const at = (seq: number): string => `chain/${sequenceText(seq)}`
const openAt = (seq: number): string => `chain-open/${sequenceText(seq)}`
/** Keys are plain ASCII, whatever somebody calls an object. */
const indexOf = (object: string): string => `chain-of/${object.replace(/[^\x21-\x7e]/g, '_')}/`
const clipped = (text: string): string => (text.length <= LIMITS.auditTextCharsMax ? text : text.slice(0, LIMITS.auditTextCharsMax))

/** Each of its texts bounded; `of` and `outcome` come after. */
function bounded({ operation, trace, principal, verb, acl, object, name, code }: AuditIntent): AuditIntent {
  return {
    operation: clipped(operation), trace: clipped(trace), principal: clipped(principal), verb: clipped(verb), object: clipped(object),
    ...(acl === undefined ? {} : { acl: clipped(acl) }), ...(name === undefined ? {} : { name: clipped(name) }), ...(code === undefined ? {} : { code: clipped(code) }),
  }
}
const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export function createAuditLog({ store, clock, node, signer, failed = () => {}, recordsMax = LIMITS.auditRecordsMax }: AuditLogOptions): NodeAuditLog {
  const keptCut = store.get(CUT)
  let cut = keptCut === undefined ? undefined : JSON.parse(keptCut) as Cut
  const last = store.range({ prefix: 'chain/', limit: 1, reverse: true })[0]
  let head: ChainHead = last === undefined ? { size: cut?.size ?? 0, head: cut?.head ?? startOf(node) } : { size: Number(last.key.slice('chain/'.length)), head: hashOfStored(last.value) }
  let atMs = last === undefined ? 0 : entryOf(last.value).atMs
  let queue: Draft[] = []
  let open = 0
  let closed = false
  let failing = false
  let forced = false
  let writing: Promise<void> | undefined
  let timer: Timer | undefined
  const listeners = new Set<() => void>()
  const wallMs = (): number => Math.round(clock.wallMs())

  /** What the old end loses, so that about recordsMax stay: in steps, as each costs a signature. */
  const pruned = (size: number): { readonly cut: Cut; readonly changes: readonly StoreChange[] } | undefined => {
    const from = cut?.size ?? 0
    const surplus = Math.min(size - from - recordsMax, head.size - from, LIMITS.auditPruneMax)
    if (surplus < LIMITS.auditPruneMax) return undefined
    const dropped = store.range({ prefix: 'chain/', limit: surplus })
    const lastDropped = dropped.at(-1)
    if (lastDropped === undefined) return undefined
    const to = { size: Number(lastDropped.key.slice('chain/'.length)), head: hashOfStored(lastDropped.value) }
    const changes = dropped.flatMap(({ key, value }): StoreChange[] => {
      const { object, seq } = entryOf(value)
      return [{ key, value: undefined }, { key: `${indexOf(object)}${sequenceText(seq)}`, value: undefined }]
    })
    return { cut: signCut({ node, ...to, atMs: wallMs() }, signer), changes }
  }

  const writeBatch = async (batch: readonly Draft[]): Promise<void> => {
    let next = head
    let lastMs = atMs
    const changes: StoreChange[] = []
    for (const { settle: _settle, ...draft } of batch) {
      lastMs = Math.max(lastMs, draft.atMs)
      const seq = next.size + 1
      const stored = `${next.head}${bodyText({ ...draft, atMs: lastMs, seq, node })}`
      changes.push({ key: at(seq), value: stored })
      if (draft.object !== '') changes.push({ key: `${indexOf(draft.object)}${sequenceText(seq)}`, value: '' })
      if (draft.phase === 'intent') changes.push({ key: openAt(seq), value: '' })
      if (draft.of !== undefined) changes.push({ key: openAt(draft.of), value: undefined })
      next = { size: seq, head: hashOfStored(stored) }
    }
    const prune = pruned(next.size)
    if (prune !== undefined) changes.push(...prune.changes, { key: CUT, value: JSON.stringify(prune.cut) })
    await store.write(changes)
    let seq = head.size
    head = next
    atMs = lastMs
    cut = prune?.cut ?? cut
    for (const { settle } of batch) {
      seq++
      settle?.resolve(seq)
    }
  }

  /** Writes while an intent waits, or, forced, until nothing does. What must not be lost (outcomes, refusals) stays in the queue when it cannot be written; intents are told. */
  const drain = async (): Promise<void> => {
    while (queue.length > 0 && (forced || queue.some(({ settle }) => settle !== undefined))) {
      const batch = queue.splice(0, LIMITS.auditBatchMax)
      try {
        await writeBatch(batch)
        failing = false
      } catch (error) {
        if (!failing) failed(error)
        failing = true
        queue = [...batch, ...queue]
        for (const { settle } of queue) settle?.reject(error)
        queue = queue.filter(({ settle }) => settle === undefined)
        later(LIMITS.auditRetryMs)
        break
      }
      for (const listener of [...listeners]) listener()
    }
    // In the same turn as the last look at the queue: what comes now begins a write of its own.
    writing = undefined
    forced = false
    if (queue.length > 0) later(LIMITS.auditOutcomeMs)
  }
  const pump = (how: 'forced' | 'intents'): Promise<void> => {
    timer?.cancel()
    timer = undefined
    forced ||= how === 'forced' && queue.length > 0
    if (writing === undefined && queue.length > 0) writing = drain()
    return writing ?? Promise.resolve()
  }
  const later = (delayMs: number): void => { if (!closed) timer ??= clock.after(delayMs, () => { timer = undefined; void pump('forced') }, { background: true }) }
  const flush = async (): Promise<void> => {
    // A write under way does not have what was queued since.
    await writing
    await pump('forced')
  }

  const refusals = createRefusalFold({
    clock,
    write(intent, error, count) {
      if (closed || queue.length >= LIMITS.auditPendingMax) return false
      queue.push({ ...bounded(intent), atMs: wallMs(), phase: 'refused', error: clipped(error), ...(count > 1 ? { count } : {}) })
      later(LIMITS.auditOutcomeMs)
      return true
    },
  })

  for (const { key } of store.range({ prefix: 'chain-open/', limit: LIMITS.auditOpenMax })) {
    const seq = Number(key.slice('chain-open/'.length))
    const intent = store.get(at(seq))
    if (intent === undefined) continue
    queue.push({ ...bounded(entryOf(intent)), atMs: wallMs(), phase: 'outcome', of: seq, outcome: 'failed', error: 'the node ended meanwhile; whether it was done is not known' })
    later(LIMITS.auditOutcomeMs)
  }

  return {
    node,
    head: () => head,
    cut: () => cut,
    stored: (seq, limit) => {
      const rows: string[] = []
      for (let n = seq; n < seq + limit && n <= head.size; n++) {
        const row = store.get(at(n))
        if (row !== undefined) rows.push(row)
      }
      return rows
    },
    of(object, { before, limit }) {
      const prefix = indexOf(clipped(object))
      const found: AuditEntry[] = []
      // Of one object there are few: its index is read from the newest down.
      for (const { key } of store.range({ prefix, limit: LIMITS.auditRecordsMax, reverse: true })) {
        if (found.length >= limit) break
        const seq = Number(key.slice(prefix.length))
        const row = seq < before ? store.get(at(seq)) : undefined
        if (row !== undefined) found.push(entryOf(row))
      }
      return found
    },
    onWritten(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async begin(given) {
      const intent = bounded(given)
      const refuse = (reason: string): Error => RMO.AUDIT_UNAVAILABLE({ verb: intent.verb, object: intent.object, reason })
      if (closed) throw refuse('the node is stopping')
      if (open >= LIMITS.auditOpenMax || queue.length >= LIMITS.auditPendingMax) throw refuse(`${LIMITS.auditOpenMax} acts are under way`)
      open++
      const startedAtMs = clock.nowMs()
      let of: number
      try {
        of = await new Promise<number>((resolve, reject) => {
          queue.push({ ...intent, atMs: wallMs(), phase: 'intent', settle: { resolve, reject } })
          void pump('intents')
        })
      } catch (error) {
        open--
        throw RMO.AUDIT_UNAVAILABLE({ verb: intent.verb, object: intent.object, reason: reasonOf(error) }, { cause: error })
      }
      let ended = false
      return (end: AuditOutcome) => {
        if (ended) return
        ended = true
        open--
        const error = end.outcome === 'done' ? {} : { error: clipped(end.error) }
        queue.push({ ...intent, atMs: wallMs(), phase: 'outcome', of, outcome: end.outcome, ...error, tookMs: Math.round(clock.nowMs() - startedAtMs) })
        later(LIMITS.auditOutcomeMs)
      }
    },
    refused: (intent, error) => refusals.add(intent, error),
    flush,
    async close() {
      refusals.close()
      await flush()
      closed = true
      timer?.cancel()
    },
  }
}

/** Code and text of what went wrong, as records have it. */
export function failureText(error: unknown): string {
  const code = errorCode(error)
  return code === undefined ? reasonOf(error) : `${code}: ${reasonOf(error)}`
}

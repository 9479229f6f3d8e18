// One change of a function's record as one transaction: read, judge, decide (changes.ts), sign, write if nobody came between.
//
// Invariants: nothing of a change is visible, or all of it; who lost the race reads again and decides anew, so two deploys of
// one name both happen, one after the other. An answer that did not come is looked up: the record that was to be
// written has a signature of its own, so it is known again.

import type { GlobalStore, GlobalStoreEntry, StoreOperation } from '../../fabric/mod.ts'
import { LIMITS } from '../../fabric/base.ts'
import type { Clock, Hash } from '../../fabric/base.ts'
import type { FunctionManifest, FunctionRecord, VersionRecord } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { change } from './changes.ts'
import type { FunctionState, Wish } from './changes.ts'
import { readAll } from './follow.ts'
import { encodeStored, functionKey, openFunction, openVersion, signFunction, signVersion, versionKey, versionsPrefix } from './records.ts'
import type { RecordSigner } from './records.ts'

export interface WriterOptions {
  readonly store: GlobalStore
  readonly signer: RecordSigner
  readonly clock: Clock
  /** What other parts keep of a function, which goes with it: prefixes (those that end in a slash) and single keys. */
  ownedPrefixes(name: string): readonly string[]
}

/** A function's records as the store has them, as far as they are to be believed. */
export interface Present {
  readonly record: FunctionRecord | undefined
  readonly versions: ReadonlyMap<Hash, VersionRecord>
  /** Of the pointer record, trusted or not; 0: there is none. */
  readonly modRevision: number
}
export interface Written extends Present {
  /** False: it was so already. */
  readonly changed: boolean
  readonly record: FunctionRecord
  /** Of the store, at which it is so. */
  readonly revision: number
  readonly before: Present
}

export interface Writer {
  read(name: string, signal: AbortSignal): Promise<Present>
  /** `manifest`: of the version that a deploy brings. Rejects as change() throws, with FUNCTION_CONFLICT, or as the store does. */
  write(name: string, wish: Wish, by: string, signal: AbortSignal, manifest?: FunctionManifest): Promise<Written>
  /** Answers the revision at which it is gone. */
  remove(name: string, signal: AbortSignal): Promise<number>
}

export const BOUNDS = { versionsKept: LIMITS.versionsKept, aliasesMax: LIMITS.functionAliases } as const

/** Undefined for what is not to be believed: a deploy writes it anew. */
const judged = <T>(judge: () => T): T | undefined => { try { return judge() } catch { return undefined } }

/** The state on which changes.ts decides; versions in the order in which they came. */
export const stateOf = (name: string, { record, versions }: Pick<Present, 'record' | 'versions'>): FunctionState => ({ name, record: bodyOf(record), versions: [...versions.keys()] })

/** Without the signature of the record before, which the next one must not carry into its own. */
function bodyOf(record: FunctionRecord | undefined): FunctionState['record'] {
  if (record === undefined) return undefined
  const { by: _by, node: _node, atMs: _atMs, signature: _signature, ...body } = record
  return body
}

/** Without the slash a prefix would be that of other functions too, whose names begin alike. */
const removal = (text: string): StoreOperation => (text.endsWith('/') ? { do: 'delete-prefix', prefix: text } : { do: 'delete', key: text })

export function createWriter({ store, signer, clock, ownedPrefixes }: WriterOptions): Writer {
  const read: Writer['read'] = async (name, signal) => {
    const [pointer, { entries }] = await Promise.all([store.get(functionKey(name), { signal }), readAll(store, versionsPrefix(name), signal)])
    const record = pointer === undefined ? undefined : judged(() => openFunction(name, pointer.value, signer))
    // By the store's own order, not by clocks.
    const found = entries.toSorted((a, b) => a.createRevision - b.createRevision).flatMap(({ key, value }) => {
      const version = key.slice(versionsPrefix(name).length)
      const opened = judged(() => openVersion(name, version, value, signer))
      return opened === undefined ? [] : [[version, opened] as const]
    })
    return { record, versions: new Map(found), modRevision: pointer?.modRevision ?? 0 }
  }

  /** As transact, but an unanswered write is looked up. */
  const commit = async (name: string, modRevision: number, record: FunctionRecord, then: readonly StoreOperation[], signal: AbortSignal): Promise<number | undefined> => {
    const when = [{ key: functionKey(name), field: 'modRevision', is: '=', than: modRevision }] as const
    try {
      const { succeeded, revision } = await store.transact({ when, then }, { signal })
      return succeeded ? revision : undefined
    } catch (error) {
      if ((error as { readonly outcome?: unknown }).outcome !== 'unknown' || signal.aborted) throw error
      let now: GlobalStoreEntry | undefined
      try {
        now = await store.get(functionKey(name), { signal })
      } catch {
        throw error
      }
      if (now !== undefined && judged(() => openFunction(name, now.value, signer))?.signature === record.signature) return now.modRevision
      throw error
    }
  }

  return {
    read,
    async write(name, wish, by, signal, manifest) {
      let last: FunctionRecord | undefined
      for (let attempt = 0; attempt < LIMITS.catalogTries; attempt++) {
        const before = await read(name, signal)
        last = before.record
        const { next, forget } = change(stateOf(name, before), wish, BOUNDS)
        // Not the store's present revision: that may be another key's, which no watch of the functions tells of.
        if (next === undefined) return { ...before, record: before.record as FunctionRecord, revision: before.modRevision, changed: false, before }
        const atMs = clock.wallMs()
        const record = signFunction({ ...next, by, atMs }, signer)
        const fresh = manifest === undefined || before.versions.has(manifest.version) ? undefined : signVersion({ manifest, by, atMs }, signer)
        const revision = await commit(name, before.modRevision, record, [
          ...(fresh === undefined ? [] : [{ do: 'put', key: versionKey(name, fresh.manifest.version), value: encodeStored(fresh) } as const]),
          { do: 'put', key: functionKey(name), value: encodeStored(record) },
          ...forget.map((version) => ({ do: 'delete', key: versionKey(name, version) } as const)),
        ], signal)
        if (revision === undefined) continue
        const versions = new Map([...before.versions, ...(fresh === undefined ? [] : [[fresh.manifest.version, fresh] as const])].filter(([version]) => !forget.includes(version)))
        return { record, versions, modRevision: revision, revision, changed: true, before }
      }
      throw FUNCTIONS.FUNCTION_CONFLICT({ name, by: last?.by ?? 'others' })
    },
    async remove(name, signal) {
      for (let attempt = 0; attempt < LIMITS.catalogTries; attempt++) {
        const { modRevision } = await read(name, signal)
        if (modRevision === 0) throw FUNCTIONS.FUNCTION_UNKNOWN({ name, near: '' })
        const { succeeded, revision } = await store.transact({
          when: [{ key: functionKey(name), field: 'modRevision', is: '=', than: modRevision }],
          then: [{ do: 'delete', key: functionKey(name) }, ...[versionsPrefix(name), ...ownedPrefixes(name)].map(removal)],
        }, { signal })
        if (succeeded) return revision
      }
      throw FUNCTIONS.FUNCTION_CONFLICT({ name, by: 'others' })
    },
  }
}

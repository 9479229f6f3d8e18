// The node's own copy of the records of trust, in its local store: what it knew when it last ran, so that revoked users and
// nodes stay revoked over a restart while the global store is away. Signed, judged again when read.
//
//   trust-copy/KEY = "MODREVISION RECORD"
//
// Written in order, one after another; a full disk costs a later start its knowledge, nothing now.

import { LIMITS } from '../../fabric/base.ts'
import type { LocalStore } from '../../fabric/mod.ts'
import { TRUST_PREFIX } from './records.ts'

const ROOT = 'trust-copy/'
const ENTRIES_MAX = LIMITS.trustUsersMax + LIMITS.trustRolesMax + LIMITS.trustRevokedNodesMax + 1

export interface TrustCopy {
  read(): readonly { readonly key: string; readonly value: Uint8Array; readonly modRevision: number }[]
  keep(key: string, value: Uint8Array, modRevision: number): void
  drop(key: string): void
  settled(): Promise<void>
}

export function createTrustCopy({ store, failed }: { readonly store: LocalStore; readonly failed: (error: unknown) => void }): TrustCopy {
  let writing: Promise<void> = Promise.resolve()
  const write = (key: string, value: string | undefined): void => { writing = writing.then(() => store.write([{ key: ROOT + key, value }])).catch(failed) }
  const decoder = new TextDecoder(), encoder = new TextEncoder()
  return {
    read: () => store.range({ prefix: ROOT + TRUST_PREFIX, limit: ENTRIES_MAX }).flatMap(({ key, value }) => {
      const [, revision, record] = /^(\d{1,15}) (.*)$/s.exec(value) ?? []
      return revision === undefined || record === undefined ? [] : [{ key: key.slice(ROOT.length), value: encoder.encode(record), modRevision: Number(revision) }]
    }),
    keep: (key, value, modRevision) => write(key, `${modRevision} ${decoder.decode(value)}`),
    drop: (key) => write(key, undefined),
    settled: () => writing,
  }
}

// The catalog of a node: which functions there are, in which versions, and their code. Every call, tick and event is
// resolved here, from memory.
//
//   store --follow.ts--> records, each judged (records.ts) --> view.ts (memory) + the node's local store
//   local store --at the start--> view: a node that starts while the store cannot be reached knows its functions
//
// A record that is not to be trusted is not used: the one known before stays, and problems() tells of it.

import type { BlobStore, GlobalStore, LocalStore, Log } from '../../fabric/mod.ts'
import { LIMITS } from '../../fabric/base.ts'
import type { Hash, NodeId, Random } from '../../fabric/base.ts'
import type { CatalogProblem } from '../deployed-api.ts'
import type { Catalog, DeployedFunction, FunctionRecord, VersionRecord } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { createCode } from './code.ts'
import type { Code, CodeOptions } from './code.ts'
import { createCopies } from './copies.ts'
import { createFollower } from './follow.ts'
import { createLocalCopy } from './local-copy.ts'
import { openFunction, openVersion } from './records.ts'
import type { RecordSigner } from './records.ts'
import { CatalogView } from './view.ts'

export interface CatalogOptions extends Omit<CodeOptions, 'suspicious'> {
  readonly store: GlobalStore
  readonly localStore: LocalStore
  readonly signer: RecordSigner
  readonly blobs: BlobStore
  readonly random: Random
  readonly log: Log
  /** A member came or went, so other nodes may have to keep copies. */
  onMembers(listener: () => void): () => void
}

/** A node's catalog, and what the service of deploys needs of it. */
export interface NodeCatalog extends Catalog {
  readonly self: NodeId
  readonly fetch: Code
  /** Loads what this node knew and begins to follow the store; call once, before anything is resolved. */
  start(): void
  /** Resolves when everything up to that revision of the store is seen; at once when it already is. */
  reached(revision: number, signal: AbortSignal): Promise<void>
  problems(): readonly CatalogProblem[]
  stop(): Promise<void>
}

const decoder = new TextDecoder()

export function createCatalog(options: CatalogOptions): NodeCatalog {
  const { signer, log, clock } = options
  const view = new CatalogView()
  const listeners = new Set<(name: string) => void>()
  const local = createLocalCopy({ store: options.localStore, failed: (name, error) => log.warn('the local copy of the catalog could not be written', { function: name, reason: String(error) }) })

  const fetch = createCode({ ...options, suspicious: (member, hash, error) => log.warn('a member sent other bytes than were asked for', { member: member.name, hash, reason: String(error) }) })
  const code = async (version: Hash, signal?: AbortSignal): Promise<Uint8Array> => {
    const { bytes, asked } = await fetch.get(version, LIMITS.bundleBytesMax, signal)
    if (bytes === undefined) throw FUNCTIONS.FUNCTION_CODE_MISSING({ name: view.owner(version)?.name ?? 'a function', version, asked })
    return bytes
  }
  const copies = createCopies({ ...options, deployed: () => view.list(), fetch })

  const judge = (name: string, record: Uint8Array | undefined, stored: ReadonlyMap<string, Uint8Array>): void => {
    const before = view.get(name)
    const { deployed, problems } = record === undefined ? { deployed: undefined, problems: new Map<string, string>() } : opened({ name, record, stored, signer, before })
    for (const reason of problems.values()) log.warn('a record of the global store is not used', { function: name, reason })
    const moved = deployed?.record.signature !== before?.record.signature || deployed?.versions.size !== before?.versions.size
    view.set(name, deployed, problems)
    if (!moved) return
    copies.changed()
    for (const listener of listeners) {
      try { listener(name) } catch (error) { log.error('a listener of the catalog threw', { function: name, reason: String(error) }) }
    }
  }

  const follower = createFollower({
    store: options.store, clock, names: () => view.names(),
    changed: (name, record, stored) => {
      judge(name, record, stored)
      local.write(name, view.get(name))
    },
    failed: (error) => log.warn('the global store cannot be followed; what is known is used', { reason: String(error) }),
  })

  return {
    self: options.self, fetch, code,
    get: (name) => view.get(name),
    list: () => view.list(),
    resolve: (reference, draw) => view.resolve(reference, draw),
    version: (name, prefix) => view.version(name, prefix),
    async sourceMap(version) {
      const hash = view.owner(version)?.version.manifest.sourceMap
      const bytes = hash === undefined ? undefined : (await fetch.get(hash, LIMITS.sourceMapBytesMax)).bytes
      return bytes === undefined ? undefined : decoder.decode(bytes)
    },
    onChange(listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },
    start() {
      for (const { name, record, versions } of local.read()) judge(name, record, versions)
      follower.start()
      copies.start()
    },
    reached: (revision, signal) => follower.reached(revision, signal),
    problems: () => view.problems(),
    async stop() {
      copies.stop()
      fetch.close()
      await follower.stop()
      await local.settled()
    },
  }
}

interface Stored { readonly name: string; readonly record: Uint8Array; readonly stored: ReadonlyMap<string, Uint8Array>; readonly signer: RecordSigner; readonly before: DeployedFunction | undefined }

/** The function as its records say, as far as they are to be believed; else as it was. */
function opened({ name, record, stored, signer, before }: Stored): { readonly deployed: DeployedFunction | undefined; readonly problems: ReadonlyMap<string, string> } {
  const problems = new Map<string, string>()
  const told = (what: string, error: unknown): void => { problems.set(what, String((error as { readonly details?: { readonly reason?: unknown } }).details?.reason ?? error)) }
  let pointer: FunctionRecord
  try {
    pointer = openFunction(name, record, signer)
  } catch (error) {
    told('', error)
    return { deployed: before, problems }
  }
  // Signed once, and put back by somebody who can write to the store but not sign. A function that was removed and made anew begins at the first generation, later.
  if (before !== undefined && pointer.generation < before.record.generation && pointer.atMs <= before.record.atMs) {
    problems.set('', `it is of generation ${pointer.generation}, and ${before.record.generation} has been seen: an older record was put back`)
    return { deployed: before, problems }
  }
  const versions = new Map<Hash, VersionRecord>()
  for (const [version, bytes] of stored) {
    // A version never changes: one that was judged is not judged again.
    const known = before?.versions.get(version)
    try {
      versions.set(version, known ?? openVersion(name, version, bytes, signer))
    } catch (error) {
      told(version, error)
    }
  }
  for (const { version } of Object.values(pointer.aliases)) {
    const known = before?.versions.get(version)
    if (!versions.has(version) && known !== undefined) versions.set(version, known)
  }
  const stable = versions.get(pointer.aliases['stable']?.version ?? '')
  if (stable !== undefined) return { deployed: { record: pointer, manifest: stable.manifest, versions }, problems }
  if (problems.size === 0) problems.set('', `the record of its stable version ${pointer.aliases['stable']?.version.slice(0, 12)} is missing`)
  return { deployed: before, problems }
}

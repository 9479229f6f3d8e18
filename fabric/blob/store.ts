// Content-addressed blobs of a node: code and environments by their SHA-256. Memory in front, a
// directory behind (optional). Nothing gets in under a hash that is not its own.
//
// Returned arrays are shared: read them, never write to them. A blob may vanish at any time (bounds,
// damage); who needs it fetches it again (transfer.ts).

import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import type { Clock } from '../clock.ts'
import { systemClock } from '../clock.ts'
import { FABRIC } from '../errors-table.ts'
import type { Hash } from '../id.ts'
import { LIMITS } from '../limits.ts'
import { BlobDisk } from './disk.ts'
import type { BlobFs } from './disk.ts'
import { BlobMemory } from './memory.ts'

export interface BlobStoreOptions {
  /** Where blobs outlive the process; undefined: memory only. */
  readonly directory?: string
  readonly memoryBytes?: number
  readonly diskBytes?: number
  readonly fs?: BlobFs
  readonly clock?: Clock
  /** Told of a disk that fails and of damaged files. */
  readonly warn?: (message: string, error: unknown) => void
}

export interface BlobStore {
  has(hash: Hash): boolean
  /** From memory only, at once. */
  peek(hash: Hash): Uint8Array | undefined
  get(hash: Hash): Promise<Uint8Array | undefined>
  /** Stores under the bytes' own hash, and returns it; the array is kept, not copied. On disk a little later. */
  add(bytes: Uint8Array): Hash
  /** Stores bytes said to have this hash. Throws BLOB_MISMATCH when they do not. */
  put(hash: Hash, bytes: Uint8Array, from?: string): void
  /** Resolves when everything added so far is on disk (or could not be). */
  flush(): Promise<void>
  /** Whether it outlives the process: on disk, or, in a store without a directory, in memory. */
  keeps(hash: Hash): boolean
  /** These, and no others, are not removed from disk to make room; replaces the set given before. */
  hold(hashes: ReadonlySet<Hash>): void
  stats(): { readonly memoryBytes: number; readonly diskBytes: number; readonly hits: number; readonly misses: number }
}

export const hashOf = (bytes: Uint8Array): Hash => createHash('sha256').update(bytes).digest('hex')

export async function createBlobStore(options: BlobStoreOptions = {}): Promise<BlobStore> {
  const memory = new BlobMemory(options.memoryBytes ?? LIMITS.blobMemoryBytes)
  const warn = options.warn ?? (() => undefined)
  const disk = await openDisk(options, warn)
  const writes = new Set<Promise<void>>()
  let hits = 0
  let misses = 0

  const keep = (hash: Hash, bytes: Uint8Array): void => {
    if (bytes.length > LIMITS.blobBytesMax) throw FABRIC.BLOB_TOO_LARGE({ hash, bytesMax: LIMITS.blobBytesMax })
    memory.put(hash, bytes)
    if (disk === undefined || disk.has(hash)) return
    const write = disk.write(hash, bytes).finally(() => writes.delete(write))
    writes.add(write)
  }

  return {
    has: (hash) => memory.has(hash) || disk?.has(hash) === true,
    peek: (hash) => memory.get(hash),
    async get(hash) {
      let bytes = memory.get(hash)
      if (bytes === undefined) {
        bytes = await disk?.read(hash)
        if (bytes !== undefined) memory.put(hash, bytes)
      }
      if (bytes === undefined) misses++
      else hits++
      return bytes
    },
    add(bytes) {
      const hash = hashOf(bytes)
      keep(hash, bytes)
      return hash
    },
    put(hash, bytes, from = 'the sender') {
      if (hashOf(bytes) !== hash) throw FABRIC.BLOB_MISMATCH({ hash, node: from })
      keep(hash, bytes)
    },
    async flush() { await Promise.all(writes) },
    keeps: (hash) => (options.directory === undefined ? memory.has(hash) : disk?.has(hash) === true),
    hold: (hashes) => disk?.hold(hashes),
    stats: () => ({ memoryBytes: memory.bytes, diskBytes: disk?.bytes ?? 0, hits, misses }),
  }
}

/** A directory that cannot be used is no reason not to start. */
async function openDisk(options: BlobStoreOptions, warn: (message: string, error: unknown) => void): Promise<BlobDisk | undefined> {
  if (options.directory === undefined) return undefined
  const disk = new BlobDisk({
    directory: options.directory,
    bytesMax: options.diskBytes ?? LIMITS.blobDiskBytes,
    fs: options.fs ?? fs,
    wallMs: () => (options.clock ?? systemClock).wallMs(),
    warn,
  })
  try {
    await disk.open()
    return disk
  } catch (error) {
    warn(`blobs are kept in memory only: ${options.directory} cannot be used`, error)
    return undefined
  }
}

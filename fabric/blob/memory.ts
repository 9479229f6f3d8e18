// Least recently used blobs in memory, bounded in bytes. Pure.

import type { Hash } from '../id.ts'

export class BlobMemory {
  /** Oldest use first: a Map keeps insertion order, and a use re-inserts. */
  readonly #blobs = new Map<Hash, Uint8Array>()
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number) { this.#bytesMax = bytesMax }

  get bytes(): number { return this.#bytes }
  get count(): number { return this.#blobs.size }
  has(hash: Hash): boolean { return this.#blobs.has(hash) }

  get(hash: Hash): Uint8Array | undefined {
    const bytes = this.#blobs.get(hash)
    if (bytes === undefined) return undefined
    this.#blobs.delete(hash)
    this.#blobs.set(hash, bytes)
    return bytes
  }

  /** Keeps the array itself; one that is larger than the whole cache is not kept. */
  put(hash: Hash, bytes: Uint8Array): void {
    if (this.#blobs.has(hash) || bytes.length > this.#bytesMax) return
    this.#blobs.set(hash, bytes)
    this.#bytes += bytes.length
    for (const [oldest, old] of this.#blobs) {
      if (this.#bytes <= this.#bytesMax) return
      this.#blobs.delete(oldest)
      this.#bytes -= old.length
    }
  }
}

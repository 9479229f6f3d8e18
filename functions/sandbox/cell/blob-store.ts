// Code (as text) and environments (as bytes) of one lane, by hash, least recently used out first. A blob that
// was dropped, or never came, is asked of the kernel.

export type Blob = string | Uint8Array

const sizeOf = (blob: Blob): number => (typeof blob === 'string' ? blob.length : blob.byteLength)

export class BlobStore {
  readonly #bytesMax: number
  readonly #ask: (hash: string) => void
  readonly #blobs = new Map<string, Blob>()
  readonly #waiting = new Map<string, ((blob: Blob) => void)[]>()
  #bytes = 0

  constructor(bytesMax: number, ask: (hash: string) => void) {
    this.#bytesMax = bytesMax
    this.#ask = ask
  }

  add(hash: string, blob: Blob): void {
    if (!this.#blobs.has(hash)) {
      this.#blobs.set(hash, blob)
      this.#bytes += sizeOf(blob)
    }
    for (const [oldest, old] of this.#blobs) {
      if (this.#bytes <= this.#bytesMax || oldest === hash) break
      this.#blobs.delete(oldest)
      this.#bytes -= sizeOf(old)
    }
    for (const deliver of this.#waiting.get(hash) ?? []) deliver(blob)
    this.#waiting.delete(hash)
  }

  get(hash: string): Blob | undefined {
    const blob = this.#blobs.get(hash)
    if (blob !== undefined) {
      this.#blobs.delete(hash)
      this.#blobs.set(hash, blob)
    }
    return blob
  }

  wait(hash: string): Promise<Blob> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(hash)
      if (waiting !== undefined) {
        waiting.push(resolve)
        return
      }
      this.#waiting.set(hash, [resolve])
      this.#ask(hash)
    })
  }
}

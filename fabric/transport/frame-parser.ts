// Cuts a byte stream into frames: 4 bytes length (big-endian), then the frame. Pure, no I/O.
//
// A frame that lies in one chunk is given out as a view of it; one that spans chunks is collected in a
// buffer of exactly its size, allocated only after its length has been checked.

import { FABRIC } from '../errors-table.ts'
import { LIMITS } from '../limits.ts'

export const FRAME_HEAD_BYTES = 4

export class FrameParser {
  readonly #emit: (frame: Uint8Array) => void
  readonly #head = Buffer.alloc(FRAME_HEAD_BYTES)
  #headBytes = 0
  #frame: Buffer | undefined
  #filled = 0
  #frames = 0

  constructor(emit: (frame: Uint8Array) => void) { this.#emit = emit }

  /** Frames given out so far. */
  get frames(): number { return this.#frames }
  /** A frame has begun and is not complete. */
  get unfinished(): boolean { return this.#headBytes > 0 || this.#frame !== undefined }

  /** Takes the next bytes; the error that ends the stream, when they are no frames. Take no more after it. */
  take(chunk: Buffer): Error | undefined {
    let at = 0
    while (at < chunk.length) {
      if (this.#frame === undefined) {
        const headFrom = at
        const whole = this.#headBytes === 0 && chunk.length - at >= FRAME_HEAD_BYTES
        if (whole) at += FRAME_HEAD_BYTES
        else {
          const copied = chunk.copy(this.#head, this.#headBytes, at, at + FRAME_HEAD_BYTES - this.#headBytes)
          this.#headBytes += copied
          at += copied
          if (this.#headBytes < FRAME_HEAD_BYTES) return undefined
        }
        const bytes = whole ? chunk.readUInt32BE(headFrom) : this.#head.readUInt32BE(0)
        this.#headBytes = 0
        if (bytes === 0 || bytes > LIMITS.frameBytesMax) return FABRIC.FRAME_TOO_LARGE({ bytes, bytesMax: LIMITS.frameBytesMax })
        if (chunk.length - at >= bytes) {
          this.#frames++
          this.#emit(chunk.subarray(at, at + bytes))
          at += bytes
          continue
        }
        this.#frame = Buffer.allocUnsafeSlow(bytes)
        this.#filled = 0
      }
      const copied = chunk.copy(this.#frame, this.#filled, at)
      this.#filled += copied
      at += copied
      if (this.#filled < this.#frame.length) return undefined
      const frame = this.#frame
      this.#frame = undefined
      this.#frames++
      this.#emit(frame)
    }
    return undefined
  }
}

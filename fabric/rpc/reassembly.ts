// Incoming fragments of one lane, put together again. Bounded by what the sender may have under way:
// LIMITS.interleavedMessagesMax messages of LIMITS.interleavedBytesMax together, each at most
// LIMITS.messageBytesMax. Memory grows only with bytes that did arrive, never with announced sizes.

import { FABRIC } from '../errors-table.ts'
import { LIMITS } from '../limits.ts'
import { decodeFragment } from './messages.ts'

interface Partial { readonly parts: Uint8Array[]; bytes: number }

export class Reassembly {
  readonly #partials = new Map<number, Partial>()
  #bytes = 0

  /** Takes a fragment; the whole message when it was the last. Throws PROTOCOL. */
  take(frame: Uint8Array): Uint8Array | undefined {
    const { call, part, payload } = decodeFragment(frame)
    if (part === 'abandoned') {
      this.#drop(call)
      return undefined
    }
    let partial = this.#partials.get(call)
    if (partial === undefined) {
      if (this.#partials.size >= LIMITS.interleavedMessagesMax) throw FABRIC.PROTOCOL({ reason: `more than ${LIMITS.interleavedMessagesMax} long messages at once` })
      partial = { parts: [], bytes: 0 }
      this.#partials.set(call, partial)
    }
    partial.parts.push(payload)
    partial.bytes += payload.length
    this.#bytes += payload.length
    if (partial.bytes > LIMITS.messageBytesMax) throw FABRIC.PROTOCOL({ reason: `a message above ${LIMITS.messageBytesMax} bytes` })
    if (this.#bytes > LIMITS.interleavedBytesMax) throw FABRIC.PROTOCOL({ reason: `more than ${LIMITS.interleavedBytesMax} bytes of unfinished messages` })
    if (part === 'more') return undefined
    this.#drop(call)
    return Buffer.concat(partial.parts, partial.bytes)
  }

  #drop(call: number): void {
    const partial = this.#partials.get(call)
    if (partial === undefined) return
    this.#bytes -= partial.bytes
    this.#partials.delete(call)
  }
}

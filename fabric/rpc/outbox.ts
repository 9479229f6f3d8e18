// Outgoing frames of one lane: short ones at once and in order, long messages as fragments that take
// turns, so that a bulk message never holds up a small call for more than one fragment.
//
//   post -> [ready: short frames] --------------------> channel, while it takes them
//        -> [long: at most N, one fragment each turn] /
//        -> [waiting: further long messages]
//
// Frames of one call keep their order: while a long message of a call is under way, its later frames
// queue behind it. When the channel says "full", everything waits here until it drains.

import { LIMITS } from '../limits.ts'
import { encodeAbandon, encodeFragment } from './messages.ts'

/** Frames that belong to no call (events too). */
export const NO_CALL = 0

interface Frame { readonly call: number; readonly bytes: Uint8Array; readonly handed: (() => void) | undefined }
interface Long extends Frame { sentBytes: number }

export class Outbox {
  readonly #send: (frame: Uint8Array) => boolean
  readonly #roomAgain: () => void
  #blocked = false
  #ready: Frame[] = []
  #long: Long[] = []
  #waiting: Long[] = []
  /** Frames behind a long message of the same call; an entry exists exactly while one is under way. */
  readonly #behind = new Map<number, Frame[]>()
  #longBytes = 0
  #turn = 0
  #queuedBytes = 0

  /** `roomAgain` runs when queued bytes fall below LIMITS.unsentBytesMax after having been above. */
  constructor(send: (frame: Uint8Array) => boolean, roomAgain: () => void) {
    this.#send = send
    this.#roomAgain = roomAgain
  }

  /** False: senders that can wait should. */
  get hasRoom(): boolean { return this.#queuedBytes < LIMITS.unsentBytesMax }
  /** True: the other side makes us answer and does not read; nothing but closing bounds this queue. */
  get flooded(): boolean { return this.#ready.length > LIMITS.queuedFramesMax }

  /** Takes a whole message. `handed` runs when its last byte has gone to the channel (maybe at once). */
  post(call: number, bytes: Uint8Array, handed?: () => void): void {
    if (!this.#blocked && bytes.length <= LIMITS.fragmentBytesMax && this.#ready.length === 0 && (this.#behind.size === 0 || !this.#behind.has(call))) {
      this.#blocked = !this.#send(bytes)
      handed?.()
      return
    }
    this.#queuedBytes += bytes.length
    const behind = this.#behind.get(call)
    if (behind === undefined) this.#place({ call, bytes, handed })
    else behind.push({ call, bytes, handed })
    this.#pump()
  }

  /** The channel takes frames again. */
  drained(): void {
    this.#blocked = false
    this.#pump()
  }

  /** Forgets what a call still wants to send. */
  drop(call: number): void {
    if (this.#queuedBytes === 0) return
    const before = this.hasRoom
    const gone = (frame: Frame): boolean => {
      if (frame.call !== call) return true
      this.#queuedBytes -= frame.bytes.length
      return false
    }
    const at = this.#long.findIndex((message) => message.call === call)
    const begun = at >= 0 && (this.#long[at] as Long).sentBytes > 0
    if (at >= 0) {
      this.#queuedBytes -= (this.#long[at] as Long).bytes.length
      this.#finishLong(at)
    }
    this.#waiting = this.#waiting.filter(gone)
    if (this.#ready.length > 0) this.#ready = this.#ready.filter(gone)
    for (const frame of this.#behind.get(call) ?? []) this.#queuedBytes -= frame.bytes.length
    this.#behind.delete(call)
    this.#admit()
    // The receiver holds a part that will not be completed. Posted outside the call, so that it cannot be dropped.
    if (begun) this.post(NO_CALL, encodeAbandon(call))
    if (!before && this.hasRoom) this.#roomAgain()
  }

  #place(frame: Frame): void {
    if (frame.bytes.length <= LIMITS.fragmentBytesMax) {
      this.#ready.push(frame)
      return
    }
    if (!this.#behind.has(frame.call)) this.#behind.set(frame.call, [])
    this.#waiting.push({ ...frame, sentBytes: 0 })
    this.#admit()
  }

  /** Lets waiting long messages take turns, within the bounds the receiver relies on. */
  #admit(): void {
    for (;;) {
      const next = this.#waiting[0]
      if (next === undefined || this.#long.length >= LIMITS.interleavedMessagesMax) return
      if (this.#long.length > 0 && this.#longBytes + next.bytes.length > LIMITS.interleavedBytesMax) return
      this.#waiting.shift()
      this.#long.push(next)
      this.#longBytes += next.bytes.length
    }
  }

  #pump(): void {
    const full = !this.hasRoom
    let sent = 0
    while (!this.#blocked) {
      if (sent < this.#ready.length) {
        const frame = this.#ready[sent++] as Frame
        this.#queuedBytes -= frame.bytes.length
        this.#blocked = !this.#send(frame.bytes)
        frame.handed?.()
        continue
      }
      if (sent > 0) {
        this.#ready.splice(0, sent)
        sent = 0
      }
      if (this.#long.length === 0) break
      this.#sendFragment()
    }
    if (sent > 0) this.#ready.splice(0, sent)
    if (full && this.hasRoom) this.#roomAgain()
  }

  #sendFragment(): void {
    const at = this.#turn++ % this.#long.length
    const message = this.#long[at] as Long
    const from = message.sentBytes
    message.sentBytes = Math.min(message.bytes.length, from + LIMITS.fragmentBytesMax)
    this.#blocked = !this.#send(encodeFragment(message.call, message.bytes, from))
    if (message.sentBytes < message.bytes.length) return
    this.#finishLong(at)
    this.#queuedBytes -= message.bytes.length
    message.handed?.()
    // What queued behind it follows in order, up to the next long message of the call.
    const behind = this.#behind.get(message.call) ?? []
    this.#behind.delete(message.call)
    while (behind.length > 0) {
      const frame = behind.shift() as Frame
      this.#place(frame)
      if (this.#behind.has(frame.call)) {
        this.#behind.set(frame.call, behind)
        break
      }
    }
    this.#admit()
  }

  #finishLong(at: number): void {
    const [message] = this.#long.splice(at, 1)
    this.#longBytes -= message?.bytes.length ?? 0
  }
}

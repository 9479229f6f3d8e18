// One end of a stream: messages both ways inside a call, with credit in bytes.
//
// Each side may have LIMITS.streamCreditBytes under way; a message is sent while credit is left (the
// last one may overdraw it), and the reader gives credit back in halves of the window as it reads. So
// a reader that stops reading stops the writer, and holds at most a window plus one message.
// The call that owns the stream says what goes out (post) and what cancelling means.

import { FABRIC } from '../errors-table.ts'
import { LIMITS } from '../limits.ts'
import type { Body, RpcStream } from './contract.ts'
import { creditOf, encodeCredit, encodeData, encodeEnd } from './messages.ts'

export interface StreamOptions {
  readonly method: string
  /** Call number as this side writes it. */
  readonly call: number
  readonly post: (frame: Uint8Array) => void
  /** False: the connection has enough queued; `roomAgain` is called later. */
  readonly hasRoom: () => boolean
  readonly cancel: (error: Error | undefined) => void
}

interface Write { readonly frame: Uint8Array; readonly sent: () => void; readonly failed: (error: Error) => void }
interface Reader { readonly resolve: (message: Body | undefined) => void; readonly reject: (error: Error) => void }
interface Received { readonly body: Body; readonly cost: number }

export class StreamEnd implements RpcStream {
  readonly #options: StreamOptions
  #credit: number = LIMITS.streamCreditBytes
  #writes: Write[] = []
  #ending = false
  #endSent = false
  /** Set when no more can be written, with the reason. */
  #writeError: Error | undefined
  /** The call has its result: its error is made only for who still writes, as it costs more than a message. */
  #answered = false
  #inbox: Received[] = []
  #inboxFrom = 0
  #readers: Reader[] = []
  #remoteEnded = false
  #readError: Error | undefined
  /** Received and not yet given back as credit; of that, already read. */
  #outstanding = 0
  #readSinceCredit = 0

  constructor(options: StreamOptions) { this.#options = options }

  // ---- writing

  write(message: Body): Promise<void> {
    const { method } = this.#options
    if (this.#answered) this.#writeError ??= this.#afterAnswer()
    if (this.#writeError !== undefined) return Promise.reject(this.#writeError)
    if (this.#ending) return Promise.reject(FABRIC.STREAM_ENDED({ method, reason: 'this side has ended it' }))
    let frame: Uint8Array
    try {
      frame = encodeData(this.#options.call, message, method)
    } catch (error) {
      return Promise.reject(error as Error)
    }
    if (this.#writes.length === 0 && this.#mayWrite()) {
      this.#sendData(frame)
      return Promise.resolve()
    }
    if (this.#writes.length >= LIMITS.pendingWritesMax) return Promise.reject(FABRIC.BUSY({ what: `Writing to the stream of ${method}`, limit: LIMITS.pendingWritesMax }))
    return new Promise((sent, failed) => this.#writes.push({ frame, sent, failed }))
  }

  get waiting(): number { return this.#writes.length }

  end(): void {
    this.#ending = true
    this.roomAgain()
  }

  /** Credit came. */
  credited(bytes: number): void {
    // A peer that gives more than was used gains nothing: the window never grows.
    this.#credit = Math.min(LIMITS.streamCreditBytes, this.#credit + bytes)
    this.roomAgain()
  }

  /** Sends what waited, as far as credit and the connection allow. */
  roomAgain(): void {
    while (this.#writes.length > 0 && this.#mayWrite()) {
      const write = this.#writes.shift() as Write
      this.#sendData(write.frame)
      write.sent()
    }
    if (this.#ending && !this.#endSent && this.#writes.length === 0 && this.#writeError === undefined && !this.#answered) {
      this.#endSent = true
      this.#options.post(encodeEnd(this.#options.call))
    }
  }

  #mayWrite(): boolean { return this.#credit > 0 && this.#options.hasRoom() }

  #sendData(frame: Uint8Array): void {
    this.#credit -= creditOf(frame.length)
    this.#options.post(frame)
  }

  // ---- reading

  read(): Promise<Body | undefined> {
    const next = this.#inbox[this.#inboxFrom]
    if (next !== undefined) {
      this.#inboxFrom++
      if (this.#inboxFrom === this.#inbox.length) {
        this.#inbox = []
        this.#inboxFrom = 0
      } else if (this.#inboxFrom >= 1_024) {
        this.#inbox.splice(0, this.#inboxFrom)
        this.#inboxFrom = 0
      }
      this.#took(next.cost)
      return Promise.resolve(next.body)
    }
    if (this.#readError !== undefined) return Promise.reject(this.#readError)
    if (this.#remoteEnded) return Promise.resolve(undefined)
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }))
  }

  /** A message came. Throws PROTOCOL when the sender had no credit for it. */
  deliver(body: Body, messageBytes: number): void {
    if (this.#remoteEnded || this.#readError !== undefined) return
    const cost = creditOf(messageBytes)
    if (this.#outstanding >= LIMITS.streamCreditBytes) throw FABRIC.PROTOCOL({ reason: `a stream message of ${this.#options.method} without credit` })
    this.#outstanding += cost
    const reader = this.#readers.shift()
    if (reader === undefined) {
      this.#inbox.push({ body, cost })
      return
    }
    this.#took(cost)
    reader.resolve(body)
  }

  /** The other side sends no more. */
  remoteEnd(): void {
    this.#remoteEnded = true
    for (const reader of this.#readers.splice(0)) reader.resolve(undefined)
  }

  #took(cost: number): void {
    this.#readSinceCredit += cost
    if (this.#readSinceCredit < LIMITS.streamCreditBytes / 2 || this.#remoteEnded || this.#readError !== undefined) return
    this.#outstanding -= this.#readSinceCredit
    this.#options.post(encodeCredit(this.#options.call, this.#readSinceCredit))
    this.#readSinceCredit = 0
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Body, void, undefined> {
    let finished = false
    try {
      for (;;) {
        const message = await this.read()
        if (message === undefined) {
          finished = true
          return
        }
        yield message
      }
    } finally {
      // Leaving the loop early means that nobody wants the rest.
      if (!finished && this.#readError === undefined) this.cancel(FABRIC.CANCELLED({ method: this.#options.method, reason: 'its reader stopped' }))
    }
  }

  // ---- ending

  cancel(error?: Error): void { this.#options.cancel(error) }

  /** The call ended with a result: what was received stays readable, writing is over. */
  finish(): void {
    this.remoteEnd()
    this.#answered = true
    if (this.#writes.length > 0) this.#stopWriting(this.#afterAnswer())
  }

  #afterAnswer(): Error { return FABRIC.STREAM_ENDED({ method: this.#options.method, reason: 'the call has been answered' }) }

  /** The call failed. `received`: what had arrived before is still readable, or is thrown away. */
  fail(error: Error, received: 'keep' | 'drop'): void {
    if (received === 'drop') {
      this.#inbox = []
      this.#inboxFrom = 0
    }
    this.#readError ??= error
    for (const reader of this.#readers.splice(0)) reader.reject(error)
    this.#stopWriting(error)
  }

  #stopWriting(error: Error): void {
    this.#writeError ??= error
    for (const write of this.#writes.splice(0)) write.failed(error)
  }
}

// A wire over plain TCP: Noise handshake, then encrypted records.
//
// Where two hosts reach each other directly this carries the 'rpc' and 'bulk' lanes, each on a connection of
// its own so that bulk never stands in front of a call. A frame longer than one record is cut, so that the
// receiver opens its first part while the sender still seals the rest; it is opened straight into the array
// its receiver keeps, so a received byte is copied at most once after the kernel.
//
//   handshake:  { length:u16 message } * 3, then each direction its sealing header
//   record:     kind:u8 (channel, 128 = more follows) sealedLength:u24 frameLength:u32 sealed
//
// Invariants: no length is believed before it is compared with a cap; the record header is authenticated
// with the record; an empty control frame is a ping and goes no further. Source: reliability.md 4.2.

import { Socket } from 'node:net'
import type { Clock, Timer } from '../clock.ts'
import { errorCode } from '../errors.ts'
import type { Keys } from '../identity/keys.ts'
import { LIMITS } from '../limits.ts'
import { HANDSHAKE_BYTES_MAX, SEAL_BYTES, SEAL_HEADER_BYTES, startHandshake } from './cipher.ts'
import type { Handshake, Opener, Sealer } from './cipher.ts'
import { CHANNELS } from './wire.ts'
import type { Channel, Wire, WireEnd, WireHandlers } from './wire.ts'

const RECORD_HEADER_BYTES = 8
const LENGTH_BYTES = 2
const MORE = 128
const EMPTY = new Uint8Array(0)
/** Frames below this leave together with the others of the same tick; bigger ones leave at once. */
const CORK_BYTES_MAX = 16 * 1024

/** Sockets of both sides; the write mark is where send() starts to say "wait". */
export const SOCKET_OPTIONS = { highWaterMark: LIMITS.unsentBytesMax, noDelay: true } as const

export interface TcpWireOptions {
  readonly keys: Keys
  /** Public key of the wanted peer; undefined on the accepting side. */
  readonly remote: Uint8Array | undefined
  readonly clock: Clock
  /** Once: the handshake is complete and `wire.remote` proved. Set handlers synchronously. */
  readonly opened: (wire: Wire) => void
  /** Once, instead of `opened`: the stream ended before that. */
  readonly failed: (how: WireEnd) => void
}

type Phase = 'message-length' | 'message' | 'seal-header' | 'record-header' | 'record'

/** Runs the handshake over a connected (or, for a dialler, connecting) socket. `first` was read from it already. */
export function openTcpWire(socket: Socket, options: TcpWireOptions, first?: Buffer): { abandon(): void } {
  const wire = new TcpWire(socket, options)
  if (first !== undefined) wire.feed(first)
  return { abandon: () => wire.destroy('silent') }
}

class TcpWire implements Wire {
  readonly path = 'tcp'
  readonly dialled: boolean
  readonly address: string
  remote = ''
  readonly #socket: Socket
  readonly #options: TcpWireOptions
  #handlers: WireHandlers | undefined
  #handshake: Handshake | undefined
  #sealer: Sealer | undefined
  #opener: Opener | undefined
  #opened = false
  #closed = false
  #how: WireEnd = 'reset'
  #frameBytesMax: number = LIMITS.helloBytesMax
  // reader
  #phase: Phase = 'message-length'
  #want = LENGTH_BYTES
  #held = 0
  /** What came of a unit that is not whole. A stranger gets room for a handshake message; a record's comes with his proved key. */
  #scratch = Buffer.allocUnsafeSlow(HANDSHAKE_BYTES_MAX)
  readonly #header = Buffer.allocUnsafeSlow(RECORD_HEADER_BYTES)
  #frame: Buffer | undefined
  #filled = 0
  // life signs
  #timer: Timer | undefined
  #heard = true
  #spoke = false
  #silentTicks = 0
  #frameTicks = 0
  #corked = false

  constructor(socket: Socket, options: TcpWireOptions) {
    this.#socket = socket
    this.#options = options
    this.dialled = options.remote !== undefined
    this.address = socket.remoteAddress === undefined ? '' : `${socket.remoteAddress}:${socket.remotePort}`
    if (this.dialled) {
      this.#handshake = startHandshake(options.keys, options.remote)
      this.#sendMessage()
    }
    socket.on('data', (chunk: Buffer) => this.feed(chunk))
    socket.on('drain', () => this.#handlers?.drain())
    socket.on('error', (error) => { if (isSilence(errorCode(error))) this.#how = 'silent' })
    socket.on('close', () => this.#end())
  }

  send(channel: Channel, frame: Uint8Array): boolean {
    const sealer = this.#sealer
    if (this.#closed || sealer === undefined) return true
    this.#spoke = true
    if (frame.byteLength <= CORK_BYTES_MAX) this.#cork()
    const kind = CHANNELS.indexOf(channel)
    let from = 0
    do {
      const until = Math.min(frame.byteLength, from + LIMITS.recordBytes)
      const sealedBytes = until - from + SEAL_BYTES
      const record = Buffer.allocUnsafe(RECORD_HEADER_BYTES + sealedBytes)
      record[0] = until < frame.byteLength ? kind | MORE : kind
      record.writeUIntBE(sealedBytes, 1, 3)
      record.writeUInt32BE(frame.byteLength, 4)
      sealer.seal(frame.subarray(from, until), record.subarray(RECORD_HEADER_BYTES), record.subarray(0, RECORD_HEADER_BYTES))
      this.#socket.write(record)
      from = until
    } while (from < frame.byteLength)
    return this.#socket.writableLength < LIMITS.unsentBytesMax
  }

  handle(handlers: WireHandlers): void { this.#handlers = handlers }

  admit(): void { this.#frameBytesMax = LIMITS.frameBytesMax }

  end(): void {
    if (this.#closed) return
    this.#how = 'ended'
    this.#uncork()
    this.#socket.end()
    // A peer that reads no more must not keep the socket for ever.
    this.#options.clock.after(LIMITS.transportCloseMs, () => this.#socket.destroy(), { background: true })
  }

  destroy(how: WireEnd): void {
    if (this.#closed) return
    this.#how = how
    this.#socket.destroy()
  }

  feed(chunk: Buffer): void {
    this.#heard = true
    let at = 0
    try {
      while (at < chunk.byteLength && !this.#socket.destroyed) {
        if (this.#held === 0 && chunk.byteLength - at >= this.#want) {
          const unit = chunk.subarray(at, (at += this.#want))
          this.#take(unit)
          continue
        }
        const take = Math.min(this.#want - this.#held, chunk.byteLength - at)
        chunk.copy(this.#scratch, this.#held, at, (at += take))
        this.#held += take
        if (this.#held < this.#want) return
        this.#held = 0
        this.#take(this.#scratch.subarray(0, this.#want))
      }
    } catch {
      // Garbage, tampering, or a handler's fault: this stream can carry nothing more.
      this.destroy('broken')
    }
  }

  /** One complete unit of the present phase; sets the next phase and how many bytes it wants. */
  #take(unit: Buffer): void {
    switch (this.#phase) {
      case 'message-length': {
        const length = unit.readUInt16BE(0)
        if (length === 0 || length > HANDSHAKE_BYTES_MAX) throw new RangeError('no handshake message is that long')
        return this.#expect('message', length)
      }
      case 'message': return this.#takeMessage(unit)
      case 'seal-header':
        this.#opener = (this.#handshake as Handshake).opener(unit)
        this.#handshake = undefined
        return this.#expect('record-header', RECORD_HEADER_BYTES)
      case 'record-header': {
        unit.copy(this.#header)
        const sealedBytes = unit.readUIntBE(1, 3), frameBytes = unit.readUInt32BE(4)
        if (frameBytes > this.#frameBytesMax || sealedBytes < SEAL_BYTES || sealedBytes > LIMITS.recordBytes + SEAL_BYTES) throw new RangeError('a record is too long')
        if (sealedBytes - SEAL_BYTES > frameBytes - this.#filled) throw new RangeError('a record overflows its frame')
        return this.#expect('record', sealedBytes)
      }
      case 'record': return this.#takeRecord(unit)
    }
  }

  #expect(phase: Phase, bytes: number): void {
    this.#phase = phase
    this.#want = bytes
  }

  #takeMessage(message: Buffer): void {
    // Of somebody who knocks: no key is drawn for who does not get so far as to say a whole message.
    const handshake = (this.#handshake ??= startHandshake(this.#options.keys, undefined))
    handshake.receive(message)
    if (!handshake.complete) this.#sendMessage()
    if (!handshake.complete) return this.#expect('message-length', LENGTH_BYTES)
    this.#sealer = handshake.sealer()
    this.#socket.write(this.#sealer.header)
    this.remote = handshake.remote().toString('hex')
    this.#opened = true
    this.#scratch = Buffer.allocUnsafeSlow(LIMITS.recordBytes + SEAL_BYTES)
    this.#expect('seal-header', SEAL_HEADER_BYTES)
    this.#tick()
    this.#options.opened(this)
  }

  #sendMessage(): void {
    const message = (this.#handshake as Handshake).send()
    const framed = Buffer.allocUnsafe(LENGTH_BYTES + message.byteLength)
    framed.writeUInt16BE(message.byteLength, 0)
    framed.set(message, LENGTH_BYTES)
    this.#socket.write(framed)
  }

  #takeRecord(sealed: Buffer): void {
    const plainBytes = sealed.byteLength - SEAL_BYTES
    const frame = (this.#frame ??= Buffer.allocUnsafe(this.#header.readUInt32BE(4)))
    if (frame.byteLength !== this.#header.readUInt32BE(4)) throw new RangeError('records of two frames are mixed')
    ;(this.#opener as Opener).open(sealed, frame.subarray(this.#filled, this.#filled + plainBytes), this.#header)
    this.#filled += plainBytes
    this.#expect('record-header', RECORD_HEADER_BYTES)
    const kind = this.#header[0] as number
    if ((kind & MORE) !== 0) return
    const channel = CHANNELS[kind]
    if (channel === undefined || this.#filled !== frame.byteLength) throw new RangeError('a frame ends wrongly')
    this.#frame = undefined
    this.#filled = 0
    this.#frameTicks = 0
    if (channel === 'control' && frame.byteLength === 0) return
    this.#handlers?.frame(channel, frame)
  }

  // Ticks are counted instead of milliseconds: after this process itself was stopped for a minute, its timer
  // fires once, and what arrived meanwhile is still unread in the kernel.
  #tick(): void {
    this.#timer = this.#options.clock.after(LIMITS.linkPingMs, () => {
      if (this.#closed) return
      this.#silentTicks = this.#heard ? 0 : this.#silentTicks + 1
      this.#frameTicks = this.#filled > 0 || this.#held > 0 ? this.#frameTicks + 1 : 0
      if (this.#silentTicks * LIMITS.linkPingMs >= LIMITS.linkSilenceMs) return this.destroy('silent')
      if (this.#frameTicks * LIMITS.linkPingMs > LIMITS.frameTimeoutMs) return this.destroy('broken')
      if (!this.#spoke) this.send('control', EMPTY)
      this.#heard = this.#spoke = false
      this.#tick()
    }, { background: true })
  }

  #cork(): void {
    if (this.#corked) return
    this.#corked = true
    this.#socket.cork()
    process.nextTick(() => this.#uncork())
  }

  #uncork(): void {
    if (!this.#corked) return
    this.#corked = false
    this.#socket.uncork()
  }

  #end(): void {
    if (this.#closed) return
    this.#closed = true
    this.#timer?.cancel()
    if (this.#opened) this.#handlers?.close(this.#how)
    else this.#options.failed(this.#how)
  }
}

const isSilence = (code: string | undefined): boolean => code === 'ETIMEDOUT' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH' || code === 'ENETDOWN'

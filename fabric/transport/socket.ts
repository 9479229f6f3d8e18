// Frames over a byte stream: the channel between a shell and its node (or over any node:net socket).
//
//   4 bytes length (big-endian) | frame        at most LIMITS.frameBytesMax each
//
// The kernel's buffer is one queue, so the channel says "full" early (two fragments) to keep small
// calls from waiting behind bulk; the lanes share the socket. Frames sent in one turn leave in one
// write. An oversize frame, or one begun and not finished within LIMITS.frameTimeoutMs, closes the
// channel with a coded reason. Received frames are views into what the socket read.

import type { Socket } from 'node:net'
import type { Clock, Timer } from '../clock.ts'
import { FABRIC } from '../errors-table.ts'
import { LIMITS } from '../limits.ts'
import type { FrameChannel } from '../rpc/contract.ts'
import { FRAME_HEAD_BYTES, FrameParser } from './frame-parser.ts'

const FULL_BYTES = 2 * LIMITS.fragmentBytesMax
/** Frames up to this size are copied beside their length; longer ones are written as they are. */
const COPY_BYTES_MAX = 4_096

export function createSocketChannel(socket: Socket, clock: Clock): FrameChannel {
  let receive: (frame: Uint8Array, lane: 'rpc' | 'bulk') => void = () => undefined
  let drained: () => void = () => undefined
  let closed: (reason?: Error) => void = () => undefined
  let reason: Error | undefined
  let ended = false
  let full = false
  let corked = false
  let slow: Timer | undefined
  const parser = new FrameParser((frame) => { if (!ended) receive(frame, 'rpc') })

  const fail = (error: Error): void => {
    reason ??= error
    socket.destroy()
  }
  const uncork = (): void => {
    corked = false
    socket.uncork()
  }

  socket.setNoDelay(true)
  socket.on('data', (chunk: Buffer) => {
    const framesBefore = parser.frames
    const fault = parser.take(chunk)
    if (fault !== undefined) {
      fail(fault)
      return
    }
    // One timer from an unfinished frame's first byte; more bytes of the same frame do not renew it.
    if (slow !== undefined && (!parser.unfinished || parser.frames > framesBefore)) {
      slow.cancel()
      slow = undefined
    }
    if (slow === undefined && parser.unfinished && !ended) {
      slow = clock.after(LIMITS.frameTimeoutMs, () => fail(FABRIC.FRAME_TIMEOUT({ timeoutMs: LIMITS.frameTimeoutMs })), { background: true })
    }
  })
  socket.on('drain', () => {
    full = false
    if (!ended) drained()
  })
  socket.on('error', (error) => { reason ??= error })
  // The other end is finished: nothing more will come, and nobody reads what we say.
  socket.on('end', () => socket.destroy())
  socket.on('close', () => {
    slow?.cancel()
    ended = true
    closed(reason)
  })

  return {
    send(_lane, frame) {
      if (ended || socket.destroyed) return true
      if (!corked) {
        corked = true
        socket.cork()
        process.nextTick(uncork)
      }
      if (frame.length <= COPY_BYTES_MAX) {
        const bytes = Buffer.allocUnsafe(FRAME_HEAD_BYTES + frame.length)
        bytes.writeUInt32BE(frame.length, 0)
        bytes.set(frame, FRAME_HEAD_BYTES)
        socket.write(bytes)
      } else {
        const head = Buffer.allocUnsafe(FRAME_HEAD_BYTES)
        head.writeUInt32BE(frame.length, 0)
        socket.write(head)
        socket.write(frame)
      }
      full ||= socket.writableNeedDrain && socket.writableLength >= FULL_BYTES
      return !full
    },
    hold(alive) { if (alive) socket.ref(); else socket.unref() },
    onFrame(receiver) { receive = receiver },
    onDrain(callback) { drained = callback },
    onClose(callback) {
      closed = callback
      if (socket.closed) callback(reason)
    },
    close() {
      if (ended) return
      ended = true
      // Says what is queued, the goodbye included; a peer that does not read is cut off.
      socket.end()
      const cut = clock.after(LIMITS.socketFlushTimeoutMs, () => socket.destroy(), { background: true })
      socket.once('close', () => cut.cancel())
    },
  }
}

// Two ends of an in-process frame channel, for a shell inside the node's own process and for tests.
// Frames arrive in a microtask, in order, without copies: both ends are in one hand.

import type { FrameChannel } from '../rpc/contract.ts'

export function createChannelPair(): readonly [FrameChannel, FrameChannel] {
  const left = new End()
  const right = new End()
  left.other = right
  right.other = left
  return [left, right]
}

class End implements FrameChannel {
  other: End | undefined
  #receive: (frame: Uint8Array, lane: 'rpc' | 'bulk') => void = () => undefined
  #closed: (reason?: Error) => void = () => undefined
  #open = true

  send(lane: 'rpc' | 'bulk', frame: Uint8Array): boolean {
    const { other } = this
    if (this.#open && other !== undefined) queueMicrotask(() => { if (other.#open) other.#receive(frame, lane) })
    return true
  }
  onFrame(receive: (frame: Uint8Array, lane: 'rpc' | 'bulk') => void): void { this.#receive = receive }
  /** Never full: the receiver runs before the sender's next turn. */
  onDrain(): void { /* nothing drains */ }
  onClose(closed: (reason?: Error) => void): void { this.#closed = closed }
  close(): void {
    if (!this.#open) return
    this.#open = false
    const { other } = this
    queueMicrotask(() => other?.close())
    this.#closed()
  }
}

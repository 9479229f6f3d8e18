// Frames that may wait for the end of a turn of the event loop and then leave in one write: host calls and their
// answers, of which one map over a fleet has thousands. A write is a system call and a wake-up of the other process,
// more than most calls cost. Frames that may not wait go through `now`, behind those that do: order is kept.

import { writeFrame, type FrameFields, type FrameSink } from './frames.ts'

export class FrameBatch {
  readonly #sink: FrameSink
  #waiting = false

  constructor(sink: FrameSink) { this.#sink = sink }

  later(fields: FrameFields): void {
    if (!this.#waiting) {
      this.#waiting = true
      this.#sink.cork()
      setImmediate(() => this.#flush())
    }
    writeFrame(this.#sink, fields)
  }

  now(fields: FrameFields): void {
    writeFrame(this.#sink, fields)
    this.#flush()
  }

  #flush(): void {
    if (!this.#waiting) return
    this.#waiting = false
    this.#sink.uncork()
  }
}

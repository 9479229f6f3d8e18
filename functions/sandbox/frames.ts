// Frames between the kernel and the lanes of a cell: a fixed header of registers, then one body of
// opaque bytes. The hot frames (run, result) need no parsing beyond the registers, and a body always
// arrives in an ArrayBuffer of exactly its own size: a view on a pooled buffer would hand the whole
// pool to an isolate (spike D, verified).
//
//   0 u32 body length | 4 u8 type | 5 u8 flags | 6 u16 - | 8 u32 id | 12 u32 b | 16 u32 c | 20 u32 d
//   24 f64 x | 32 f64 y | 40 f64 z | 48 f64 w | 56 body                          (little endian)
//
// Both ends load this file; it is pure. What a cell sends is hostile: lengths are bounded here, and the
// meaning of every register is checked where it is used (kernel/cell-lane.ts).

export const FRAME_HEADER_BYTES = 56

/** Kernel to lane. */
export const TO_LANE = {
  /** id = plan, b = plan to forget (0: none), c = length of the text, x = heap MiB, y = CPU ms, flags = PLAN_*; body = plan text, then `initial`. */
  plan: 1,
  /** flags = kind of blob; body = 64 hex characters of the hash, then the bytes. */
  blob: 2,
  /** id = job, b = plan, c = count, d = first element, flags = RUN_*, x = index of it, y = start, z = step, w = ms left; body = items. */
  run: 3,
  /** id = job, b = call, flags = 1 when it succeeded; body = value bytes, or an error record as text. */
  answer: 4,
  /** id = job, flags = CANCEL_*, x = its timeout in ms (for the message). */
  cancel: 5,
  /** b = request; flags = 1 when found; body = module text, or an error record as text. */
  package: 6,
} as const

/** Lane to kernel. */
export const FROM_LANE = {
  ready: 64,
  /** id = job, x = CPU ms; body = result bytes (results.ts). */
  result: 65,
  /** id = job, c = element that has ended while others go on, flags = 0 or 1 + its failure's status; body = u32 0, array of its one value or error text. */
  settled: 73,
  /** id = job, flags = FAILED_*, x = CPU ms; body = error text. The isolate is gone. */
  failed: 66,
  /** id = job, b = call, c = element + 1 (0: not known), d = sequence; body = u32 text length, text, value bytes. */
  call: 67,
  /** id = job, c = element + 1 (0: not known), flags = level, and CONSOLE_FIELDS; body = text, or JSON of [text, fields]. */
  console: 68,
  /** id = job, c = element about to start (probe runs only). */
  progress: 69,
  /** b = request; body = {specifier, name, version} as text. */
  package: 70,
  /** V8 lost an isolate for good; the process must go. */
  catastrophe: 71,
  /** body = hash of a blob that the lane lacks. */
  want: 72,
} as const

export const RUN_RANGE = 1
/** One element at a time, each announced before it starts. */
export const RUN_PROBE = 2
/** From this bit on: how many runs it is inside of. */
const RUN_DEPTH_SHIFT = 4
const RUN_DEPTH_MAX = 15
export const depthFlag = (depth: number = 0): number => Math.min(depth, RUN_DEPTH_MAX) << RUN_DEPTH_SHIFT
export const depthOf = (flags: number): number => flags >> RUN_DEPTH_SHIFT
/** The items are numbers (u32, little endian) of references kept before (prelude/kept.ts); never on the wire of a cell. */
export const RUN_KEPT = 4
/** Flags of calls of a virtual isolate: several without arguments, as lines; how many were answered by what stands, as JSON. */
export const PLAIN_CALLS = 1
export const STANDING_CALLS = 2

/** One isolate for one run. */
export const PLAN_FRESH = 1
/** The plan has an initial value (of zero bytes or more). */
export const PLAN_INITIAL = 2

export const BLOB_CODE = 1
export const BLOB_ENVIRONMENT = 2

/** Ask the isolate for what has settled before ending it. */
export const CANCEL_DEADLINE = 1
export const CANCEL_NOW = 2

export const FAILED_MEMORY = 1
export const FAILED_CPU = 2
export const FAILED_CANCELLED = 3
export const FAILED_CRASH = 4
/** The job could not be linked: its code or environment is broken, or a package is missing. */
export const FAILED_LINK = 5

/** With the level: the line has fields. */
export const CONSOLE_FIELDS = 128
export const CONSOLE_LEVELS = ['log', 'info', 'warn', 'error', 'debug'] as const

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly id: number
  readonly b: number
  readonly c: number
  readonly d: number
  readonly x: number
  readonly y: number
  readonly z: number
  readonly w: number
  readonly body: Uint8Array
}

export interface FrameFields {
  readonly type: number
  readonly flags?: number
  readonly id?: number
  readonly b?: number
  readonly c?: number
  readonly d?: number
  readonly x?: number
  readonly y?: number
  readonly z?: number
  readonly w?: number
  readonly body?: Uint8Array
}

const EMPTY = new Uint8Array(0)

/** The header of a frame whose body follows as a separate write. */
export function frameHeader(fields: FrameFields, into: Uint8Array): void {
  const view = new DataView(into.buffer, into.byteOffset, FRAME_HEADER_BYTES)
  view.setUint32(0, fields.body?.byteLength ?? 0, true)
  view.setUint8(4, fields.type)
  view.setUint8(5, fields.flags ?? 0)
  view.setUint32(8, fields.id ?? 0, true)
  view.setUint32(12, fields.b ?? 0, true)
  view.setUint32(16, fields.c ?? 0, true)
  view.setUint32(20, fields.d ?? 0, true)
  view.setFloat64(24, fields.x ?? 0, true)
  view.setFloat64(32, fields.y ?? 0, true)
  view.setFloat64(40, fields.z ?? 0, true)
  view.setFloat64(48, fields.w ?? 0, true)
}

/** Reassembles frames from a byte stream, copying each body once into a buffer of its own. */
export class FrameReader {
  readonly #bodyBytesMax: number
  readonly #deliver: (frame: Frame) => void
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES)
  readonly #view = new DataView(this.#header.buffer)
  #headerFill = 0
  #body: Uint8Array = EMPTY
  #bodyFill = 0

  constructor(bodyBytesMax: number, deliver: (frame: Frame) => void) {
    this.#bodyBytesMax = bodyBytesMax
    this.#deliver = deliver
  }

  /** False: the peer announced a body above the bound; the stream is unusable from here on. */
  push(chunk: Uint8Array): boolean {
    let at = 0
    while (at < chunk.byteLength) {
      if (this.#headerFill < FRAME_HEADER_BYTES) {
        const take = Math.min(FRAME_HEADER_BYTES - this.#headerFill, chunk.byteLength - at)
        this.#header.set(take === chunk.byteLength ? chunk : chunk.subarray(at, at + take), this.#headerFill)
        this.#headerFill += take
        at += take
        if (this.#headerFill < FRAME_HEADER_BYTES) return true
        const length = this.#view.getUint32(0, true)
        if (length > this.#bodyBytesMax) return false
        this.#body = length === 0 ? EMPTY : new Uint8Array(length)
        this.#bodyFill = 0
      }
      const missing = this.#body.byteLength - this.#bodyFill
      if (missing > 0) {
        const take = Math.min(missing, chunk.byteLength - at)
        if (take === 0) return true
        this.#body.set(chunk.subarray(at, at + take), this.#bodyFill)
        this.#bodyFill += take
        at += take
        if (take < missing) return true
      }
      this.#finish()
    }
    return true
  }

  #finish(): void {
    const view = this.#view
    const frame: Frame = {
      type: view.getUint8(4), flags: view.getUint8(5),
      id: view.getUint32(8, true), b: view.getUint32(12, true), c: view.getUint32(16, true), d: view.getUint32(20, true),
      x: view.getFloat64(24, true), y: view.getFloat64(32, true), z: view.getFloat64(40, true), w: view.getFloat64(48, true),
      body: this.#body,
    }
    this.#headerFill = 0
    this.#body = EMPTY
    this.#deliver(frame)
  }
}

/** Bodies up to this size are written together with their header: one write costs less than the copy. */
const JOINED_BODY_BYTES_MAX = 16_384

export interface FrameSink { write(bytes: Uint8Array): unknown; cork(): void; uncork(): void }

export function writeFrame(sink: FrameSink, fields: FrameFields): void {
  const bodyBytes = fields.body?.byteLength ?? 0
  if (bodyBytes <= JOINED_BODY_BYTES_MAX) {
    const bytes = new Uint8Array(FRAME_HEADER_BYTES + bodyBytes)
    frameHeader(fields, bytes)
    if (fields.body !== undefined) bytes.set(fields.body, FRAME_HEADER_BYTES)
    sink.write(bytes)
    return
  }
  const header = new Uint8Array(FRAME_HEADER_BYTES)
  frameHeader(fields, header)
  sink.cork()
  sink.write(header)
  sink.write(fields.body ?? EMPTY)
  sink.uncork()
}

/** First byte of a result: the answer is decided; lines were told on the way. */
export const RESULT_DECIDED = 1
export const RESULT_TOLD = 2

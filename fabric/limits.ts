// Every bound in the system: unit in the name, default, reason. Nothing queues, caches, waits,
// retries or grows without a line here.

const KiB = 1024
const MiB = 1024 * KiB

export const LIMITS = {
  // --- wire
  /** One frame on any link; larger messages are fragmented above it. hyperswarm alone would allow 16 MiB. */
  frameBytesMax: MiB,
  /** Fragment of a long stream message: small enough that a call waits at most one of them behind bulk. */
  fragmentBytesMax: 256 * KiB,
  /** One reassembled stream message. Bigger values are refused, not buffered. */
  messageBytesMax: 64 * MiB,
  /** CBOR profile of control records (reliability.md 4.1): nesting, items, one string, one big integer. */
  cborDepthMax: 32,
  cborItemsMax: 65_536,
  cborStringBytesMax: 256 * KiB,
  cborBigintBytesMax: 64,
  /** CBOR profile of user values, decoded only in isolates and in the shell that asked for them. */
  valueDepthMax: 200,
  valueItemsMax: 8_000_000,
  valueBigintBytesMax: 4 * KiB,
  // --- connections
  /** Connections that have not finished the hello; one more is refused at once. */
  pendingHandshakesMax: 64,
  /** New handshakes per source address and second. */
  handshakesPerSourcePerSecond: 10,
  /** From connection to a complete, valid hello. */
  helloTimeoutMs: 3_000,
  /** From a frame's first byte to its last (slow-drip peers). */
  frameTimeoutMs: 10_000,
  /** Calls in flight per connection and direction; one more is answered "busy". */
  callsInFlightMax: 256,
  /** Unsent bytes per connection before writers wait. */
  unsentBytesMax: 4 * MiB,
  /** Stream credit: bytes that may be under way per stream and direction. */
  streamCreditBytes: 4 * MiB,
  /** Outcomes kept for idempotency keys: how long, and how many. */
  idempotencyWindowMs: 60_000,
  idempotencyEntriesMax: 4_096,
  // --- calls
  /** Deadline of a call that names none. */
  callTimeoutMs: 30_000,
  /** Longest deadline accepted. */
  callTimeoutMsMax: 24 * 3_600_000,
  /** Nested calls a call may cause, one below the other. */
  hopsMax: 8,
  // --- functions
  /** Captured values: warn, and refuse. */
  environmentWarnBytes: 64 * KiB,
  environmentBytesMax: 16 * MiB,
  /** Source text of one captured function with everything it calls. */
  codeBytesMax: 4 * MiB,
  /** Encoded result of one element. */
  resultBytesMax: 16 * MiB,
  /** Host calls (pm.exec, ...) one invocation may make, and how many at once. */
  hostCallsMax: 10_000,
  hostCallsInFlightMax: 64,
  /** Encoded arguments of one host call. */
  hostCallBytesMax: 256 * KiB,
  /** Console output kept per invocation. */
  consoleBytesMax: 64 * KiB,
  /** Isolate heap; cell resident size above which the supervisor kills it. */
  heapLimitMiB: 64,
  cellResidentMiBMax: 512,
  /** CPU time of one chunk. */
  cpuTimeMsMax: 60_000,
  /** From "should have ended" to SIGKILL of the cell. */
  killGraceMs: 250,
  /** Cells of all principals on one node, and how long an idle one is kept. */
  cellsMax: 16,
  cellIdleMs: 300_000,
  /** Warm isolates per worker (least recently used goes first) and ready-made spares. */
  warmIsolatesPerWorkerMax: 32,
  spareIsolatesPerWorker: 1,
  /** Chunk jobs waiting for one cell; one more is answered "busy". */
  cellQueueMax: 1_024,
  /** A function that killed this many cells within the window is refused for as long. */
  quarantineKills: 3,
  quarantineMs: 60_000,
  /** Adaptive chunking: aimed-at time of one chunk, and the most items in one. */
  chunkTargetMs: 20,
  chunkItemsMax: 65_536,
  /** Input window of one map: items and bytes read ahead of the results. */
  windowItems: 262_144,
  windowBytes: 16 * MiB,
  /** Times a data chunk is moved away from a node that died under it. */
  chunkReschedulesMax: 3,
  // --- stores
  /** Code and environment blobs kept in memory, and on disk. */
  blobMemoryBytes: 64 * MiB,
  blobDiskBytes: 1024 * MiB,
  // --- tickets
  ticketLifetimeMs: 24 * 3_600_000,
} as const

export type Limits = typeof LIMITS

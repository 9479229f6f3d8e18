// Bounds of shipped functions: what may be captured, how long and how large they run, what waits for a cell.
// One row each: unit in the name, default, reason. Part of LIMITS (../limits.ts).

import { KiB, MiB } from './units.ts'

export const FUNCTIONS_LIMITS = {
  // --- functions
  /** Captured values of one function, encoded. */
  environmentBytesMax: 16 * MiB,
  /** Source text of one captured function with everything it calls. */
  codeBytesMax: 4 * MiB,
  /** Distinct source texts whose analysis capture keeps (about 2 KiB each); the oldest goes first. */
  captureAnalysesMax: 2_048,
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
  /** Resident size above which a cell keeps and begins less: an isolate takes 3 to 5 MiB, and a lane may begin jobsPerLaneMax of each depth. */
  cellCrowdedMiB: 352,
  /** What a lane of such a cell still begins of each depth, and keeps warm: a few, or every call would make its isolate anew. */
  crowdedJobsPerLane: 4,
  crowdedIsolatesPerLane: 8,
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
  /** Cells started ahead, for the next principal or the next kill. */
  spareCells: 1,
  /** From a cell's first use to the start of the next spare: the user's call goes first. */
  spareDelayMs: 100,
  /** Start of a cell, spawn to ready; a machine under load takes several times the usual 0.2 s. */
  cellStartTimeoutMs: 10_000,
  /** A chunk expected to take less, from its plan's last run, runs on the lane's own thread. */
  runHereMs: 1,
  /** Runs of one lane that have begun (one uses the CPU, the others wait for answers). */
  jobsPerLaneMax: 16,
  /** Plans known to a lane by number; the least recently used is forgotten. */
  plansPerLaneMax: 256,
  /** Code and environments kept by a lane for linking again; what was dropped is asked for again. */
  laneBlobBytes: 32 * MiB,
  /** One frame between kernel and cell; above messageBytesMax by the room for result headers. */
  cellFrameBytesMax: 72 * MiB,
  /** After the deadline: time an isolate has to hand over what has settled, before it is disposed. */
  flushGraceMs: 80,
  /** How often a busy isolate's CPU time, and a busy cell's resident size, are looked at. */
  cpuPollMs: 25,
  residentPollMs: 50,
  /** Idle time of a lane after which its isolates are asked whether they are really at rest. */
  quiesceDelayMs: 20,
  /** Runs again of parts of one job whose cell or isolate died. */
  rerunsMax: 24,
  /** Answers kept per job for such runs. Above it the job is not run again but fails. */
  journalBytesMax: 16 * MiB,
  /** Text of one npm package bundled for sandboxes, and how many are kept. */
  packageBytesMax: 8 * MiB,
  packagesCachedMax: 64,
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
} as const

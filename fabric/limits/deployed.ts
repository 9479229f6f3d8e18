// Bounds of what stays: the global store, deployed functions, their queues, triggers, state, logs.
// One row each: unit in the name, default, reason. Part of LIMITS (../limits.ts).

import { KiB, MiB } from './units.ts'

export const DEPLOYED_LIMITS = {
  // --- global store
  /** One key, in UTF-8 bytes; one value; operations and compares of one transaction (etcd's own defaults are 1.5 MiB and 128). */
  storeKeyBytesMax: 512,
  storeValueBytesMax: MiB,
  storeOperationsMax: 128,
  /** Entries of one range answer. */
  storeRangeMax: 1_000,
  /** Leases: shorter ones would end in a pause of the garbage collector, longer ones hide a death. */
  storeLeaseMsMin: 1_000,
  storeLeaseMsMax: 3_600_000,
  // --- deployed functions
  /** Script of one function. */
  bundleBytesMax: 4 * MiB,
  /** Source map of one. */
  sourceMapBytesMax: 16 * MiB,
  /** Nodes that keep a copy of a deployed script and its map (all, when there are fewer). */
  bundleCopies: 3,
  /** Versions kept of one function; older ones are forgotten. */
  versionsKept: 20,
  /** Call that names no timeout. */
  functionTimeoutMs: 30_000,
  /** Calls of one function that run at once on one node, and that wait there. */
  functionConcurrency: 64,
  functionQueue: 1_024,
  /** Nested calls that one call from outside may cause in all. */
  callBudget: 1_000,
  /** Payload of a call, and its answer, encoded. */
  payloadBytesMax: MiB,
  /** Attempts of an asynchronous call, the first included; pause before the second. */
  asyncAttempts: 5,
  asyncBackoffMs: 1_000,
  // --- singletons
  /** A holder's lease: the bound on how long a dead one is waited for. */
  holderLeaseMs: 5_000,
} as const

// Second door of the fabric, beside mod.ts: what pure cores and sandbox threads may import.
// Loads no I/O.

export { assert } from './assert.ts'
export { systemClock, systemRandom, seededRandom } from './clock.ts'
export { DueHeap } from './due-heap.ts'
export type { Due } from './due-heap.ts'
export type { Clock, Random, Timer } from './clock.ts'
export { CodedError, defineErrors, errorCode, fromErrorRecord, toErrorRecord } from './errors.ts'
export type { ErrorEntry, ErrorRecord, FailureOutcome } from './errors.ts'
export { FABRIC } from './errors-table.ts'
export { LIMITS } from './limits.ts'
export type { Limits } from './limits.ts'
export { isHash, isNodeId, shortId, uuidOfNode } from './id.ts'
export type { Hash, NodeId } from './id.ts'
export { nearest } from './near.ts'

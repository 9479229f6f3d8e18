// The isolate's two wires to the outside: `post` (fire and forget, to the lane) and `announce` (returns
// once the lane has passed the frame on, so that it survives a process that aborts right after).
// Both are plain functions of this realm made by isolated-vm from callbacks; user code never sees them,
// and only primitives and exact-size byte arrays go through (spike D).

export type Post = (type: number, id: number, b: number, c: number, d: number, flags: number, text: string, bytes: Uint8Array | undefined) => void

export interface Host { post: Post; announce: (job: number, element: number) => void }

const unconnected = (): never => { throw new Error('The prelude is not booted') }

export const host: Host = { post: unconnected, announce: unconnected }

/** Job in progress: an isolate runs one at a time. 0: none. */
export interface JobState { id: number; /** That runs right now; -1 between turns. */ element: number; /** Between turns: the first of those that have begun and not ended; -1: none. */ waiting: number; sequences: number[]; hostCallsLeft: number; consoleBytesLeft: number }
/**
 * On whose account something is that is nobody's by its handle: of the element that runs, else of one that may have done it. All
 * that run side by side are calls of the same function, so a wrong guess costs a call id in a log, never a right.
 */
export const elementAtWork = (): number => (job.element >= 0 ? job.element : job.waiting)
export const job: JobState = { id: 0, element: -1, waiting: -1, sequences: [], hostCallsLeft: 0, consoleBytesLeft: 0 }

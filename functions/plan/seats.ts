// The nodes that one run may use: how much each can take, which of them gets the next data chunk. Pure, part
// of the run core's state (run-core.ts); the caller hands in the time.
//
//   open: alive, not backing off after "busy" or a loss, and fewer jobs than JOBS_PER_CORE for each core

import type { NodeId, Random } from '../../fabric/base.ts'

/** Jobs a core may have in flight: one running, one on the way. */
export const JOBS_PER_CORE = 2
/** Chunks of a machine's own elements in flight at it (they mostly wait): far below what a cell queues and a stream holds. */
export const HOME_JOBS_MAX = 64
/** Cores assumed of a node that has not said. */
const CORES_UNKNOWN = 2
/** Cores believed of a node: more jobs in flight than this many cores take would not fit its stream's pending writes. */
const CORES_MAX = 256

export interface Seat { readonly id: NodeId; cores: number; running: number; readonly load: number; alive: boolean; busyUntilMs: number }

export class Seats {
  readonly #seats = new Map<NodeId, Seat>()
  readonly #random: Random

  constructor(random: Random) { this.#random = random }

  /** `load` is that of membership's gossip, 0 to 1 a core. */
  add(id: NodeId, load: number): void {
    if (!this.#seats.has(id)) this.#seats.set(id, { id, cores: CORES_UNKNOWN, running: 0, load, alive: true, busyUntilMs: 0 })
  }

  get(id: NodeId | undefined): Seat | undefined { return id === undefined ? undefined : this.#seats.get(id) }

  setCores(id: NodeId, cores: number): void {
    const seat = this.#seats.get(id)
    if (seat !== undefined) seat.cores = Math.min(CORES_MAX, Math.max(1, cores))
  }

  /** Cores of all nodes alive. */
  lanes(): number {
    let lanes = 0
    for (const seat of this.#seats.values()) if (seat.alive) lanes += seat.cores
    return lanes
  }

  anyAlive(): boolean {
    for (const seat of this.#seats.values()) if (seat.alive) return true
    return false
  }

  /** A node for a data chunk: the better of two picked at random among those open (power of two choices). */
  pick(nowMs: number): Seat | undefined {
    const open: Seat[] = []
    for (const seat of this.#seats.values()) {
      if (seat.alive && seat.busyUntilMs <= nowMs && seat.running < seat.cores * JOBS_PER_CORE) open.push(seat)
    }
    if (open.length <= 1) return open[0]
    const a = open[this.#random.int(open.length)]!
    const b = open[this.#random.int(open.length)]!
    return weight(a) <= weight(b) ? a : b
  }
}

const weight = (seat: Seat): number => seat.running / seat.cores + seat.load

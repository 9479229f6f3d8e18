// One life of a node's process on virtual time: what of it runs, and when. A machine has one life after the other; its
// hypervisor and its watchdog go on beside them.
//
//   timers, answers, events --run--> running: now | stopped (SIGSTOP): when it is woken, in order | dead: never
//
// Invariant: nothing of a life happens but through run(), so nothing of a stopped or dead one does. Its clock goes at the
// machine's own rate, also while it is stopped.

import type { Clock, NodeId, Timer } from '../../fabric/base.ts'
import type { SimClock } from '../../fabric/sim-clock.ts'

type Work = () => void

/** No timer of a real system is finer than this, and none rings early: without it, one that was rounded down would ring at the same moment for ever. */
const TIMER_GRAIN_MS = 0.01

/** Virtual time at `rate`. */
export function rated(sim: SimClock, rate: number, skewMs = 0): Clock {
  return { nowMs: () => sim.nowMs() * rate, wallMs: () => sim.wallMs() + skewMs, after: (delayMs, callback) => sim.after(delayMs > 0 ? delayMs / rate + TIMER_GRAIN_MS : 0, callback) }
}

export class Life {
  readonly id: NodeId
  readonly name: string
  readonly clock: Clock
  state: 'running' | 'stopped' | 'dead' = 'running'
  readonly #waiting: Work[] = []
  readonly #sim: SimClock
  readonly #ends: Work[] = []

  constructor(id: NodeId, name: string, sim: SimClock, machine: Clock) {
    this.id = id
    this.name = name
    this.#sim = sim
    this.clock = {
      nowMs: () => machine.nowMs(),
      wallMs: () => machine.wallMs(),
      after: (delayMs, callback): Timer => {
        let live = true
        const timer = machine.after(delayMs, () => this.run(() => { if (live) callback() }))
        return { cancel: () => { live = false; timer.cancel() } }
      },
    }
  }

  run(work: Work): void {
    if (this.state === 'running') work()
    else if (this.state === 'stopped') this.#waiting.push(work)
  }

  /** What others answer it, `lagMs` later and only while it lives. */
  hear<T>(answer: Promise<T>, lagMs = 0): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (work: Work): void => { if (lagMs > 0) this.#sim.after(lagMs, () => this.run(work)); else this.run(work) }
      answer.then((value) => settle(() => resolve(value)), (error: unknown) => settle(() => reject(error as Error)))
    })
  }

  onEnd(work: Work): void { this.#ends.push(work) }

  stop(): void { if (this.state === 'running') this.state = 'stopped' }
  wake(): void {
    if (this.state !== 'stopped') return
    this.state = 'running'
    for (const work of this.#waiting.splice(0)) this.#sim.after(0, () => this.run(work))
  }
  die(): void {
    if (this.state === 'dead') return
    this.state = 'dead'
    this.#waiting.length = 0
    for (const end of this.#ends.splice(0)) end()
  }
}

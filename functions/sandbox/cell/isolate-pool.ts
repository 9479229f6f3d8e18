// Isolates of one lane: warm ones by plan (least recently used out first) and spares made ahead. An isolate
// runs one plan for its whole life; a spare becomes warm by loading one. After a rest, warm isolates are
// asked for a sign of life: one that still spins after its answer is disposed (reliability.md row 45).
//
// Each takes some MiB of its process before any user code runs. Above a mark no more of them are kept, and the lane begins
// less (lane.ts): a cell in which many wait is not to grow until the kernel kills it, and all that run there with it.

import { LIMITS } from '../../../fabric/limits.ts'
import { SandboxIsolate, type PreludeText } from './isolate.ts'

export interface IsolatePoolOptions { readonly prelude: string; readonly shapes: string; readonly spares: number; readonly warm: number }

const MiB = 1024 * 1024

interface WarmIsolate { readonly plan: number; readonly isolate: SandboxIsolate }

export class IsolatePool {
  readonly #options: IsolatePoolOptions
  readonly #prelude: PreludeText
  /** Oldest first. */
  #idle: WarmIsolate[] = []
  #spares: SandboxIsolate[] = []
  #unrested = new Set<SandboxIsolate>()
  /** Asked for a sign of life; in use again before it came: no longer watched. */
  readonly #asked = new Map<SandboxIsolate, NodeJS.Timeout>()
  #rest: NodeJS.Timeout | undefined
  #crowded = false
  #measuredMs = -Infinity

  constructor(options: IsolatePoolOptions) {
    this.#options = options
    this.#prelude = { shapes: options.shapes, text: options.prelude, cached: undefined }
  }

  get short(): boolean { return this.#spares.length < this.#options.spares }

  /** The process is so large that an isolate is made only in the place of another. Looked up at most once a millisecond: 5 us each. */
  get crowded(): boolean {
    const nowMs = performance.now()
    if (nowMs - this.#measuredMs >= 1) {
      this.#measuredMs = nowMs
      this.#crowded = process.memoryUsage.rss() > LIMITS.cellCrowdedMiB * MiB
    }
    return this.#crowded
  }

  has(plan: number): boolean { return this.#idle.some((entry) => entry.plan === plan) }

  /** Gives up the idle isolate that was not used for longest, for one to be made; false when there is none. */
  yield(): boolean {
    const oldest = this.#idle.shift()
    oldest?.isolate.dispose()
    return oldest !== undefined
  }

  /** Takes some milliseconds of this thread: called when the lane has nothing better to do. */
  refill(): void {
    while (this.#spares.length < this.#options.spares) this.#spares.push(new SandboxIsolate(this.#prelude, LIMITS.heapLimitMiB, 'spare'))
  }

  /** The warm isolate of a plan, now the caller's. */
  warm(plan: number): SandboxIsolate | undefined {
    for (let i = this.#idle.length - 1; i >= 0; i--) {
      const entry = this.#idle[i] as WarmIsolate
      if (entry.plan !== plan) continue
      this.#idle.splice(i, 1)
      this.#rested(entry.isolate)
      if (!entry.isolate.disposed) return entry.isolate
    }
    return undefined
  }

  /** A spare when its heap fits, else a new one. */
  take(heapLimitMiB: number): SandboxIsolate {
    const spare = heapLimitMiB === LIMITS.heapLimitMiB ? this.#spares.shift() : undefined
    return spare ?? new SandboxIsolate(this.#prelude, heapLimitMiB, 'now')
  }

  keep(plan: number, isolate: SandboxIsolate): void {
    this.#idle.push({ plan, isolate })
    if (this.#idle.length > this.#options.warm || (this.#idle.length > LIMITS.crowdedIsolatesPerLane && this.crowded)) this.yield()
    this.#unrested.add(isolate)
    this.#rest ??= setTimeout(() => this.#checkRest(), LIMITS.quiesceDelayMs)
  }

  drop(isolate: SandboxIsolate): void { isolate.dispose() }

  forget(plan: number): void {
    const gone = this.#idle.filter((entry) => entry.plan === plan)
    this.#idle = this.#idle.filter((entry) => entry.plan !== plan)
    for (const { isolate } of gone) isolate.dispose()
  }

  #rested(isolate: SandboxIsolate): void {
    this.#unrested.delete(isolate)
    clearTimeout(this.#asked.get(isolate))
    this.#asked.delete(isolate)
  }

  #checkRest(): void {
    this.#rest = undefined
    const isolates = this.#unrested
    this.#unrested = new Set()
    for (const isolate of isolates) {
      if (isolate.disposed) continue
      this.#asked.set(isolate, setTimeout(() => {
        this.#idle = this.#idle.filter((entry) => entry.isolate !== isolate)
        this.#asked.delete(isolate)
        isolate.dispose()
      }, LIMITS.killGraceMs))
      isolate.ping().then(() => this.#rested(isolate), () => this.#rested(isolate))
    }
  }
}

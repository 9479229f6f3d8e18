// Looks at a pool each so often, by its snapshot, and keeps what it saw. A look that takes long does not hold up the next
// one, and one that fails leaves a gap, as in any measurement.

import { LIMITS } from '../../../fabric/base.ts'
import type { Clock } from '../../../fabric/base.ts'
import type { Pool, PoolSnapshot } from '../../../kali/contract.ts'
import type { Sample } from './contract.ts'

export interface Sampler {
  /** Wall clock of t = 0. */
  readonly startMs: number
  readonly samples: readonly Sample[]
  seconds(): number
  /** Resolves with the first look from now on that is so. */
  seen<T>(what: (snapshot: PoolSnapshot) => T | undefined): Promise<T>
  /** Resolves at that second. */
  at(seconds: number): Promise<void>
  stop(): void
}

export interface SamplerOptions { readonly clock: Clock; readonly everyMs: number; readonly signal: AbortSignal; readonly onSample?: (seconds: number) => void }

const sampleOf = (snapshot: PoolSnapshot, seconds: number): Sample => ({
  seconds,
  vms: snapshot.vms.map((vm) => ({
    uuid: vm.uuid, name: vm.name, machine: snapshot.machines.find(({ uuid }) => uuid === vm.machine)?.name ?? '', phase: vm.phase ?? 'asked for', phaseSinceMs: vm.phaseSinceMs, epoch: vm.epoch,
    cpuRatio: vm.cpuRatio,
  })),
})

export function startSampler(pool: Pick<Pool, 'snapshot'>, { clock, everyMs, signal, onSample = () => {} }: SamplerOptions): Sampler {
  const startMs = clock.wallMs(), startAt = clock.nowMs()
  const samples: Sample[] = []
  const waiting = new Set<(snapshot: PoolSnapshot) => void>()
  let under = 0, next = 0, over = false
  const seconds = (): number => (clock.nowMs() - startAt) / 1_000
  const look = async (): Promise<void> => {
    const asked = seconds()
    under++
    try {
      const snapshot = await pool.snapshot()
      if (over) return
      samples.push(sampleOf(snapshot, asked))
      for (const one of [...waiting]) one(snapshot)
      onSample(asked)
    } catch { /* a gap */ } finally {
      under--
    }
  }
  let timer = clock.after(0, () => {})
  const tick = (): void => {
    if (under < LIMITS.figureLooksAtOnce) void look()
    next += everyMs
    timer = clock.after(Math.max(0, next - seconds() * 1_000), tick)
  }
  tick()
  const whenAborted = <T>(work: (resolve: (value: T) => void) => () => void): Promise<T> => new Promise<T>((resolve, reject) => {
    signal.throwIfAborted()
    const done = work((value) => { signal.removeEventListener('abort', stop); resolve(value) })
    const stop = (): void => { done(); reject(signal.reason) }
    signal.addEventListener('abort', stop, { once: true })
  })
  return {
    startMs, samples, seconds,
    seen: <T>(what: (snapshot: PoolSnapshot) => T | undefined) => whenAborted<T>((resolve) => {
      const one = (snapshot: PoolSnapshot): void => { const found = what(snapshot); if (found !== undefined) { waiting.delete(one); resolve(found) } }
      waiting.add(one)
      return () => { waiting.delete(one) }
    }),
    at: (second) => whenAborted<void>((resolve) => { const alarm = clock.after(Math.max(0, second * 1_000 - seconds() * 1_000), resolve); return () => alarm.cancel() }),
    stop() { over = true; timer.cancel() },
  }
}

/** Samples in order of when they were asked, one a moment. */
export const inOrder = (samples: readonly Sample[]): readonly Sample[] => samples.toSorted((a, b) => a.seconds - b.seconds)

// Background sampling of processor, memory and load: once each LIMITS.cpuSampleMs, 0.1 to 0.25 ms
// (test/bench/rmo-refresh.ts), so that attributes can be read at any rate for nothing.
//
// cpuRatio is the busy share over the last LIMITS.cpuWindowMs (a sliding window of samples, not a decaying
// mean: it is exact for its window, and a burst leaves it when the window has passed). Until the window
// has filled it is over what there is; with one sample only, over the time since boot.

import os from 'node:os'
import { LIMITS } from '../../fabric/base.ts'
import type { Clock, Timer } from '../../fabric/base.ts'
import { cpuShares, parseLoadavg, parseMeminfo, parseStat } from './parse.ts'
import type { Load, Memory, ProcStat, Shares } from './parse.ts'
import type { OsTexts } from './read.ts'

export interface Sample {
  /** Monotonic. */
  readonly takenAtMs: number
  readonly cpu: Shares
  readonly cores: ReadonlyMap<number, Shares>
  readonly windowMs: number
  readonly memory: Memory
  readonly load: Load
}

export interface Sampler {
  latest(): Sample
  /** Samples now instead of at the next tick. */
  sample(): Sample
  onSample(listener: (sample: Sample) => void): () => void
  stop(): void
}

interface Reading { readonly atMs: number; readonly stat: ProcStat }

/** Second reading soon after the first, so that a fresh node does not show figures since boot for a second. */
const FIRST_PAUSE_MS = 200
const NO_SHARES: Shares = { cpuRatio: 0, userRatio: 0, systemRatio: 0, waitRatio: 0, stealRatio: 0 }

function memoryOf(text: string | undefined): Memory {
  const memory = text === undefined ? undefined : parseMeminfo(text)
  if (memory !== undefined) return memory
  const freeBytes = os.freemem()
  return { totalBytes: os.totalmem(), freeBytes, unusedBytes: freeBytes, cachedBytes: 0, buffersBytes: 0, swapTotalBytes: 0, swapFreeBytes: 0 }
}

function loadOf(text: string | undefined): Load {
  const load = text === undefined ? undefined : parseLoadavg(text)
  if (load !== undefined) return load
  const [load1 = 0, load5 = 0, load15 = 0] = os.loadavg()
  return { load1, load5, load15, running: 0, tasks: 0 }
}

/** Shares between the window's oldest reading and the newest. */
function windowShares(readings: readonly Reading[]): Pick<Sample, 'cpu' | 'cores' | 'windowMs'> {
  const now = readings.at(-1)
  const before = readings.length > 1 ? readings[0] : undefined
  if (now?.stat.all === undefined) return { cpu: NO_SHARES, cores: new Map(), windowMs: 0 }
  const cores = new Map([...now.stat.cores].map(([core, ticks]) => [core, cpuShares(before?.stat.cores.get(core), ticks)]))
  return { cpu: cpuShares(before?.stat.all, now.stat.all), cores, windowMs: before === undefined ? 0 : now.atMs - before.atMs }
}

export function createSampler({ clock, texts }: { readonly clock: Clock; readonly texts: OsTexts }): Sampler {
  const listeners = new Set<(sample: Sample) => void>()
  let readings: Reading[] = []
  let timer: Timer | undefined
  let latest: Sample

  const take = (): Sample => {
    const atMs = clock.nowMs()
    readings = [...readings, { atMs, stat: parseStat(texts.now('/proc/stat') ?? '') }]
    // One reading at or beyond the window's far end stays: the ratio is then over the whole window.
    while (readings.length > 2 && atMs - (readings[1]?.atMs ?? atMs) >= LIMITS.cpuWindowMs) readings.shift()
    latest = { takenAtMs: atMs, ...windowShares(readings), memory: memoryOf(texts.now('/proc/meminfo')), load: loadOf(texts.now('/proc/loadavg')) }
    for (const listener of listeners) listener(latest)
    return latest
  }
  const tick = (delayMs: number): void => {
    timer = clock.after(delayMs, () => { take(); tick(LIMITS.cpuSampleMs) }, { background: true })
  }
  latest = take()
  tick(FIRST_PAUSE_MS)

  return {
    latest: () => latest,
    sample: take,
    onSample(listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },
    stop() {
      timer?.cancel()
      listeners.clear()
    },
  }
}

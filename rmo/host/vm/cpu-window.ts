// Share of a VM's vcpus in use, from its CPU time counter. Pure.
//
// Over a sliding window of readings, as the machine's own cpuRatio (rmo/os/sampler.ts): exact for its window. A counter
// that fell (the VM was started again) or another number of vcpus begins a new window; with one reading there is no
// ratio yet, and it is 0.

export interface CpuReading { readonly atMs: number; readonly cpuNs: bigint; readonly vcpus: number }
export interface CpuShare { readonly cpuRatio: number; readonly windowMs: number }

const NS_PER_MS = 1_000_000

/** The window with one more reading: the oldest one kept is the last that is at least `windowMs` old, so that the window is full. */
export function withReading(window: readonly CpuReading[], reading: CpuReading, windowMs: number): readonly CpuReading[] {
  const last = window.at(-1)
  if (last === undefined || reading.cpuNs < last.cpuNs || reading.vcpus !== last.vcpus) return [reading]
  if (reading.atMs <= last.atMs) return window
  const old = window.findLastIndex(({ atMs }) => reading.atMs - atMs >= windowMs)
  return [...window.slice(Math.max(0, old)), reading]
}

/** 0 to 1; three digits, so that an idle VM's attributes do not change with every sample. */
export function shareOf(window: readonly CpuReading[]): CpuShare {
  const first = window[0], last = window.at(-1)
  if (first === undefined || last === undefined || last.atMs <= first.atMs) return { cpuRatio: 0, windowMs: 0 }
  const windowMs = last.atMs - first.atMs
  const usedMs = Number(last.cpuNs - first.cpuNs) / NS_PER_MS
  const ratio = usedMs / windowMs / Math.max(1, last.vcpus)
  return { cpuRatio: Math.round(Math.min(1, Math.max(0, ratio)) * 1_000) / 1_000, windowMs: Math.round(windowMs) }
}

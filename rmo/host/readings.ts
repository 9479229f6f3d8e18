// When to read: one reading at a time, asked for by anybody at any rate.
//
// Whoever asks while one is under way gets the next one, because the one under way may have begun before what he wants
// to see; all who ask meanwhile share it. Timed wishes melt into the earliest, and leave a pause that grows with what a
// reading takes, so that a storm of events costs at most a quarter of the hypervisor's time.

import type { Clock, Timer } from '../../fabric/base.ts'

const PAUSE_PER_READING = 3

export interface Readings {
  /** A reading that begins now or later; rejects as `read` does. */
  now(): Promise<void>
  /** A reading at most so much later. */
  later(delayMs: number): void
  stop(): void
}

export function createReadings({ clock, read, intervalMs }: { readonly clock: Clock; readonly read: () => Promise<void>; readonly intervalMs: number }): Readings {
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  let timer: Timer | undefined
  let dueMs = Infinity
  let stopped = false
  /** Timed readings begin no earlier. */
  let restedAtMs = -Infinity

  const start = (): Promise<void> => {
    timer?.cancel()
    dueMs = Infinity
    const startedAtMs = clock.nowMs()
    const reading = read().finally(() => {
      // At most an interval: after a first reading that timed out, the host would know nothing for that many timeouts.
      restedAtMs = clock.nowMs() + Math.min(intervalMs, PAUSE_PER_READING * (clock.nowMs() - startedAtMs))
      if (running === reading) running = undefined
      if (next === undefined) later(intervalMs)
    })
    running = reading
    return reading
  }
  const now = (): Promise<void> => {
    if (running === undefined) return start()
    next ??= running.catch(() => {}).then(() => { next = undefined; return stopped ? undefined : start() })
    return next
  }
  const later = (delayMs: number): void => {
    const atMs = Math.max(clock.nowMs() + delayMs, restedAtMs)
    if (stopped || atMs >= dueMs) return
    timer?.cancel()
    dueMs = atMs
    // A reading that fails is repeated after the interval; who waits for one hears of it himself.
    timer = clock.after(Math.max(0, atMs - clock.nowMs()), () => { dueMs = Infinity; now().catch(() => {}) }, { background: true })
  }
  return { now, later, stop() { stopped = true; timer?.cancel() } }
}

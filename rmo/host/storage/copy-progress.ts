// How far a copy is, from 0 to 1: as far as its file has grown, looked at now and then. Told at most once a percent.

import { stat } from 'node:fs/promises'
import { LIMITS } from '../../../fabric/base.ts'
import type { Clock } from '../../../fabric/base.ts'

export type OnProgress = (ratio: number) => void

/** Below 1 until whoever copies says that it is done; sparse parts of the copy make the guess low, never high. */
const GROWN_RATIO_MAX = 0.99

/** Looks at `file` each LIMITS.copyProgressMs until the function it answers is called. */
export function watchGrowth(file: string, expectedBytes: number, onProgress: OnProgress | undefined, clock: Clock): () => void {
  if (onProgress === undefined || expectedBytes <= 0) return () => {}
  let stopped = false
  const look = (): void => {
    clock.after(LIMITS.copyProgressMs, () => {
      if (stopped) return
      stat(file).then(({ blocks }) => { if (!stopped) onProgress(Math.min(GROWN_RATIO_MAX, blocks * 512 / expectedBytes)) }, () => {}).finally(look)
    }, { background: true })
  }
  look()
  return () => { stopped = true }
}

/** Passes on what is a percent further than what was passed on last. */
export function eachPercent(onProgress: OnProgress): OnProgress {
  let told = -1
  return (ratio) => {
    const percent = Math.floor(ratio * 100)
    if (percent <= told) return
    told = percent
    onProgress(ratio)
  }
}

// Tells that links have changed: one `ip monitor link`, started again when it ends, with growing pauses.
//
// Lines are not read for what they say (the inventory is): a burst of them becomes one call after LIMITS.switchSettleMs.
// A restart is told as a change too, for what was missed between.

import type { ChildProcess } from 'node:child_process'
import { LIMITS } from '../../../fabric/base.ts'
import type { Clock, Timer } from '../../../fabric/base.ts'

export interface LinkWatch { stop(): void }

export function watchLinks({ start, clock, onChange }: { readonly start: () => ChildProcess; readonly clock: Clock; readonly onChange: () => void }): LinkWatch {
  let child: ChildProcess | undefined
  let restart: Timer | undefined
  let settling: Timer | undefined
  let pauseMs: number = LIMITS.ipMonitorRestartMs
  let stopped = false

  const tell = (): void => {
    settling ??= clock.after(LIMITS.switchSettleMs, () => { settling = undefined; onChange() }, { background: true })
  }
  const run = (): void => {
    const own = start()
    child = own
    let ended = false
    const end = (): void => {
      if (ended || stopped) return
      ended = true
      restart = clock.after(pauseMs, () => { run(); tell() }, { background: true })
      pauseMs = Math.min(pauseMs * 2, LIMITS.ipMonitorRestartMsMax)
    }
    own.on('error', end)
    own.on('exit', end)
    own.stdout?.on('data', () => { pauseMs = LIMITS.ipMonitorRestartMs; tell() })
    // The watch alone does not keep the node alive.
    own.unref()
    ;(own.stdout as { unref?: () => void } | null)?.unref?.()
  }
  run()
  return {
    stop() {
      stopped = true
      restart?.cancel()
      settling?.cancel()
      child?.kill('SIGKILL')
    },
  }
}

// Progress of one change, as events of the object tell it, on the shell's bar: only where there is a bar to draw on.

import type { ObjectEvent, Watch } from '../rmo/mod.ts'
import type { Shell } from './session.ts'

interface Following<E extends ObjectEvent, T> {
  watch(): Watch<E>
  /** What an event says of how far it is: text and 0 to 1; undefined for other events. */
  progress(event: E): { readonly what: string; readonly ratio: number | undefined } | undefined
  /** Until the first event says more. */
  readonly what: string
  work(): Promise<T>
}

/** Does the work; the watch ends with it, and its own failure changes nothing. */
export async function following<E extends ObjectEvent, T>(shell: Shell, { watch, progress, what, work }: Following<E, T>): Promise<T> {
  const { out, world, settings } = shell
  out.progress.show(what, undefined)
  const watching = world.stderr.isTTY === true && !settings.quiet ? watch() : undefined
  const follow = (async () => {
    if (watching === undefined) return
    for await (const event of watching) {
      const told = progress(event)
      if (told !== undefined) out.progress.show(told.what, told.ratio)
    }
  })().catch(() => {})
  try {
    return await work()
  } finally {
    watching?.unwatch()
    await follow
    out.progress.stop()
  }
}

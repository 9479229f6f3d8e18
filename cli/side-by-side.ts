// One change to several objects, side by side: what is done is said, each failure is told, and the exit status says that
// there was one. Commands that take several names end here.

import { LIMITS } from '../fabric/base.ts'
import { EXIT } from './errors.ts'
import { fullName, hostOf } from './objects.ts'
import type { Named } from './objects.ts'
import type { Shell } from './session.ts'

export interface SideBySide<T extends Named> {
  readonly objects: readonly T[]
  /** "stopping": beside the bar on a terminal. */
  readonly doing: string
  /** "stopped": after the name of what it is done to. */
  readonly done: string
  work(object: T): Promise<unknown>
}

/** Answers the exit status; throws the only failure of a single object, and the interruption's reason. */
export async function sideBySide<T extends Named>(shell: Shell, { objects, doing, done, work }: SideBySide<T>): Promise<number> {
  const { out, interrupt } = shell
  const failed: unknown[] = []
  const finished = new Set<T>()
  const show = (): void => out.progress.show(`${doing} ${objects.length === 1 ? objects[0]?.name ?? '' : `${objects.length} machines`}`, objects.length === 1 ? undefined : (finished.size + failed.length) / objects.length)
  const waiting = objects.values()
  const lane = async (): Promise<void> => {
    for (const object of waiting) {
      if (interrupt.signal.aborted) return
      await work(object).then(() => finished.add(object), (error: unknown) => failed.push(error))
      show()
    }
  }
  show()
  await Promise.all(Array.from({ length: Math.min(LIMITS.sideBySideMax, objects.length) }, lane))
  out.progress.stop()
  const [only] = failed
  if (objects.length === 1 && only !== undefined) throw only
  const named = objects.filter((object) => finished.has(object))
  const alike = new Set(objects.map(({ name }) => name)).size < objects.length
  out.result(named.map((object) => ({ name: object.name, uuid: object.uuid, host: hostOf(object), done })), () => (named.length === 0 ? undefined : named.map((object) => `${alike ? fullName(object) : object.name} ${done}`).join('\n')))
  if (interrupt.signal.aborted) throw interrupt.signal.reason
  for (const error of failed) out.error(error)
  return failed.length > 0 ? EXIT.failed : EXIT.done
}

// One change to several things that are known by name alone, one after another: what is done is said, each failure is told,
// and the exit status says that there was one.

import { EXIT } from './errors.ts'
import type { Shell } from './session.ts'

/** Answers the exit status; throws the only failure of a single name. `done`: "paused". */
export async function eachName<T>(shell: Shell, names: readonly string[], { done, work }: { readonly done: string; work(name: string): Promise<T> }): Promise<number> {
  const { out, interrupt } = shell
  const finished: { readonly name: string; readonly done: string }[] = []
  const failed: unknown[] = []
  for (const name of names) {
    interrupt.signal.throwIfAborted()
    try {
      await work(name)
      finished.push({ name, done })
    } catch (error) {
      if (names.length === 1) throw error
      failed.push(error)
    }
  }
  out.result(finished, () => (finished.length === 0 ? undefined : finished.map(({ name }) => `${name} ${done}`).join('\n')))
  for (const error of failed) out.error(error)
  return failed.length > 0 ? EXIT.failed : EXIT.done
}

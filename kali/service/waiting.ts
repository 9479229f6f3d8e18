// Waiting for the view to show something, without polling: looked at after each change of the records.

import type { Clock } from '../../fabric/base.ts'
import type { CloudView } from '../cloud/contract.ts'

export interface WaitOptions { readonly view: CloudView; readonly clock: Clock; readonly timeoutMs: number; readonly signal?: AbortSignal }

/** What `look` answers first that is not undefined; undefined: the time is up. Rejects with the signal's reason. */
export function waitFor<T>(look: () => T | undefined, { view, clock, timeoutMs, signal }: WaitOptions): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const end = (): void => {
      stop()
      timer.cancel()
      signal?.removeEventListener('abort', aborted)
    }
    const settle = (): boolean => {
      try {
        const found = look()
        if (found === undefined) return false
        end()
        resolve(found)
      } catch (error) {
        end()
        reject(error)
      }
      return true
    }
    const aborted = (): void => {
      end()
      reject(signal?.reason)
    }
    const timer = clock.after(Math.max(0, timeoutMs), () => {
      if (settle()) return
      end()
      resolve(undefined)
    })
    const stop = view.onChange(() => { settle() })
    signal?.addEventListener('abort', aborted, { once: true })
    settle()
  })
}

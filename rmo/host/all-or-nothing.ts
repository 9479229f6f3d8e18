// A change over several systems (storage, hypervisor, other nodes): each step notes how to take it back before it is
// tried, and a failure takes back what was noted, newest first. What cannot be taken back is named
// (RMO_ERR_PARTLY_DONE); nothing is left unsaid. What disks need of this inside themselves is undo.ts.

import { errorCode } from '../../fabric/base.ts'
import { RMO } from '../errors.ts'

export interface Steps {
  /** `what` names it for people if it must be left ("domain web1 (uuid)"). `back` may answer names of what it had to leave. */
  note(what: string, back: () => Promise<readonly string[] | void>): void
}

export const textOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

/** Runs `work`; when it fails, takes back what was noted and throws its error, or RMO_ERR_PARTLY_DONE. */
export async function allOrNothing<T>(operation: string, name: string, work: (steps: Steps) => Promise<T>): Promise<T> {
  const noted: { readonly what: string; readonly back: () => Promise<readonly string[] | void> }[] = []
  try {
    return await work({ note: (what, back) => { noted.push({ what, back }) } })
  } catch (error) {
    const left: string[] = []
    for (const { what, back } of noted.reverse()) {
      try { left.push(...await back() ?? []) } catch (failure) { left.push(`${what} (${textOf(failure)})`) }
    }
    if (left.length === 0) throw error
    if (errorCode(error) === RMO.PARTLY_DONE.code) left.unshift(...(error as { readonly details?: { readonly left?: readonly string[] } }).details?.left ?? [])
    throw RMO.PARTLY_DONE({ operation, name, reason: textOf(error), left }, { cause: error })
  }
}

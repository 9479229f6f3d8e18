// The code that an action is refused with.

import { errorCode } from '../../fabric/base.ts'

/** Undefined when it is not refused. */
export function codeOf(act: () => unknown): string | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    return errorCode(error) ?? String(error)
  }
}

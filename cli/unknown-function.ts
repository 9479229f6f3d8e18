// Nothing found for a name: is there nothing, or no such function? A typing error must not look like an empty answer.

import { errorCode } from '../fabric/base.ts'
import type { DataCenter } from '../kali/contract.ts'

/** What there is to say of a name that no function has. */
export async function unknownFunction(dc: DataCenter, name: string): Promise<Error | undefined> {
  try {
    await dc.functions.get(name)
    return undefined
  } catch (error) {
    if (error instanceof Error && errorCode(error) === 'FUNCTIONS_ERR_FUNCTION_UNKNOWN') return error
    throw error
  }
}

/** Throws FUNCTION_UNKNOWN when nothing was found because no function has that name. */
export async function refuseUnknown(dc: DataCenter, name: string | undefined, found: number): Promise<void> {
  const unknown = found > 0 || name === undefined ? undefined : await unknownFunction(dc, name)
  if (unknown !== undefined) throw unknown
}

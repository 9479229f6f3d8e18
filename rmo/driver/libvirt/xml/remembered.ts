// A reader that remembers: the same text is not parsed twice. Inventories read hundreds of texts of which few changed.
//
// Bounded by LIMITS.definitionsRememberedMax; what was asked for longest ago is forgotten first. Results are shared, so
// readers answer data that nobody changes.

import { LIMITS } from '../../../../fabric/base.ts'

export function remembered<T>(read: (xml: string) => T): (xml: string) => T {
  const known = new Map<string, T>()
  return (xml) => {
    const value = known.has(xml) ? known.get(xml) as T : read(xml)
    known.delete(xml)
    known.set(xml, value)
    if (known.size > LIMITS.definitionsRememberedMax) for (const oldest of known.keys()) { known.delete(oldest); break }
    return value
  }
}

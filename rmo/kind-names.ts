// How people name a kind in rights and triggers: "VM", "vm", "vms"; "Switch", "switch", "switches".

import type { Kind } from './kind.ts'

export type NamedKind = Pick<Kind, 'kind' | 'plural'>

const known = new WeakMap<NamedKind, ReadonlySet<string>>()

/** All of them, in lower case. Kept: the gate asks at every call. */
export function kindNames(of: NamedKind): ReadonlySet<string> {
  const names = known.get(of)
  if (names !== undefined) return names
  const collection = of.plural.toLowerCase()
  const made = new Set([of.kind.toLowerCase(), collection, collection.replace(/s$/, '')])
  known.set(of, made)
  return made
}

/** Whether `name` is one of the kind's. */
export const namesKind = (name: string, kind: NamedKind): boolean => kindNames(kind).has(name.toLowerCase())

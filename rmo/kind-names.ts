// How people name a kind in rights and triggers: "VM", "vm", "vms"; "Switch", "switch", "switches".

import type { Kind } from './kind.ts'

/** Whether `name` is one of the kind's. */
export function namesKind(name: string, { kind, plural }: Pick<Kind, 'kind' | 'plural'>): boolean {
  const lower = name.toLowerCase(), collection = plural.toLowerCase()
  return lower === kind.toLowerCase() || lower === collection || lower === collection.replace(/s$/, '')
}

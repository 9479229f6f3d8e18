// A registry of kinds: rmo's own (kinds/index.ts), and what a layer above adds to it (kali's Pool, ...).

import type { KindShape } from '../functions/mod.ts'
import { RMO } from './errors.ts'
import type { Kind } from './kind.ts'

export interface KindRegistry {
  readonly kinds: readonly Kind[]
  /** Plain data for the sandbox, the shell and completion. */
  readonly shapes: readonly KindShape[]
  /** The kind of that name; throws RMO_ERR_KIND_UNKNOWN. */
  kindOf(name: string): Kind
}

export function createKindRegistry(kinds: readonly Kind[]): KindRegistry {
  const byName = new Map(kinds.map((kind) => [kind.kind, kind]))
  return {
    kinds,
    shapes: kinds.map((kind) => kind.shape),
    kindOf(name) {
      const kind = byName.get(name)
      if (kind === undefined) throw RMO.KIND_UNKNOWN({ kind: name, kinds: [...byName.keys()] })
      return kind
    },
  }
}

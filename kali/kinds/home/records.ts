// References to the cloud's own objects, as this node serves them.

import type { ReferenceRecord } from '../../../functions/mod.ts'
import { RMO } from '../../../rmo/base.ts'
import type { CloudHome } from './context.ts'

interface Observed { readonly name: string; readonly uuid: string }

/** Of an object of this node's table; throws RMO_ERR_GONE when it has just been removed. */
export function recordHere({ objects, self }: Pick<CloudHome, 'objects' | 'self'>, kind: string, uuid: string): ReferenceRecord {
  const local = objects.get(kind, uuid)?.local as { attributes(): Observed } | undefined
  if (local === undefined) throw RMO.GONE({ kind, name: uuid, reason: 'it was removed' })
  const attributes = local.attributes()
  return { kind, uuid, home: self, name: attributes.name, attributes: { ...attributes } }
}

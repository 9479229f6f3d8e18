// The objects of one host among those of its node: a node that simulates a fleet has many hosts in one table. Adding and
// looking up is the node's; listing is this host's own.

import type { LocalObject, LocalObjects } from '../object.ts'

export function createOwnObjects(all: LocalObjects): LocalObjects {
  const own = new Map<string, Set<string>>()
  return {
    add(object) {
      const ofKind = own.get(object.kind) ?? new Set<string>()
      own.set(object.kind, ofKind.add(object.uuid))
      all.add(object)
    },
    remove(kind, uuid, left) {
      own.get(kind)?.delete(uuid)
      all.remove(kind, uuid, left)
    },
    get: (kind, uuid) => all.get(kind, uuid),
    list: (kind) => [...own.get(kind) ?? []].flatMap((uuid): LocalObject[] => {
      const object = all.get(kind, uuid)
      return object === undefined ? [] : [object]
    }),
    movedTo: (kind, uuid) => all.movedTo(kind, uuid),
    tombstone: (kind, uuid) => all.tombstone(kind, uuid),
  }
}

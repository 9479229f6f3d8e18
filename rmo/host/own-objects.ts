// The objects of one host among those of its node: a node that simulates a fleet has many hosts in one table. Adding and
// looking up is the node's; listing and removing is of this host's own: one that has moved to a host beside this one is that
// host's, also while this one still forgets it.

import type { LocalObject, LocalObjects } from '../object.ts'

export function createOwnObjects(all: LocalObjects): LocalObjects {
  const own = new Map<string, Map<string, LocalObject>>()
  return {
    add(object) {
      const ofKind = own.get(object.kind) ?? new Map<string, LocalObject>()
      own.set(object.kind, ofKind.set(object.uuid, object))
      all.add(object)
    },
    remove(kind, uuid, left) {
      const object = own.get(kind)?.get(uuid)
      own.get(kind)?.delete(uuid)
      if (all.get(kind, uuid) === object) all.remove(kind, uuid, left)
    },
    get: (kind, uuid) => all.get(kind, uuid),
    list: (kind) => [...own.get(kind)?.values() ?? []].filter((object) => all.get(kind, object.uuid) === object),
    movedTo: (kind, uuid) => all.movedTo(kind, uuid),
    tombstone: (kind, uuid) => all.tombstone(kind, uuid),
    onChange: (listener) => all.onChange(listener),
  }
}

// The objects of one simulated host in the table that all of them share. A VM that was lost with its host and was started
// elsewhere is that other host's object from then on, also while the lost one comes back and forgets it. Image pools that are
// shared are many hosts' objects: the table shows the first of them that is there.

import type { LocalObject, LocalObjects } from '../../rmo/mod.ts'

export function ownObjects(shared: LocalObjects): LocalObjects {
  const own = new Map<string, LocalObject>()
  return {
    ...shared,
    get: (kind, uuid) => own.get(`${kind}/${uuid}`) ?? shared.get(kind, uuid),
    add(object) {
      own.set(`${object.kind}/${object.uuid}`, object)
      shared.add(object)
    },
    remove(kind, uuid, gone) {
      const key = `${kind}/${uuid}`, mine = own.get(key)
      own.delete(key)
      if (mine === undefined || shared.get(kind, uuid)?.local === mine.local) shared.remove(kind, uuid, gone)
    },
  }
}

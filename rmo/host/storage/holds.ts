// Files that overlays are being made of right now, so that none of them is removed meanwhile.
//
// Any number may use a file at once (a hundred VMs of one image); its removal is refused while one does, and who wants
// to use it during its removal waits for that to end, and then finds out.

import { RMO } from '../../errors.ts'

export interface Holds {
  use<T>(path: string, work: () => Promise<T>): Promise<T>
  /** Throws RMO_ERR_IN_USE at once when it is used. */
  remove<T>(path: string, work: () => Promise<T>): Promise<T>
}

export function createHolds(): Holds {
  const users = new Map<string, number>()
  const removals = new Map<string, Promise<unknown>>()
  return {
    async use(path, work) {
      for (let ending = removals.get(path); ending !== undefined; ending = removals.get(path)) await ending.catch(() => {})
      users.set(path, (users.get(path) ?? 0) + 1)
      try {
        return await work()
      } finally {
        const left = (users.get(path) ?? 1) - 1
        if (left === 0) users.delete(path)
        else users.set(path, left)
      }
    },
    async remove(path, work) {
      if (users.has(path) || removals.has(path)) throw RMO.IN_USE({ kind: 'Disk', name: path, by: ['an overlay that is being made'] })
      const removal = work()
      removals.set(path, removal)
      try { return await removal } finally { removals.delete(path) }
    },
  }
}

// Files that are made somewhere else and appear whole: a hidden name of this host's own until they are complete.
//
//   .kumoi-HOST-XXXXXXXX.part --write, sync--> link to the final name (fails if that is taken) --> unlink the hidden one
//
// A link, not a rename, so that nothing is ever overwritten. The hidden name carries the host, so that on a directory
// that hosts share each sweeps only what itself left behind when it was killed.

import { link, open, readdir, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { LIMITS, errorCode } from '../../../fabric/base.ts'
import type { Random } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'

const HIDDEN = /^\.kumoi-([0-9a-f]{8})-[0-9a-f]{16}\.part$/

/** Files in a pool's directory that are Kumoi's own paperwork, not volumes. */
export const isPaperwork = (name: string): boolean => HIDDEN.test(name) || /\.(image|disk)\.json$/.test(name)

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

export const ignoreAbsent = (error: unknown): void => { if (errorCode(error) !== 'ENOENT') throw error }

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r')
  try { await file.sync() } finally { await file.close() }
}

/** 'durable': on the disk before it is seen, so that no power failure takes it back; costs two syncs. 'plain': as the file system likes. */
export type Durability = 'durable' | 'plain'

export interface Unfinished {
  /** `work` makes a file at the hidden name it is given; then it appears at `path`. Throws ALREADY_EXISTS when that is taken. */
  appear<T>(path: string, durability: Durability, work: (hidden: string) => Promise<T>): Promise<T>
  /** As appear, but takes the place of what is there, in one step. */
  replace<T>(path: string, durability: Durability, work: (hidden: string) => Promise<T>): Promise<T>
  /** Removes hidden files of this host that no work of this process is at. */
  sweep(directory: string): Promise<readonly string[]>
}

export function createUnfinished({ machineUuid, hostName, random }: { readonly machineUuid: string; hostName(): string; readonly random: Random }): Unfinished {
  const mine = machineUuid.slice(0, 8)
  const live = new Set<string>()

  const finish = async <T>(path: string, durability: Durability, work: (hidden: string) => Promise<T>, place: (hidden: string) => Promise<void>): Promise<T> => {
    const name = `.kumoi-${mine}-${hexOf(random.bytes(8))}.part`
    const hidden = join(dirname(path), name)
    live.add(name)
    try {
      const made = await work(hidden)
      if (durability === 'durable') await sync(hidden)
      await place(hidden)
      if (durability === 'durable') await sync(dirname(path))
      return made
    } finally {
      await unlink(hidden).catch(ignoreAbsent)
      live.delete(name)
    }
  }
  return {
    appear: (path, durability, work) => finish(path, durability, work, (hidden) => link(hidden, path).catch((error: unknown) => {
      if (errorCode(error) === 'EEXIST') throw RMO.ALREADY_EXISTS({ what: `File ${path}`, host: hostName() }, { cause: error })
      throw error
    })),
    replace: (path, durability, work) => finish(path, durability, work, (hidden) => rename(hidden, path)),
    async sweep(directory) {
      const names = await readdir(directory).catch((error: unknown) => { ignoreAbsent(error); return [] })
      const left = names.slice(0, LIMITS.poolEntriesMax).filter((name) => HIDDEN.exec(name)?.[1] === mine && !live.has(basename(name)))
      for (const name of left) await unlink(join(directory, name)).catch(ignoreAbsent)
      return left
    },
  }
}

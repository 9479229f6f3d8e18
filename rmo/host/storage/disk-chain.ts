// What a disk stands on, and whether that may be shown to a guest.
//
//   facts --asDeclared(format)--> facts --chain.depth--> how deep; --chain.check--> every base is an image or a frozen disk
//
// A guest with a raw disk can write a qcow2 header into it that names any file of the host, or the disk of somebody
// else, as its backing file. So a format is what the settings say, never what the bytes look like, and a disk that is
// taken into use stands on nothing but images of this host and bases that Kumoi froze. (CVE-2008-2004 and its kin.)

import { RMO } from '../../errors.ts'
import type { Call } from '../../driver/contract.ts'
import { CHAIN_MAX } from './disk-plan.ts'
import type { Backing, DiskFacts, DiskFormat, DiskStore } from './disk-store.ts'
import type { ImageCatalog } from './images.ts'

/** Facts of a disk that is said to be of that format: a raw disk's contents are the guest's, whatever they look like. */
export function asDeclared(facts: DiskFacts, format: DiskFormat): DiskFacts {
  if (format !== 'raw' || facts.format !== 'qcow2') return facts
  const { backing: _backing, unusable: _unusable, ...rest } = facts
  return { ...rest, format: 'raw', capacityBytes: facts.sizeBytes, blank: false, snapshots: 0 }
}

export interface DiskChain {
  /** Files below a disk, itself not counted; throws DISK_UNUSABLE when one is missing, damaged, or too many are. */
  depth(path: string, facts: DiskFacts, call: Call): Promise<number>
  /** As depth; also throws when one of them is neither an image nor a frozen disk. */
  check(path: string, facts: DiskFacts, call: Call): Promise<number>
}
export interface DiskChainOptions { readonly store: DiskStore; readonly images: Pick<ImageCatalog, 'at'>; hostName(): string }

export function createDiskChain({ store, images, hostName }: DiskChainOptions): DiskChain {
  const known = async ({ path, format }: Backing): Promise<boolean> => {
    const image = images.at(path) ?? images.at(await store.realPath(path))
    return image === undefined ? store.isBase(path) : image.note.format === format
  }
  const walk = async (path: string, facts: DiskFacts, call: Call, accept: (backing: Backing) => Promise<boolean>): Promise<number> => {
    const unusable = (reason: string): Error => RMO.DISK_UNUSABLE({ path, host: hostName(), reason })
    let below = facts.backing
    let depth = 0
    while (below !== undefined) {
      depth++
      if (depth > CHAIN_MAX) throw unusable(`more than ${CHAIN_MAX} files stand under it; copy it in full (disks: "full")`)
      const next = await store.probe(below.path, call)
      if (next === undefined) throw unusable(`the file that it stands on, ${below.path}, is missing; put it back`)
      const declared = asDeclared(next, below.format)
      if (declared.unusable !== undefined) throw unusable(`the file that it stands on, ${below.path}, cannot be used: ${declared.unusable}`)
      if (!await accept(below)) throw unusable(`it stands on ${below.path}, which is neither an image of this host nor a disk that Kumoi froze; import that as an image, or make the disk stand alone (qemu-img convert)`)
      below = declared.backing
    }
    return depth
  }
  return {
    depth: (path, facts, call) => walk(path, facts, call, async () => true),
    check: (path, facts, call) => walk(path, facts, call, known),
  }
}

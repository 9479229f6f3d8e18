// One disk of a stopped VM, cloned. Which way is safe:
//
//   'full'                               a copy with all its bases in it; independent
//   'overlay', nothing written yet       another overlay of the same base
//   'overlay', data of its own           the disk is frozen as a base, original and clone are fresh overlays of it
//   'overlay' of a raw disk, of one with snapshots inside, or of one that Kumoi did not make: refused, a full copy is not
//
// The original is locked ("disk/<path>") meanwhile: of two clones at once the second finds it frozen and
// blank, and needs no second freeze.

import type { Call } from '../../driver/contract.ts'
import { asDeclared } from './disk-chain.ts'
import type { DiskChain } from './disk-chain.ts'
import type { DiskFormat, DiskNote } from './disk-store.ts'
import { CHAIN_MAX } from './disk-plan.ts'
import type { DiskMakerOptions, DiskWork } from './disks.ts'

export interface CloneTools extends Pick<DiskMakerOptions, 'context' | 'store' | 'claims' | 'holds' | 'onMade' | 'onRemoved'> {
  readonly work: DiskWork
  /** Of the clone's disk. */
  readonly note: DiskNote
  readonly chain: DiskChain
  /** Removes a frozen base that nothing stands on. */
  collect(path: string, call: Call): Promise<void>
  unusable(path: string, reason: string): Error
}
export interface CloneOrder {
  readonly path: string
  /** As the original's settings say it. */
  readonly format: DiskFormat
  readonly to: string
  readonly how: 'overlay' | 'full'
  /** Uuid of the original VM. */
  readonly owner: string
  onProgress(ratio: number): void
}

const INSTEAD = 'clone with disks: "full"'

/** Makes the clone's disk; answers its size in the guest. */
export async function cloneDisk(tools: CloneTools, { path, format, to, how, owner, onProgress }: CloneOrder): Promise<number> {
  const { context, store, claims, holds, work: { uuid, settings, call, undo }, note, unusable, onMade, onRemoved } = tools
  return context.exclusive(`disk/${path}`, async () => {
    const probed = await store.probe(path, call)
    if (probed === undefined) throw unusable(path, 'there is no such file')
    const facts = asDeclared(probed, format)
    if (facts.unusable !== undefined) throw unusable(path, facts.unusable)
    const depth = await tools.chain.depth(path, facts, call)
    claims.claim(to, uuid, settings.name)
    undo.add(undefined, async () => claims.release(to, uuid))
    const made = (base?: string): void => {
      undo.add(`disk ${to}`, async () => {
        await store.remove(to, undo.call)
        onRemoved(to)
        if (base !== undefined) await tools.collect(base, undo.call)
      })
      onMade(to, base)
    }
    if (how === 'full') {
      await store.copy({ path, format: facts.format === 'qcow2' ? 'qcow2' : 'raw' }, to, { format: 'qcow2' }, note, call, onProgress)
      made()
      return facts.capacityBytes
    }
    const base = facts.blank && facts.backing !== undefined ? facts.backing : await freeze()
    await holds.use(base.path, () => store.create(to, { format: 'qcow2', backing: base, capacityBytes: facts.capacityBytes }, note, call))
    made(base.path)
    return facts.capacityBytes

    async function freeze() {
      if (facts?.format !== 'qcow2') throw unusable(path, `it is not qcow2 and cannot be a base; ${INSTEAD}`)
      if (facts.snapshots > 0) throw unusable(path, `it holds ${facts.snapshots} snapshots, which a base would hide; ${INSTEAD}`)
      if (await store.roleFor(path, owner) === undefined) throw unusable(path, `Kumoi did not make it and does not freeze it; ${INSTEAD}`)
      if (depth + 1 >= CHAIN_MAX) throw unusable(path, `${depth} files stand under it already; ${INSTEAD}`)
      const frozen = await store.share(path, { owner, role: 'base', madeAtMs: context.clock.wallMs() }, call)
      onMade(path, frozen.path)
      return frozen
    }
  })
}

// Keeps N copies of what is deployed: every so often, and when a member came or went, each node looks whether it is among
// the owners (owners.ts) of each version in use, and fetches what it lacks. One after another, at a random moment of a few
// seconds, so that a member's death is no burst. What a node owns is not removed from its disk for room.

import type { BlobStore, Log } from '../../fabric/mod.ts'
import { LIMITS } from '../../fabric/base.ts'
import type { Clock, Hash, NodeId, Random, Timer } from '../../fabric/base.ts'
import type { DeployedFunction } from '../deployed.ts'
import type { CatalogMember, Code } from './code.ts'
import { byRendezvous } from './owners.ts'

export interface CopiesOptions {
  readonly blobs: BlobStore
  readonly self: NodeId
  members(): readonly CatalogMember[]
  onMembers(listener: () => void): () => void
  deployed(): readonly DeployedFunction[]
  readonly fetch: Code
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface Copies {
  start(): void
  /** What is deployed has changed: looked at within a few seconds. */
  changed(): void
  stop(): void
}

interface Wanted { readonly hash: Hash; readonly bytesMax: number; readonly name: string; readonly inUse: boolean }

export function createCopies({ blobs, self, members, onMembers, deployed, fetch, clock, random, log }: CopiesOptions): Copies {
  let timer: Timer | undefined
  let dueAtMs = Infinity
  let unsubscribe = (): void => {}
  let stopped = false
  let working = false

  /** What this node is to keep. */
  const owned = (): readonly Wanted[] => {
    const present = members()
    return deployed().flatMap(({ record, versions }) => {
      const named = new Set(Object.values(record.aliases).map(({ version }) => version))
      return [...versions.values()].flatMap(({ manifest: { name, version, sourceMap } }) =>
        // By the version for both, so that who has the code has its map.
        byRendezvous(version, present).slice(0, LIMITS.bundleCopies).every(({ id }) => id !== self) ? [] : [
          { hash: version, bytesMax: LIMITS.bundleBytesMax, name, inUse: named.has(version) },
          { hash: sourceMap, bytesMax: LIMITS.sourceMapBytesMax, name, inUse: false },
        ])
    })
  }

  const check = async (): Promise<void> => {
    const wanted = owned()
    blobs.hold(new Set(wanted.map(({ hash }) => hash)))
    for (const { hash, bytesMax, name, inUse } of wanted) {
      if (stopped) return
      // What runs is read, so that damage on the disk shows here and not at the next start.
      if (blobs.keeps(hash) && (!inUse || await blobs.get(hash) !== undefined)) continue
      const { bytes, asked } = await fetch.get(hash, bytesMax)
      if (bytes === undefined) log.warn('a copy that this node is to keep cannot be had', { function: name, hash, asked })
      else if (!blobs.keeps(hash)) {
        // In memory, and once not written: it is now.
        blobs.put(hash, bytes)
        await blobs.flush()
      }
    }
  }

  const work = async (): Promise<void> => {
    if (working) return plan(LIMITS.copiesSpreadMs)
    working = true
    try {
      await check()
    } catch (error) {
      log.warn('copies of deployed functions could not be looked after', { reason: String(error) })
    } finally {
      working = false
      plan(LIMITS.copiesCheckMs)
    }
  }

  /** The sooner of what is planned already and this. */
  const plan = (withinMs: number): void => {
    const atMs = clock.nowMs() + withinMs * (0.5 + random.next() / 2)
    if (stopped || (timer !== undefined && dueAtMs <= atMs)) return
    timer?.cancel()
    dueAtMs = atMs
    timer = clock.after(atMs - clock.nowMs(), () => {
      timer = undefined
      void work()
    }, { background: true })
  }

  return {
    start() {
      unsubscribe = onMembers(() => plan(LIMITS.copiesSpreadMs))
      plan(LIMITS.copiesSpreadMs)
    },
    changed: () => plan(LIMITS.copiesSpreadMs),
    stop() {
      stopped = true
      unsubscribe()
      timer?.cancel()
    },
  }
}

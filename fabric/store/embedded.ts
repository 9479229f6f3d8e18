// The embedded store: the core of the founding node, with its state in LMDB.
//
// Each commit writes the entries and leases that changed, the batch of events, and the revision, in one LMDB transaction; a
// process killed at any moment comes back with whole commits only, and with every answered one. At start all of it is read
// into memory. Leases come back with their full lifetime, as etcd's do: never early.

import type { Clock, Random } from '../clock.ts'
import { storeFailure, openByteTable } from '../lmdb.ts'
import { EMPTY_IMAGE } from './core.ts'
import type { CoreChange } from './core.ts'
import type { StoreEngine } from './engine.ts'
import { createLocalStore } from './local.ts'
import { imageOf, rowsOf } from './rows.ts'

export interface EmbeddedOptions {
  /** Directory of its own; made when it is not there. */
  readonly directory: string
  /** "embedded at alpha". */
  readonly description: string
  readonly clock: Clock
  readonly random: Random
  readonly onFault?: (error: unknown) => void
  /** 'kept': it was made before, and one that holds nothing has lost what was acknowledged. Left out: it may be new. */
  readonly as?: 'kept'
}

/** Opens or makes it. Rejects with FABRIC_ERR_STORE_FAILED, also when it is damaged. */
export async function openEmbeddedStore({ directory, description, clock, random, onFault, as }: EmbeddedOptions): Promise<StoreEngine> {
  const table = await openByteTable(directory)
  try {
    const found = imageOf(table.rows())
    if (found === undefined && as === 'kept') throw new Error('it holds nothing of what was written to it')
    const image = found ?? EMPTY_IMAGE
    let { revision, floor } = image
    // Known again from now on, as one that was made, also before anything is written to it.
    if (found === undefined) await table.write(rowsOf([], { revision, floor }))
    return createLocalStore({
      kind: 'embedded', description, clock, random, image,
      async persist(changes) {
        const stands = standing(changes, { revision, floor })
        await table.write(rowsOf(changes, stands))
        revision = stands.revision
        floor = stands.floor
      },
      onClose: () => table.close(),
      ...(onFault === undefined ? {} : { onFault }),
    })
  } catch (cause) {
    await table.close()
    throw storeFailure(directory)(cause)
  }
}

/** Revision and floor after `changes`. */
function standing(changes: readonly CoreChange[], before: { readonly revision: number; readonly floor: number }): { readonly revision: number; readonly floor: number } {
  let { revision, floor } = before
  for (const change of changes) {
    if (change.type !== 'batch') continue
    if (change.batch === undefined) floor = Math.max(floor, change.revision)
    else revision = change.revision
  }
  return { revision, floor }
}

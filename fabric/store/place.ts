// Where a fabric's store is, and which one: 'node:<id>' (embedded, at that node) or 'etcd://...'.
//
// A fabric's stores are numbered by eras: 0 is the one it began with; a move makes one whose number is the revision at which
// it began, so that no two attempts share one. An era's store is always a fresh one (a directory, or a prefix in etcd, with
// the era in its name): what a failed attempt left behind is in nobody's way. What users see as revisions are the store's own plus the era's `shift`, which is above all that came before: a
// revision that somebody remembers from an earlier era is never taken for one of this.
//
// store.json in the data directory remembers it, written whole or not at all.

import { open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode } from '../errors.ts'
import { FABRIC } from '../errors-table.ts'
import { isNodeId } from '../id.ts'
import type { NodeId } from '../id.ts'
import { parseEtcdUrl } from './etcd/url.ts'

export interface StorePlace {
  readonly era: number
  readonly shift: number
  /** "node:<id>" or "etcd://...". */
  readonly at: string
}

export const embeddedAt = (node: NodeId): string => `node:${node}`
/** Undefined for an etcd. */
export const nodeOf = (at: string): NodeId | undefined => at.startsWith('node:') ? at.slice('node:'.length) : undefined

/** "embedded at alpha", "etcd at a:2379"; for people. */
export function describe(at: string, nameOf: (node: NodeId) => string): string {
  const node = nodeOf(at)
  return node === undefined ? parseEtcdUrl(at).description : `embedded at ${nameOf(node)}`
}

/** A node may be started with the store that the fabric has, not with another one. Throws STORE_URL. */
export function refuseOther(wish: string, { at }: StorePlace): void {
  const wished = parseEtcdUrl(wish)
  const present = nodeOf(at) === undefined ? parseEtcdUrl(at) : undefined
  const same = present !== undefined && wished.endpoints.some((endpoint) => present.endpoints.includes(endpoint))
  if (!same) throw FABRIC.STORE_URL({ url: wished.description, reason: 'the fabric has another one; "kumoi store copy" moves it' })
}

export function isPlace(value: unknown): value is StorePlace {
  const { era, shift, at } = (value ?? {}) as Record<string, unknown>
  return Number.isSafeInteger(era) && Number.isSafeInteger(shift) && (era as number) >= 0 && typeof at === 'string' && (at.startsWith('node:') ? isNodeId(at.slice('node:'.length)) : /^etcds?:/.test(at))
}

/** As it stands in a key of the store. */
export const encodePlace = ({ era, shift, at }: StorePlace): Uint8Array => new TextEncoder().encode(JSON.stringify({ era, shift, at }))
/** Throws RECORD_REFUSED. */
export function decodePlace(bytes: Uint8Array): StorePlace {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes))
    if (isPlace(value)) return { era: value.era, shift: value.shift, at: value.at }
  } catch { /* told below */ }
  throw FABRIC.RECORD_REFUSED({ reason: 'no place of a store', offsetBytes: 0 })
}

const fileOf = (data: string): string => join(data, 'store.json')

/** What the data directory remembers; undefined when it is a new one. Rejects with STORE_FAILED when it cannot be read: to guess could mean an empty store. */
export async function recallPlace(data: string): Promise<StorePlace | undefined> {
  try {
    return decodePlace(await readFile(fileOf(data)))
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw FABRIC.STORE_FAILED({ path: fileOf(data), reason: (error as Error).message }, { cause: error })
  }
}

export async function rememberPlace(data: string, place: StorePlace): Promise<void> {
  const beside = `${fileOf(data)}.new`
  const text = `${JSON.stringify(place, null, 2)}\n`
  // A node that was there before starts on a full disk, too.
  if (await readFile(fileOf(data), 'utf8').catch(() => undefined) === text) return
  try {
    // May hold the password of an etcd.
    const handle = await open(beside, 'w', 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(beside, fileOf(data))
  } catch (cause) {
    throw FABRIC.STORE_FAILED({ path: fileOf(data), reason: (cause as Error).message }, { cause })
  }
}

// A look at a file of LMDB before it is opened. LMDB maps it into memory and follows its page numbers unchecked, so that a file
// which was cut off or overwritten ends the process (SIGBUS, SIGSEGV) or reads as an empty one; here it is told of by name.
//
// Looked at: both meta pages, and the root pages of the newer one. Not the rest: pages deep in the tree would cost a read of
// all of it, and a file may rightly be shorter than its last page number (free pages at its end are not written).
// Source: lmdb's mdb.c, MDB_page, MDB_meta and MDB_db, data version 2.

import { open, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode } from './errors.ts'

const MAGIC = 0xbeefc0de
const HEADER_BYTES = 24
const FLAGS_AT = 18
const BRANCH_OR_LEAF = 0x3
const META = { magic: 0, pageBytes: 24, freeRoot: 24 + 40, mainRoot: 24 + 48 + 40, transaction: 128, bytes: 136 } as const
const NO_PAGE = 0xffff_ffff_ffff_ffffn
const PAGE_BYTES_MAX = 65_536

interface Meta { readonly pageBytes: number; readonly roots: readonly bigint[]; readonly transaction: bigint }

/** What is wrong with the database at `path` (a file, or a directory with one); undefined: nothing that can be seen, or there is none yet. */
export async function lmdbFileProblem(path: string): Promise<string | undefined> {
  let file: FileHandle
  try {
    const directory = (await stat(path)).isDirectory()
    file = await open(directory ? join(path, 'data.mdb') : path)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    return await problemOf(file)
  } finally {
    await file.close()
  }
}

async function problemOf(file: FileHandle): Promise<string | undefined> {
  const { size } = await file.stat()
  if (size === 0) return undefined
  const first = await metaAt(file, 0)
  if (first === undefined) return 'its first page is none of a database'
  const second = await metaAt(file, first.pageBytes)
  if (second === undefined) return 'its second page is none of a database'
  const { roots, pageBytes } = first.transaction >= second.transaction ? first : second
  for (const root of roots) {
    if (root === NO_PAGE) continue
    const at = Number(root) * pageBytes
    if (!Number.isSafeInteger(at) || at + pageBytes > size) return `it ends at byte ${size}, before a page that it needs`
    const header = await bytesAt(file, at, HEADER_BYTES)
    if (header.readBigUInt64LE(0) !== root || (header.readUInt16LE(FLAGS_AT) & BRANCH_OR_LEAF) === 0) return `its page ${root} was overwritten`
  }
  return undefined
}

async function metaAt(file: FileHandle, page: number): Promise<Meta | undefined> {
  const bytes = (await bytesAt(file, page, HEADER_BYTES + META.bytes)).subarray(HEADER_BYTES)
  const pageBytes = bytes.readUInt32LE(META.pageBytes)
  if (bytes.readUInt32LE(META.magic) !== MAGIC || pageBytes < HEADER_BYTES + META.bytes || pageBytes > PAGE_BYTES_MAX) return undefined
  return { pageBytes, roots: [bytes.readBigUInt64LE(META.freeRoot), bytes.readBigUInt64LE(META.mainRoot)], transaction: bytes.readBigUInt64LE(META.transaction) }
}

/** What lies behind the end reads as zeros. */
async function bytesAt(file: FileHandle, at: number, count: number): Promise<Buffer> {
  const bytes = Buffer.alloc(count)
  await file.read(bytes, 0, count, at)
  return bytes
}

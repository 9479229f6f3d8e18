// A listing in parts: what rmo.list streams, at both ends.
//
//   shell <--parts-- [relay] gathers and sorts records <--parts-- [home] its own objects
//
// A part is value-codec bytes of a Listing: at most LIMITS.listBatchMax records and about LIMITS.listBatchBytes, decoded
// by the hardened decoder. The stream's result counts what was sent, so that a lost part is an error and never a
// shorter list. Nothing holds a whole listing encoded: the next part is made when the reader has room for it.

import { setImmediate as turn } from 'node:timers/promises'
import { LIMITS } from '../fabric/base.ts'
import type { ClientStream, RpcStream } from '../fabric/mod.ts'
import type { ReferenceRecord } from '../functions/mod.ts'
import { RMO } from './errors.ts'
import { METHODS, readListing, readListingEnd } from './messages.ts'
import type { ListFailure, Listing, ListingEnd, ValueCodec } from './messages.ts'

/** A reference as it stands in a part: plain, without what was not observed. */
const plainReference = ({ kind, uuid, home, name, attributes }: ReferenceRecord, withAttributes: boolean): ReferenceRecord =>
  ({ kind, uuid, home, name, attributes: withAttributes ? Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined)) : {} })

/** Of an error's record only what people and programs are told. */
const plainFailure = ({ node, name, error: { code, message } }: ListFailure): ListFailure => ({ node, name, error: { code, message } })

/** undefined: something in it cannot travel. */
function partOf(references: readonly ReferenceRecord[], codec: ValueCodec): Uint8Array | undefined {
  try { return codec.encode({ references, failures: [] }) } catch { return undefined }
}

interface PartsOptions { readonly codec: ValueCodec; readonly withAttributes: boolean }

/** The parts of a listing, each made when it is asked for. */
export function* partsOf({ references, failures }: Listing, { codec, withAttributes }: PartsOptions): Generator<Uint8Array> {
  // How many records fill a part is learned from the last one: a VM's record is 1 KB, a bare name 150 bytes.
  let count: number = LIMITS.listBatchMin
  for (let from = 0; from < references.length;) {
    let taken = references.slice(from, from + count).map((record) => plainReference(record, withAttributes))
    let part = partOf(taken, codec)
    while (part === undefined || part.byteLength > LIMITS.listPartBytesMax) {
      const [first] = taken
      // One record beyond every bound, or with what cannot travel, goes without its figures: it is there, and its verbs say the rest.
      taken = taken.length > 1 || first === undefined ? taken.slice(0, Math.ceil(taken.length / 2)) : [{ ...first, attributes: {} }]
      part = taken.length === 1 && taken[0]?.attributes !== first?.attributes ? codec.encode({ references: taken, failures: [] }) : partOf(taken, codec)
    }
    yield part
    from += taken.length
    count = Math.max(1, Math.min(LIMITS.listBatchMax, Math.floor(taken.length * LIMITS.listBatchBytes / part.byteLength)))
  }
  for (let from = 0; from < failures.length; from += LIMITS.listBatchMax) {
    yield codec.encode({ references: [], failures: failures.slice(from, from + LIMITS.listBatchMax).map(plainFailure) })
  }
}

/** Writes a listing to whoever asked; its result is what was written. Throws RMO_ERR_LIST_TOO_LONG. */
export async function writeListing(kind: string, listing: Listing, stream: RpcStream, options: PartsOptions): Promise<ListingEnd> {
  if (listing.references.length > LIMITS.listedMax) throw RMO.LIST_TOO_LONG({ kind, limit: LIMITS.listedMax })
  for (const part of partsOf(listing, options)) {
    await stream.write(part)
    // Making a part takes some milliseconds: everybody else's calls have their turn between two.
    await turn()
  }
  stream.end()
  return { references: listing.references.length, failures: listing.failures.length }
}

/**
 * Reads a listing to its end. Rejects with the stream's error, with RMO_ERR_LIST_TOO_LONG above LIMITS.listedMax, and
 * with RMO_ERR_ARGUMENT_INVALID for a part that is none, or when parts are missing.
 */
export async function readListingStream(stream: ClientStream, kind: string, codec: ValueCodec): Promise<Listing> {
  const references: ReferenceRecord[] = []
  const failures: ListFailure[] = []
  // Its failure also ends the reads, where it is seen.
  stream.result.catch(() => {})
  try {
    for await (const part of stream) {
      if (!(part instanceof Uint8Array) || part.byteLength > LIMITS.listPartBytesMax) throw RMO.ARGUMENT_INVALID({ call: METHODS.list, path: 'a part', expected: `at most ${LIMITS.listPartBytesMax} bytes`, got: part instanceof Uint8Array ? `${part.byteLength} bytes` : typeof part })
      const read = readListing(codec.decode(part, 'value'))
      references.push(...read.references)
      failures.push(...read.failures)
      if (references.length > LIMITS.listedMax || failures.length > LIMITS.listedMax) throw RMO.LIST_TOO_LONG({ kind, limit: LIMITS.listedMax })
    }
    const told = readListingEnd(await stream.result)
    if (told.references !== references.length || told.failures !== failures.length) throw RMO.ARGUMENT_INVALID({ call: METHODS.list, path: 'the parts', expected: `${told.references} references`, got: String(references.length) })
    return { references, failures }
  } finally {
    stream.cancel()
  }
}

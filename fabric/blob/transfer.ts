// Blobs between nodes: the stream method 'blob.get' sends one in pieces, fetchBlob asks a peer for one
// and checks it against its hash as it arrives. A peer that sends other bytes, or more, is found out
// here (BLOB_MISMATCH), whatever it claims; what it sent is thrown away.
//
//   request: { hash }     messages: byte strings of at most LIMITS.blobChunkBytes     result: { bytes }

import { createHash } from 'node:crypto'
import { FABRIC } from '../errors-table.ts'
import type { Hash } from '../id.ts'
import { isHash } from '../id.ts'
import { LIMITS } from '../limits.ts'
import type { CallParent, RpcPeer, RpcRegistry } from '../rpc/contract.ts'
import type { BlobStore } from './store.ts'

export const BLOB_GET = 'blob.get'

/** Lets peers fetch what this store holds. Knowing a hash is the right to read its bytes. */
export function serveBlobs(registry: RpcRegistry, store: BlobStore, nodeName: string): void {
  registry.stream(BLOB_GET, async (body, _context, stream) => {
    const hash = (body as { hash?: unknown } | null)?.hash
    if (!isHash(hash)) throw FABRIC.BLOB_MISSING({ hash: String(hash), node: nodeName })
    const bytes = await store.get(hash)
    if (bytes === undefined) throw FABRIC.BLOB_MISSING({ hash, node: nodeName })
    for (let from = 0; from < bytes.length; from += LIMITS.blobChunkBytes) {
      await stream.write(bytes.subarray(from, Math.min(bytes.length, from + LIMITS.blobChunkBytes)))
    }
    return { bytes: bytes.length }
  })
}

export interface FetchOptions {
  /** Refuses larger ones while they arrive. Default: LIMITS.blobBytesMax. */
  readonly maxBytes?: number
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
  readonly parent?: CallParent
}

/** The blob, whole and checked. Rejects with BLOB_MISSING, BLOB_MISMATCH, BLOB_TOO_LARGE, or how the call failed. */
export async function fetchBlob(peer: RpcPeer, hash: Hash, options: FetchOptions = {}): Promise<Uint8Array> {
  const { maxBytes = LIMITS.blobBytesMax, ...call } = options
  const node = peer.caller.via === 'link' ? peer.caller.name : 'the local socket'
  const stream = peer.open(BLOB_GET, { hash }, { ...call, lane: 'bulk' })
  const digest = createHash('sha256')
  const chunks: Uint8Array[] = []
  let total = 0
  for (;;) {
    const chunk = await stream.read()
    if (chunk === undefined) break
    // Empty pieces would keep us here for ever without growing.
    const refused = !(chunk instanceof Uint8Array) || chunk.length === 0 ? FABRIC.BLOB_MISMATCH({ hash, node })
      : total + chunk.length > maxBytes ? FABRIC.BLOB_TOO_LARGE({ hash, bytesMax: maxBytes }) : undefined
    if (refused !== undefined) {
      stream.cancel(refused)
      throw refused
    }
    const piece = chunk as Uint8Array
    digest.update(piece)
    chunks.push(piece)
    total += piece.length
  }
  await stream.result
  if (digest.digest('hex') !== hash) throw FABRIC.BLOB_MISMATCH({ hash, node })
  // A copy of exactly its size: pieces are views into frames.
  const whole = new Uint8Array(total)
  let at = 0
  for (const piece of chunks) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}

/** Tries the peers in order until one delivers; rejects with the last one's error (BLOB_MISSING without peers). */
export async function fetchBlobFromAny(peers: Iterable<RpcPeer>, hash: Hash, options: FetchOptions = {}): Promise<Uint8Array> {
  let last: unknown = FABRIC.BLOB_MISSING({ hash, node: 'No reachable node' })
  for (const peer of peers) {
    try {
      return await fetchBlob(peer, hash, options)
    } catch (error) {
      last = error
      if (options.signal?.aborted === true || (options.parent !== undefined && options.parent.remainingMs() <= 0)) break
    }
  }
  throw last
}

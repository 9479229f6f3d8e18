// Scripts and source maps by hash: this node's own, else asked of the others, nearest to the hash first (owners.ts).
//
// What comes is checked against its hash by the transport of blobs, whoever sent it; a damaged file on this node's disk
// counts as missing there, so it too is fetched. Asked for by many at once, a blob is fetched once.

import type { BlobStore, RpcPeer } from '../../fabric/mod.ts'
import { fetchBlob } from '../../fabric/mod.ts'
import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Clock, Hash, NodeId } from '../../fabric/base.ts'
import { byRendezvous } from './owners.ts'

export interface CatalogMember {
  readonly id: NodeId
  readonly name: string
  /** It may be gone, or only be slow: asked when nobody else has it. */
  readonly doubted?: boolean
}

export interface CodeOptions {
  readonly blobs: BlobStore
  readonly self: NodeId
  /** Members that may answer, this node too. */
  members(): readonly CatalogMember[]
  /** A connection to a member; rejects when it cannot be reached. */
  peer(node: NodeId): RpcPeer | Promise<RpcPeer>
  readonly clock: Clock
  /** A member sent other bytes than it was asked for. */
  readonly suspicious: (member: CatalogMember, hash: Hash, error: unknown) => void
}

export interface Code {
  /** undefined: nobody who could be asked has it; `asked` says how many. */
  get(hash: Hash, bytesMax: number, signal?: AbortSignal): Promise<{ readonly bytes: Uint8Array | undefined; readonly asked: number }>
  /** From this member alone; rejects as fetchBlob does. */
  from(node: NodeId, hash: Hash, bytesMax: number, signal: AbortSignal): Promise<Uint8Array>
  close(): void
}

export function createCode({ blobs, self, members, peer, clock, suspicious }: CodeOptions): Code {
  const fetching = new Map<Hash, Promise<{ readonly bytes: Uint8Array | undefined; readonly asked: number }>>()
  const closing = new AbortController()

  const from: Code['from'] = async (node, hash, bytesMax, signal) => {
    const present = await blobs.get(hash)
    if (present !== undefined) return present
    const bytes = await fetchBlob(await peer(node), hash, { maxBytes: bytesMax, timeoutMs: LIMITS.codeFetchMs, signal })
    blobs.put(hash, bytes)
    return bytes
  }

  const search = async (hash: Hash, bytesMax: number): Promise<{ readonly bytes: Uint8Array | undefined; readonly asked: number }> => {
    const endsAtMs = clock.nowMs() + LIMITS.codeFetchMs
    let asked = 0
    const others = byRendezvous(hash, members().filter(({ id }) => id !== self))
    for (const member of [...others.filter(({ doubted }) => doubted !== true), ...others.filter(({ doubted }) => doubted === true)].slice(0, LIMITS.codePeersMax)) {
      if (closing.signal.aborted || clock.nowMs() >= endsAtMs) break
      asked++
      try {
        return { bytes: await from(member.id, hash, bytesMax, closing.signal), asked }
      } catch (error) {
        if (errorCode(error) === 'FABRIC_ERR_BLOB_MISMATCH') suspicious(member, hash, error)
      }
    }
    return { bytes: undefined, asked }
  }

  return {
    from,
    async get(hash, bytesMax, signal) {
      const bytes = await blobs.get(hash)
      if (bytes !== undefined) return { bytes, asked: 0 }
      let under = fetching.get(hash)
      if (under === undefined) {
        under = search(hash, bytesMax).finally(() => fetching.delete(hash))
        fetching.set(hash, under)
      }
      return signal === undefined ? under : until(under, signal)
    },
    close: () => closing.abort(),
  }
}

/** The work goes on for the others who wait for it. */
export function until<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason as Error)
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const aborted = (): void => reject(signal.reason as Error)
  signal.addEventListener('abort', aborted, { once: true })
  work.then(resolve, reject)
  return promise.finally(() => signal.removeEventListener('abort', aborted))
}

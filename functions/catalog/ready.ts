// What a deploy asks of the other members, and this node's answers: keep these blobs durably ('functions.keep'), and tell
// me when you run this version ('functions.ready'). The second is answered by the watch of the store, not by asking again.

import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Clock, Hash, NodeId } from '../../fabric/base.ts'
import type { BlobStore, CallContext, CallParent, RpcPeer, RpcRegistry } from '../../fabric/mod.ts'
import type { FunctionManifest } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import type { NodeCatalog } from './catalog.ts'
import type { CatalogMember } from './code.ts'
import { byRendezvous } from './owners.ts'
import { CATALOG_METHODS, count, fields, hash, string } from './wire.ts'

export interface ReadyOptions {
  readonly registry: RpcRegistry
  readonly catalog: NodeCatalog
  readonly blobs: BlobStore
  /** Members that live, this node too. */
  members(): readonly CatalogMember[]
  peer(node: NodeId): RpcPeer | Promise<RpcPeer>
  readonly clock: Clock
  /** How long a deploy waits for the others; default LIMITS.deployReadyMs. */
  readonly readyMs?: number
  /** Makes this node able to run a version at once (an isolate linked); rejects when it cannot. */
  warm(manifest: FunctionManifest, script: Uint8Array, signal: AbortSignal): Promise<void>
}

export interface Readiness {
  /** Copies both blobs to the nodes that are to keep them, others in their stead when those cannot; answers the names of those that have them. */
  copy(blobs: { readonly version: Hash; readonly sourceMap: Hash }, parent: CallParent): Promise<readonly string[]>
  /** Names of the live members that run the version, within the time that it may take. */
  ready(wanted: { readonly name: string; readonly version: Hash; readonly revision: number }, parent: CallParent): Promise<readonly string[]>
}

export function createReadiness({ registry, catalog, blobs, members, peer, warm, clock, readyMs = LIMITS.deployReadyMs }: ReadyOptions): Readiness {
  const membersOnly = (context: CallContext, method: string): NodeId => {
    if (context.caller.via !== 'link') throw FUNCTIONS.BAD_MESSAGE({ what: `${method} is for members` })
    return context.caller.node
  }

  const keep = async (hashes: readonly { readonly hash: Hash; readonly bytesMax: number }[], from: NodeId, signal: AbortSignal): Promise<boolean> => {
    for (const wanted of hashes) {
      const bytes = await catalog.fetch.from(from, wanted.hash, wanted.bytesMax, signal)
      // Once more, in case the disk had no room for it when it came.
      if (!blobs.keeps(wanted.hash)) blobs.put(wanted.hash, bytes)
    }
    await blobs.flush()
    return hashes.every((wanted) => blobs.keeps(wanted.hash))
  }

  const readyHere = async (name: string, version: Hash, revision: number, signal: AbortSignal): Promise<boolean> => {
    await catalog.reached(revision, signal)
    const manifest = catalog.get(name)?.versions.get(version)?.manifest
    // Moved on meanwhile: who came after waits for his own.
    if (manifest === undefined) return false
    await warm(manifest, await catalog.code(version, signal), signal)
    return true
  }

  registry.method(CATALOG_METHODS.keep, async (body, context) => {
    const { version, sourceMap } = fields(body, 'keep')
    return keep(pair(hash(version, 'keep.version'), hash(sourceMap, 'keep.sourceMap')), membersOnly(context, CATALOG_METHODS.keep), context.signal)
  })
  registry.method(CATALOG_METHODS.ready, async (body, context) => {
    membersOnly(context, CATALOG_METHODS.ready)
    const { name, version, revision } = fields(body, 'ready')
    return readyHere(string(name, 'ready.name'), hash(version, 'ready.version'), count(revision, 'ready.revision'), context.signal)
  })

  const ask = async (member: CatalogMember, method: string, body: unknown, timeoutMs: number, parent: CallParent): Promise<boolean> => {
    try {
      return await (await peer(member.id)).call(method, body, { parent, timeoutMs }) === true
    } catch (error) {
      if (parent.signal.aborted || errorCode(error) === undefined) throw error
      return false
    }
  }

  return {
    async copy({ version, sourceMap }, parent) {
      await blobs.flush()
      const here = pair(version, sourceMap).every((wanted) => blobs.keeps(wanted.hash))
      // Those that are to keep it, then the others in their stead, until as many have it as should.
      const line = [...byRendezvous(version, members())]
      const wanted = Math.min(LIMITS.bundleCopies, line.length)
      const kept: CatalogMember[] = []
      while (kept.length < wanted && line.length > 0) {
        const round = line.splice(0, wanted - kept.length)
        const answers = await Promise.all(round.map((member) => (member.id === catalog.self ? here : ask(member, CATALOG_METHODS.keep, { version, sourceMap }, LIMITS.deployCopyMs, parent))))
        kept.push(...round.filter((_, index) => answers[index] === true))
      }
      if (here) kept.push(...members().filter(({ id }) => id === catalog.self && !kept.some((member) => member.id === id)))
      const names = kept.map(({ name }) => name)
      return names.toSorted()
    },
    async ready({ name, version, revision }, parent) {
      const late = new AbortController()
      const timer = clock.after(readyMs, () => late.abort(), { background: true })
      const here = (): Promise<boolean> => readyHere(name, version, revision, AbortSignal.any([parent.signal, late.signal])).catch(() => false)
      const waiting = [...members()]
      const names: string[] = []
      const worker = async (): Promise<void> => {
        for (let member = waiting.shift(); member !== undefined; member = waiting.shift()) {
          const ready = member.id === catalog.self ? await here() : await ask(member, CATALOG_METHODS.ready, { name, version, revision }, readyMs, parent)
          if (ready) names.push(member.name)
        }
      }
      await Promise.all(Array.from({ length: LIMITS.deployAskedAtOnce }, worker)).finally(() => timer.cancel())
      return names.toSorted()
    },
  }
}

const pair = (version: Hash, sourceMap: Hash): readonly { readonly hash: Hash; readonly bytesMax: number }[] =>
  [{ hash: version, bytesMax: LIMITS.bundleBytesMax }, { hash: sourceMap, bytesMax: LIMITS.sourceMapBytesMax }]

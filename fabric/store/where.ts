// What members tell one another about the fabric's store: where it is, and to make room for a new one.
//
//   store.where  null  -> place, or null while the node asked does not know it
//   store.host   [era] -> null; an empty embedded store of that era is there

import { FABRIC } from '../errors-table.ts'
import type { NodeId } from '../id.ts'
import { LIMITS } from '../limits.ts'
import type { CallContext, RpcPeer, RpcRegistry } from '../rpc/contract.ts'
import { parseEtcdUrl } from './etcd/url.ts'
import type { HostedStores } from './hosted.ts'
import { embeddedAt, isPlace } from './place.ts'
import type { StorePlace } from './place.ts'
import { array, count } from './rows.ts'

const WHERE = 'store.where'
const HOST = 'store.host'

export interface Member { readonly id: NodeId; readonly name: string; readonly state: string }

export interface WhereaboutsOptions {
  readonly self: NodeId
  readonly members: () => readonly Member[]
  readonly peer: (node: NodeId) => RpcPeer | Promise<RpcPeer>
  readonly registry: RpcRegistry
  readonly hosted: HostedStores
  /** As this node knows it. */
  readonly present: () => StorePlace | undefined
}

/** Call when this node knows, or has asked. */
export function serveWhereabouts({ registry, hosted, present }: WhereaboutsOptions): void {
  registry.method(WHERE, (_body, context) => {
    membersOnly(WHERE, context)
    const place = present()
    return place === undefined ? null : { ...place }
  })
  registry.method(HOST, async (body, context) => {
    membersOnly(HOST, context)
    const era = count(array(body, 1)[0])
    const now = present()?.era ?? -1
    if (era <= now) throw FABRIC.STORE_INVALID({ what: 'the era of a new store', expected: `above ${now}`, got: String(era) })
    await hosted.make(era, now)
    return null
  })
}

/** Asks `node` for an empty store. */
export async function askToHost({ peer }: WhereaboutsOptions, node: NodeId, era: number): Promise<void> { await (await peer(node)).call(HOST, [era]) }

/** The newest place that another member knows of; undefined when none of them says one. */
export async function askWhere({ members, self, peer }: WhereaboutsOptions): Promise<StorePlace | undefined> {
  const others = members().filter(({ id, state }) => id !== self && state === 'alive').slice(0, LIMITS.ticketMembers)
  return newest(...await Promise.all(others.map(async ({ id }) => {
    try {
      const place: unknown = await (await peer(id)).call(WHERE, null, { timeoutMs: LIMITS.storeWhereTimeoutMs })
      return isPlace(place) ? { era: place.era, shift: place.shift, at: place.at } : undefined
    } catch {
      // Gone, or not yet ready to say: another one may.
      return undefined
    }
  })))
}

/** The place that somebody names "etcd://..." or "node:NAME". Throws STORE_URL, STORE_INVALID. */
export function placeFor(named: string, members: readonly Member[]): string {
  if (!named.startsWith('node:')) {
    parseEtcdUrl(named)
    return named
  }
  const name = named.slice('node:'.length)
  const member = members.find((each) => each.state === 'alive' && (each.name === name || each.id === name))
  if (member === undefined) throw FABRIC.STORE_INVALID({ what: 'the new store', expected: 'etcd://... or node:NAME of a live member', got: named })
  return embeddedAt(member.id)
}

export const newest = (...places: readonly (StorePlace | undefined)[]): StorePlace | undefined =>
  places.reduce((best, place) => place !== undefined && (best === undefined || place.era > best.era) ? place : best, undefined)

function membersOnly(method: string, { caller }: CallContext): void { if (caller.via !== 'link') throw FABRIC.STORE_MEMBERS_ONLY({ method }) }

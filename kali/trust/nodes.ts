// Cutting a node off, and letting it in again: the methods, and the way from the records to the fabric's doors.
//
//   kumoi node revoke NAME -> record trust/revoked/NODE -> view of each member -> fabric.setRevoked: links end, hellos are refused
//
// The view goes to the fabric only once something is known (the store's records, or this node's copy of them): before, the list that
// the fabric itself wrote down when it last ran holds. Whoever revokes names the members that he sees; see
// fabric/identity/revocation.ts for what that is good for. Rights and audit: kali/method-rights.ts, kali/audit-node.ts.

import { isNodeId, LIMITS, nearest } from '../../fabric/base.ts'
import type { Clock, NodeId } from '../../fabric/base.ts'
import type { FabricNode, FabricStore, Member } from '../../fabric/mod.ts'
import { integer, object, text } from '../../functions/mod.ts'
import { KALI } from '../errors.ts'
import type { TrustBook } from './book.ts'
import type { RevokedNodeRecord } from './contract.ts'
import { NODE_METHODS } from './node-wire.ts'
import type { AdmitNodeAnswer, AdmitNodeBody, RevokedNodeRow, RevokeNodeBody } from './node-wire.ts'
import { bodyOf } from './service.ts'
import type { NodeTrustView } from './view.ts'

const NAME_CHARS_MAX = 128
const REASON_CHARS_MAX = 256
/** Fewer characters of an id are a slip of the hand. */
const PREFIX_CHARS_MIN = 6
const REVOKE = object<RevokeNodeBody>({ node: text({ charsMax: NAME_CHARS_MAX }), reason: text({ charsMax: REASON_CHARS_MAX }) })
const ADMIT = object<AdmitNodeBody>({ node: text({ charsMax: NAME_CHARS_MAX }), lifetimeMs: integer(1, LIMITS.ticketLifetimeMsMax) }, ['lifetimeMs'])

export interface TrustNodesOptions {
  readonly fabric: Pick<FabricNode, 'id' | 'registry' | 'membership' | 'ticket'>
  readonly store: Pick<FabricStore, 'status'>
  readonly view: NodeTrustView
  readonly book: TrustBook
  readonly clock: Clock
}

/** Keeps the fabric's doors as the view says; gives what ends that. */
export function followRevoked(view: NodeTrustView, fabric: Pick<FabricNode, 'setRevoked'>): () => void {
  const tell = (): void => fabric.setRevoked(view.revokedNodes().map(({ node, by, reason, kept = [] }) => ({ node, by, reason, kept })))
  if (view.known) tell()
  void view.ready.then(tell)
  return view.onChange(({ kind }) => { if (kind === 'revoked') tell() })
}

export function serveTrustNodes({ fabric, store, view, book, clock }: TrustNodesOptions): void {
  const { registry, membership } = fabric

  function idOf(given: string, others: readonly RevokedNodeRecord[]): { readonly node: NodeId; readonly name: string } {
    const members: readonly Pick<Member, 'id' | 'name' | 'state'>[] = membership.members()
    const known = [...members, ...others.map(({ node, name }) => ({ id: node, name, state: 'dead' as const }))]
    // Of two with one name, the one that lives.
    const named = known.filter(({ name }) => name === given)
    const one = named.find(({ state }) => state === 'alive' || state === 'suspect') ?? named[0]
    if (one !== undefined) return { node: one.id, name: one.name }
    const key = given.toLowerCase()
    const whole: boolean = isNodeId(key)
    if (whole) return { node: key, name: known.find(({ id }) => id === key)?.name ?? key.slice(0, 8) }
    const begun = new Map(key.length >= PREFIX_CHARS_MIN ? known.filter(({ id }) => id.startsWith(key)).map(({ id, name }) => [id, name]) : [])
    const [only] = begun
    if (begun.size !== 1 || only === undefined) throw KALI.NODE_UNKNOWN({ node: given, near: nearest(given, known.map(({ name }) => name)) ?? '' })
    return { node: only[0], name: only[1] }
  }

  registry.method(NODE_METHODS.revoked, (): readonly RevokedNodeRow[] => view.revokedNodes())

  registry.method(NODE_METHODS.revoke, async (raw, { principal }): Promise<RevokedNodeRow> => {
    const body = bodyOf(REVOKE, raw)
    const { node, name } = idOf(body.node, [])
    if (node === fabric.id) throw KALI.NODE_NEEDED({ name, why: 'it is the one that was asked: it would cut off everybody else', remedy: 'Ask another member to do it (kumoi --data DIR, or on its machine).' })
    const { host } = await store.status()
    if (host === node) throw KALI.NODE_NEEDED({ name, why: 'it holds the fabric\'s global store', remedy: 'Move that first: `kumoi store copy`.' })
    const kept = membership.members().filter(({ id }) => id !== node && view.revokedNode(id) === undefined)
      .toSorted((a, b) => Number(b.state === 'alive') - Number(a.state === 'alive')).slice(0, LIMITS.trustKeptMembersMax).map(({ id }) => id)
    const record: RevokedNodeRecord = { node, name, atMs: clock.wallMs(), by: principal, reason: body.reason, kept: kept.toSorted() }
    await book.revokeNode(record)
    return view.revokedNode(node) ?? record
  })

  registry.method(NODE_METHODS.admit, async (raw): Promise<AdmitNodeAnswer> => {
    const { node: given, lifetimeMs = LIMITS.ticketLifetimeMs } = bodyOf(ADMIT, raw)
    const { node, name } = idOf(given, view.revokedNodes())
    if (view.revokedNode(node) !== undefined) {
      await book.readmitNode(node)
      return { as: 'readmitted', node, name }
    }
    const state = membership.member(node)?.state
    if (state === 'alive' || state === 'suspect') return { as: 'member', node, name }
    return { as: 'ticket', node, ticket: fabric.ticket({ lifetimeMs, subject: node }), lifetimeMs }
  })
}

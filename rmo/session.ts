// The connection that references work on, and one call over it.

import { LIMITS } from '../fabric/base.ts'
import type { CallOptions, RpcPeer } from '../fabric/mod.ts'
import type { ReferenceRecord } from '../functions/mod.ts'
import { checkArguments } from './check.ts'
import { RMO } from './errors.ts'
import type { Kind } from './kind.ts'
import type { KindRegistry } from './registry.ts'
import { METHODS } from './messages.ts'
import type { ValueCodec } from './messages.ts'
import { nearest } from './near.ts'
import { referenceRecord } from './schema.ts'

/** What references need of the connection they were made on. */
export interface Session {
  readonly peer: Pick<RpcPeer, 'call' | 'open'>
  /** decode() makes references of the records it meets (makeReference with this session). */
  readonly codec: ValueCodec
  /** Usually rmoKinds. */
  readonly kinds: KindRegistry
  /** Options of each call: timeoutMs, signal, principal. */
  readonly callOptions: () => CallOptions
  /** Makes the collection behind a property such as pm.vms; `records` is asked when the collection runs. */
  readonly collection: (kind: string, records: () => Promise<readonly ReferenceRecord[]>) => unknown
}

/** From "should have answered" to giving up: a verb's own timeout shall be reported by the verb. */
const BUDGET_RESERVE_MS = 1_000

/** One call of a verb on an object, wherever it lives. Arguments that are promises or pipelined references are awaited first. */
export async function invokeReference(session: Session, { kind, uuid, home }: ReferenceRecord, verb: string, given: readonly unknown[]): Promise<unknown> {
  const args = await Promise.all(given)
  const operation = session.kinds.kindOf(kind).operations.get(verb)
  // A mistake is thrown here, where its stack shows the caller's line; the home checks again.
  if (operation !== undefined) checkArguments(kind, verb, operation, args)
  const options = session.callOptions()
  const budgetMs = operation?.budgetMs?.(args)
  const timeoutMs = budgetMs === undefined ? options.timeoutMs : Math.min(LIMITS.callTimeoutMsMax, Math.max(options.timeoutMs ?? LIMITS.callTimeoutMs, budgetMs + BUDGET_RESERVE_MS))
  const body = { kind, uuid, home, verb, args: session.codec.encode(args) }
  const answer = await session.peer.call(METHODS.invoke, body, { ...options, ...(timeoutMs === undefined ? {} : { timeoutMs }) })
  return session.codec.decode(answer as Uint8Array, 'value')
}

/** Records of a collection property. */
export async function readRelation(session: Session, record: ReferenceRecord, property: string): Promise<readonly ReferenceRecord[]> {
  const answer = await invokeReference(session, record, property, [])
  return (Array.isArray(answer) ? answer : [answer]).flatMap((item) => referenceRecord(item) ?? [])
}

/** Names by which libraries and the language probe values; asking for them is no mistake. */
const PROBED = new Set([
  ...Object.getOwnPropertyNames(Object.prototype), 'then', 'catch', 'finally', 'toJSON', 'inspect', 'length', 'size', 'next', 'return',
  'dmap', 'map', 'settled', 'code', 'message', 'stack', 'cause', 'nodeType', 'tagName', '$$typeof', 'asymmetricMatch', 'default',
])

/** The error for a property that is not there; undefined when asking for it is no mistake. */
export function unknownProperty({ kind, shape }: Kind, name: string, property: string): Error | undefined {
  if (PROBED.has(property) || shape.attributes.includes(property)) return undefined
  const verbs = [...shape.verbs, 'watch', 'unwatch']
  const collections = [...Object.keys(shape.collections), ...Object.keys(shape.references ?? {})]
  const near = nearest(property, [...shape.attributes, ...verbs, ...collections])
  return RMO.PROPERTY_UNKNOWN({ kind, name, property, near, attributes: shape.attributes, verbs, collections })
}

/** The single object behind a property such as pm.vmm. */
export async function readOne(session: Session, record: ReferenceRecord, property: string): Promise<ReferenceRecord> {
  const [one] = await readRelation(session, record, property)
  if (one === undefined) throw RMO.GONE({ kind: property, name: `of ${record.name}`, reason: 'its owner has none' })
  return one
}

// The connection that references work on, and calls over it in their order.
//
//   verb(..args) --cold arguments as they are now--> [wait for assignments to the objects named] --> callHome --> answer
//
// A call waits for what was assigned to its object, and to those it was given, before it; see assignments.ts.

import type { CallOptions, RpcPeer } from '../fabric/mod.ts'
import type { ReferenceRecord } from '../functions/mod.ts'
import { assignmentsOf } from './assignments.ts'
import { callHome } from './call.ts'
import { RMO } from './errors.ts'
import { heldOf } from './held.ts'
import type { Held } from './held.ts'
import type { KindRegistry } from './registry.ts'
import type { ValueCodec } from './messages.ts'
import { bareReference, referenceRecord } from './schema.ts'

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

/** A cold object that was given to a verb, as it was then. */
interface Draft { readonly held: Held; readonly sent: ReferenceRecord }
interface Given { readonly value: unknown; readonly drafts?: readonly Draft[] }

function taken(value: unknown): Given {
  if (Array.isArray(value) && value.some((item) => heldOf(item)?.isCold === true)) {
    const items = value.map(taken)
    return { value: items.map((item) => item.value), drafts: items.flatMap(({ drafts = [] }) => drafts) }
  }
  const held = heldOf(value)
  return held?.isCold === true ? { value: bareReference(held.record), drafts: [{ held, sent: held.record }] } : { value }
}

/** Arguments as they are at the call, which may have to wait: what a cold object becomes later is not meant. */
export const takeArguments = (given: readonly unknown[]): readonly Given[] => given.map(taken)

/** One call of a verb on an object, wherever it lives. Arguments that are promises or pipelined references are awaited first. */
export function invokeReference(session: Session, record: ReferenceRecord, verb: string, given: readonly unknown[]): Promise<unknown> {
  return invokeTaken(session, record, verb, takeArguments(given))
}

export async function invokeTaken(session: Session, record: ReferenceRecord, verb: string, given: readonly Given[]): Promise<unknown> {
  // A promise may have brought a cold object as well.
  const arrived = await Promise.all(given.map(async ({ value, drafts }) => drafts === undefined ? taken(await value) : { value, drafts }))
  const args = arrived.map(({ value }) => value)
  const assignments = assignmentsOf(session)
  for (const named of [record, ...args.flatMap((arg) => referenceRecord(arg) ?? [])]) {
    const earlier = assignments.before(named)
    if (earlier !== undefined) await earlier
  }
  const answer = await callHome(session, record, verb, args)
  const live = (Array.isArray(answer) ? answer : [answer]).flatMap((item) => referenceRecord(item) ?? [])
  for (const { drafts = [] } of arrived) for (const { held, sent } of drafts) for (const found of live) if (found.uuid === sent.uuid) held.becomeLive(found, sent, session)
  return answer
}

/** Records of a collection property. */
export async function readRelation(session: Session, record: ReferenceRecord, property: string): Promise<readonly ReferenceRecord[]> {
  const answer = await invokeReference(session, record, property, [])
  return (Array.isArray(answer) ? answer : [answer]).flatMap((item) => referenceRecord(item) ?? [])
}

/** The single object behind a property such as pm.vmm. */
export async function readOne(session: Session, record: ReferenceRecord, property: string): Promise<ReferenceRecord> {
  const [one] = await readRelation(session, record, property)
  if (one === undefined) throw RMO.GONE({ kind: property, name: `of ${record.name}`, reason: 'its owner has none' })
  return one
}

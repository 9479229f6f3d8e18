// What a node can do with objects, its own and others': the table that rmo hands to functions/, and what
// the rpc service serves.
//
//   sandbox, shell --invoke--> [this node] gate, arguments, verb            when the object lives here
//                              `-- rmo.invoke --> [its home] gate, ...      else; a home never forwards again
//
// The gate and the argument check stand at the home, whoever asks. A home that knows where an object went
// answers RMO_ERR_MOVED; the first node follows, at most LIMITS.movedFollowsMax times.

import { LIMITS, errorCode, fromErrorRecord, isNodeId, toErrorRecord, uuidOfNode } from '../fabric/base.ts'
import type { Clock, NodeId, Random } from '../fabric/base.ts'
import type { ClientStream, Member } from '../fabric/mod.ts'
import type { Authority, Capabilities, ReferenceRecord } from '../functions/mod.ts'
import { isAdministrator } from './acl/principal.ts'
import { checkArguments, operationOf } from './check.ts'
import { byNameThenUuid, createDirectory } from './directory.ts'
import type { Directory, Target } from './directory.ts'
import { RMO } from './errors.ts'
import { ACL_VERBS, shortId } from './gate.ts'
import type { AclVerb, Gate } from './gate.ts'
import type { Kind } from './kind.ts'
import { rmoKinds } from './kinds/index.ts'
import type { Ledger } from './ledger.ts'
import { readListingStream } from './listing.ts'
import { METHODS } from './messages.ts'
import type { ListFailure, Listing, ValueCodec } from './messages.ts'
import type { LocalObject, LocalObjects } from './object.ts'
import { createOperations } from './operations.ts'
import type { KindRegistry } from './registry.ts'
import { referenceRecord } from './schema.ts'
import { createVerbRunner } from './run-verb.ts'
import { furtherQuestions } from './further-rights.ts'

/** One call to another member; its errors arrive as CodedErrors. */
export type CallPeer = (node: NodeId, method: string, body: unknown, authority: Authority) => Promise<unknown>
/** One stream to another member. */
export type OpenPeer = (node: NodeId, method: string, body: unknown, authority: Authority) => ClientStream | Promise<ClientStream>

export interface CapabilitiesOptions {
  readonly self: NodeId
  readonly members: () => readonly Member[]
  readonly callPeer: CallPeer
  readonly openPeer: OpenPeer
  readonly objects: LocalObjects
  readonly gate: Gate
  readonly codec: ValueCodec
  readonly ledger: Ledger
  readonly clock: Clock
  readonly random: Random
  /** Why a principal may not see objects of a kind (function-policy.ts); left out: everyone may. */
  readonly unreadable?: (kind: string, principal: string) => Error | undefined | Promise<Error | undefined>
  /** Default: rmo's own. */
  readonly kinds?: KindRegistry
}

export interface FoundObject { readonly kind: Kind; readonly object: LocalObject; readonly name: string }

export interface ListOptions {
  readonly withAttributes: boolean
  /** Also what several machines have: storage that they share, an image there, a VM that stands on two. Default: listed once. */
  readonly everyHome?: boolean
}

export interface NodeCapabilities extends Capabilities {
  readonly self: NodeId
  readonly kinds: KindRegistry
  readonly directory: Directory
  /** As invoke(), on value-codec bytes; this node decodes nothing when it only forwards. */
  invokeEncoded(target: Target, verb: string, args: Uint8Array, authority: Authority): Promise<Uint8Array>
  /** As invokeEncoded(), for an object of this node only: what another node's rmo.invoke reaches. */
  invokeHere(target: Target, verb: string, args: Uint8Array, authority: Authority): Promise<Uint8Array>
  /** All objects of a kind, with attributes asked of each home when wanted; homes that failed are named. */
  list(kind: string, options: ListOptions, authority: Authority): Promise<Listing>
  /** This node's own objects of a kind, all of them: for the node itself. */
  listHere(kind: string): readonly ReferenceRecord[]
  /** Those that the caller may read. */
  shownHere(kind: string, authority: Authority): Promise<readonly ReferenceRecord[]>
  /** An object of this node; throws RMO_ERR_MOVED, RMO_ERR_GONE (it was here) or RMO_ERR_OBJECT_UNKNOWN (it was not, as far as this node remembers). */
  find(target: Target): FoundObject
  /** As find(), but undefined when it is not here. */
  objectHere(target: Target): LocalObject | undefined
  /** Asks the gate for one verb of an object. */
  pass(found: FoundObject, verb: string, acl: AclVerb, authority: Authority): Promise<void>
  /** As pass(), of an object that may be elsewhere, by what this node knows of its rules: for verbs that take other objects into what they are of. */
  passOn(of: Pick<ReferenceRecord, 'kind' | 'uuid' | 'name'>, verb: string, acl: AclVerb, authority: Authority): Promise<void>
  /** Whether what pass() let in would be let in now; undefined: it would. Not logged. */
  denial(found: FoundObject, verb: string, acl: AclVerb, authority: Authority): Promise<Error | undefined>
}

/** What membership alone knows of a machine. */
const memberRecord = (kind: string, { id, name, state, addresses, version }: Member): ReferenceRecord => {
  const uuid = uuidOfNode(id)
  return { kind, uuid, home: id, name, attributes: { name, uuid, state, address: addresses[0] ?? '', version } }
}

/** A member that does not answer must not keep the others' answers from the caller: they leave this long before its deadline. */
const ANSWER_RESERVE_MS = 250

/** The same authority with less time: one slow node shall not use up the whole call. */
function narrowed(authority: Authority, timeoutMs: number, clock: Clock): Authority {
  const { principal, trace, hop, signal } = authority
  const endsAtMs = clock.nowMs() + timeoutMs
  return { principal, trace, hop, signal, remainingMs: () => Math.min(authority.remainingMs(), endsAtMs - clock.nowMs()) }
}

/** A node speaks for the objects that live on it, and for no others. */
const mayClaim = (kind: Kind, { id }: Member, record: ReferenceRecord): boolean =>
  record.kind === kind.kind && record.home === id && (kind.residence === 'hosted' || (kind.residence === 'member' && record.uuid === uuidOfNode(id)))

/** Runs `work` on each item, at most `limit` at once. */
async function eachBounded<T>(items: readonly T[], limit: number, work: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values()
  const lane = async (): Promise<void> => { for (const item of waiting) await work(item) }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane))
}

export function createCapabilities(options: CapabilitiesOptions): NodeCapabilities {
  const { self, members, callPeer, openPeer, objects, gate, codec, ledger, clock, random } = options
  const kinds = options.kinds ?? rmoKinds
  const unreadable = options.unreadable ?? (() => undefined)
  const { kindOf, shapes } = kinds
  const directory = createDirectory({ self, members })
  const selfName = (): string => members().find((member) => member.id === self)?.name ?? self.slice(0, 8)

  // The same record while the object observes the same: whoever encodes it need not do it again.
  const records = new WeakMap<object, ReferenceRecord>()
  const recordOf = (kind: Kind, { uuid, local }: LocalObject): ReferenceRecord => {
    const attributes = kind.observe(local)
    const present = records.get(attributes)
    if (present?.uuid === uuid) return present
    const record = { kind: kind.kind, uuid, home: self, name: String(attributes.name), attributes }
    records.set(attributes, record)
    return record
  }
  const find = (target: Target): FoundObject => {
    const kind = kindOf(target.kind)
    const object = objects.get(target.kind, target.uuid)
    if (object !== undefined) return { kind, object, name: String(kind.observe(object.local).name) }
    const home = objects.movedTo(target.kind, target.uuid)
    if (home !== undefined) throw RMO.MOVED({ kind: target.kind, uuid: target.uuid, home })
    const tombstone = objects.tombstone(target.kind, target.uuid)
    if (tombstone !== undefined) throw RMO.GONE({ kind: target.kind, ...tombstone })
    throw RMO.OBJECT_UNKNOWN({ kind: target.kind, uuid: target.uuid, node: selfName() })
  }
  const operations = createOperations({ clock, random })
  const pass: NodeCapabilities['pass'] = ({ kind, object, name }, verb, acl, { principal, trace }) =>
    gate.pass({ principal, trace, node: self, kind: kind.kind, uuid: object.uuid, name, verb, acl })
  const passOn: NodeCapabilities['passOn'] = ({ kind, uuid, name }, verb, acl, { principal, trace }) => gate.pass({ principal, trace, node: self, kind, uuid, name, verb, acl })
  const denial: NodeCapabilities['denial'] = async ({ kind, object, name }, verb, acl, { principal, trace }) => {
    const { allowed, reason } = await gate.judge({ principal, trace, node: self, kind: kind.kind, uuid: object.uuid, name, verb, acl })
    return allowed ? undefined : RMO.DENIED({ principal, kind: kind.kind, name, verb, acl, reason })
  }
  /** Of what is about to be shown, what the caller may read; at its home for certain, elsewhere by what this node knows of its rules. */
  const visible = async <R extends Pick<ReferenceRecord, 'kind' | 'uuid' | 'name'>>(records: readonly R[], { principal, trace }: Authority): Promise<readonly R[]> => {
    if (isAdministrator(principal)) return records
    const shown: R[] = []
    for (const record of records) {
      const { kind, uuid, name } = record
      const answer = gate.judge({ principal, trace, node: self, kind, uuid, name, verb: 'info', acl: 'read' })
      if ((answer instanceof Promise ? await answer : answer).allowed) shown.push(record)
    }
    return shown
  }

  const runVerb = createVerbRunner({
    pass, passOn, denial, operations, ledger, clock,
    further: ({ kind, object }, rights) => furtherQuestions({ kind: kind.kind, uuid: object.uuid }, rights, objects, (name, local) => String(kindOf(name).observe(local).name)),
  })
  const runHere = async (target: Target, verb: string, args: readonly unknown[], authority: Authority): Promise<unknown> => {
    const found = find(target)
    const answer = await runVerb(found, verb, args, authority)
    if (!Object.hasOwn(found.kind.collections, verb)) return answer
    const shown = new Set(await visible((answer as readonly unknown[]).map(referenceRecord).filter((record) => record !== undefined), authority))
    return (answer as readonly unknown[]).filter((value) => shown.has(referenceRecord(value) as ReferenceRecord))
  }
  const decodeArguments = (verb: string, bytes: Uint8Array): readonly unknown[] => {
    const args = codec.decode(bytes, 'args')
    if (!Array.isArray(args)) throw RMO.ARGUMENT_INVALID({ call: verb, path: 'the argument list', expected: 'an array', got: typeof args })
    return args
  }
  const invokeHere: NodeCapabilities['invokeHere'] = async (target, verb, args, authority) =>
    codec.encode(await runHere(target, verb, decodeArguments(verb, args), authority))

  /** A change has an id from the first node on: a repeated one is known, and audits of all hops name the same. */
  const named = (target: Target, verb: string, authority: Authority): Authority => {
    const acl = kindOf(target.kind).operations.get(verb)?.acl
    if (authority.operation !== undefined || acl === undefined || !ACL_VERBS[acl].privileged) return authority
    const { principal, trace, hop, signal, code } = authority
    return { principal, trace, hop, signal, operation: operations.mint(), ...(code === undefined ? {} : { code }), remainingMs: () => authority.remainingMs() }
  }
  const forward = async (home: NodeId, target: Target, verb: string, args: Uint8Array, authority: Authority): Promise<Uint8Array> => {
    const { kind, uuid } = target
    const answer = await callPeer(home, METHODS.invoke, { kind, uuid, home, verb, args, ...(authority.operation === undefined ? {} : { operation: authority.operation }), ...(authority.code === undefined ? {} : { code: authority.code }) }, authority)
    if (answer instanceof Uint8Array) return answer
    throw RMO.ARGUMENT_INVALID({ call: METHODS.invoke, path: 'the answer', expected: 'bytes', got: typeof answer })
  }
  /** Here or at the home, following an object that has moved. */
  const route = async <T>(target: Target, here: () => Promise<T>, there: (home: NodeId) => Promise<T>): Promise<T> => {
    const kind = kindOf(target.kind)
    for (let follows = 0; ; follows++) {
      // An object that is here is here, whatever the directory remembers (a fleet's machines are known to this node only).
      const home = objects.get(target.kind, target.uuid) !== undefined ? self : directory.locate(kind, target)
      try {
        return await (home === self ? here() : there(home))
      } catch (error) {
        const next = errorCode(error) === RMO.MOVED.code ? (error as { readonly details?: { readonly home?: unknown } }).details?.home : undefined
        if (!isNodeId(next) || follows >= LIMITS.movedFollowsMax) throw error
        directory.learn(target.kind, target.uuid, next)
      }
    }
  }

  const listHere: NodeCapabilities['listHere'] = (name) => {
    const kind = kindOf(name)
    return objects.list(name).map((object) => recordOf(kind, object)).sort(byNameThenUuid)
  }
  const shownHere: NodeCapabilities['shownHere'] = async (name, authority) => visible(listHere(name), authority)
  const list: NodeCapabilities['list'] = async (name, { withAttributes, everyHome = false }, authority) => {
    const kind = kindOf(name)
    const refused = await unreadable(name, authority.principal)
    if (refused !== undefined) throw refused
    const found = new Map<string, ReferenceRecord>()
    const failures: ListFailure[] = []
    const leftMs = authority.remainingMs()
    const perNode = narrowed(authority, Math.min(LIMITS.listTimeoutMs, leftMs - Math.min(ANSWER_RESERVE_MS, leftMs / 4)), clock)
    const live = directory.live()
    if (kind.residence === 'member') for (const record of await visible(live.map((member) => memberRecord(name, member)), authority)) found.set(record.uuid, record)
    /** The wait for a connection counts too; a stream knows the deadline only once it is open. */
    const listing = async (member: Member): Promise<readonly ReferenceRecord[]> => {
      const timeoutMs = Math.max(0, perNode.remainingMs())
      const late = Promise.withResolvers<never>()
      const timer = clock.after(timeoutMs, () => late.reject(RMO.LIST_INCOMPLETE({ kind: name, failed: [member.name], first: `no answer within ${Math.round(timeoutMs)} ms.` })))
      const opening = (async () => openPeer(member.id, METHODS.list, { kind: name, withAttributes }, perNode))()
      try {
        return await Promise.race([opening.then((stream) => readListingStream(stream, name, codec)).then(({ references }) => references), late.promise])
      } finally {
        timer.cancel()
        opening.then((stream) => stream.cancel(), () => {})
      }
    }
    const ask = async (member: { readonly id: NodeId; readonly name: string }, records: () => Promise<readonly ReferenceRecord[]>): Promise<void> => {
      try {
        const told = await records()
        // A listing that has no room for all of a home's objects has none of them, and says so.
        if (found.size + told.length > LIMITS.listedMax) throw RMO.LIST_TOO_LONG({ kind: name, limit: LIMITS.listedMax })
        for (const record of told) found.set(everyHome && kind.residence === 'hosted' ? `${record.uuid}@${record.home}` : record.uuid, record)
      } catch (error) {
        failures.push({ node: member.id, name: member.name, error: toErrorRecord(error, RMO.LIST_INCOMPLETE.code) })
      }
    }
    // Membership names the machines by itself, and this node has all of what is global; everything else is asked of its home.
    const asked = kind.residence === 'hosted' || (kind.residence === 'member' && withAttributes) ? live.filter((member) => member.id !== self) : []
    await eachBounded(asked, LIMITS.listFanOutMax, (member) => ask(member, async () => (await listing(member)).filter((record) => mayClaim(kind, member, record))))
    await ask({ id: self, name: selfName() }, () => shownHere(name, authority))
    return { references: [...found.values()].sort(byNameThenUuid), failures }
  }

  return {
    self, kinds, directory, shapes, find, pass, passOn, denial, listHere, shownHere, list, invokeHere,
    objectHere: (target) => objects.get(target.kind, target.uuid),
    async resolve(kind, authority, want = 'attributes') {
      // Machines are members: their names cost no call, and figures are asked of them where they are worked on.
      const withAttributes = want === 'attributes' && kindOf(kind).residence !== 'member'
      const { references, failures } = await list(kind, { withAttributes }, authority)
      const first = failures[0]
      if (first !== undefined) throw RMO.LIST_INCOMPLETE({ kind, failed: failures.map(({ name }) => name), first: first.error.message }, { cause: fromErrorRecord(first.error) })
      return references
    },
    settle: (references) => references.map((reference) => (kindOf(reference.kind).residence === 'global' && reference.home !== self ? { ...reference, home: self } : reference)),
    async refresh(references, authority) {
      const { principal } = authority
      const refusals = new Map<string, Error | undefined>()
      for (const { kind } of references) if (!refusals.has(kind)) refusals.set(kind, await unreadable(kindOf(kind).kind, principal))
      const readable = isAdministrator(principal) ? undefined : new Set(await visible(references, authority))
      return references.map((reference) => {
        try {
          const refused = refusals.get(reference.kind)
          if (refused !== undefined) throw refused
          const { kind, object } = find(reference)
          if (readable?.has(reference) === false) throw RMO.DENIED({ principal, kind: kind.kind, name: shortId(reference.uuid), verb: 'info', acl: 'read', reason: 'no rule and no role allows it, or one denies it ("kumoi acl why")' })
          return recordOf(kind, object)
        } catch (error) {
          return { error: toErrorRecord(error, RMO.OBJECT_UNKNOWN.code) }
        }
      })
    },
    invoke(target, verb, args, given) {
      const authority = named(target, verb, given)
      return route(target, () => runHere(target, verb, args, authority), async (home) => {
        // A mistake is told here already, before it travels; the home checks again.
        checkArguments(target.kind, verb, operationOf(kindOf(target.kind), verb), args)
        return codec.decode(await forward(home, target, verb, codec.encode(args), authority), 'value')
      })
    },
    invokeEncoded(target, verb, args, given) {
      const authority = named(target, verb, given)
      return route(target, () => invokeHere(target, verb, args, authority), (home) => forward(home, target, verb, args, authority))
    },
  }
}

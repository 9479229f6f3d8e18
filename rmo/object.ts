// What every resource-mapped object has (Table II of the paper), as users hold it and as its home holds it.
//
// ResourceObject is the user's side: attributes read synchronously, everything else asynchronous.
// LocalObjects is the home's side: the table of objects whose life this node manages.

import { LIMITS } from '../fabric/base.ts'
import type { NodeId } from '../fabric/base.ts'
import type { ObjectKey, RightPattern, RulePrincipal } from './acl/contract.ts'
import type { AclVerb } from './gate.ts'

/** An event of an object. `type` is one of the kind's events, or 'lost' (a slow watcher missed `count` of them). */
export interface ObjectEvent {
  readonly type: string
  /** Wall clock of the node that saw it. */
  readonly atMs: number
}
export interface LostEvent extends ObjectEvent { readonly type: 'lost'; readonly count: number }

/** Events as they come: iterate it, and leave the loop or call `unwatch()` to end it. Opens when first iterated. */
export interface Watch<E extends ObjectEvent> extends AsyncIterableIterator<E>, AsyncDisposable {
  unwatch(): void
}

/** An object as data: enough to name it again, and, for kinds that can be created, to make it again. */
export interface ObjectDump {
  readonly kind: string
  readonly uuid: string
  readonly name: string
  readonly attributes: Readonly<Record<string, unknown>>
  /** What can be set of it; a kind that can be created is made again from these. */
  readonly settings: Readonly<Record<string, unknown>>
  /** Of the settings; patch() refuses a change made from another one. */
  readonly version: string
}

/** What a change answers: the new version of the object's settings, and the id under which the change was done. */
export interface Changed { readonly version: string; readonly operation: string }

/** One access rule, of an object and what is below it. `principal`: "local:0", "user:alice", "group:ops" or "*"; `verbs`: "vm:start", "read". Deny wins. */
export interface AclRule { readonly effect: 'allow' | 'deny'; readonly principal: RulePrincipal; readonly verbs: readonly RightPattern[] }
/** What one principal used of an object since the node began to count. */
export interface AccountRecord {
  readonly principal: string
  readonly calls: number
  readonly failures: number
  /** Time spent in verbs of the object. */
  readonly busyMs: number
  readonly firstAtMs: number
  readonly lastAtMs: number
  /** Counters of the kind, such as vmSeconds, vcpuSeconds, memoryMiBSeconds. */
  readonly used: Readonly<Record<string, number>>
}
/** One change that was asked for, allowed or not, and what became of it. */
export interface AuditRecord {
  readonly operation: string
  readonly atMs: number
  readonly principal: string
  readonly trace: string
  readonly verb: string
  readonly acl: AclVerb
  readonly outcome: 'running' | 'done' | 'failed' | 'denied'
  /** Code and text of the failure or of the refusal. */
  readonly error?: string
  readonly tookMs?: number
}

/** The common members of every kind (the paper's Table II). */
export interface ResourceObject<Info = unknown, Stats = unknown, Event extends ObjectEvent = ObjectEvent, Options = object> {
  /** Name for people; not unique. */
  readonly name: string
  /** Identity for ever. */
  readonly uuid: string
  /** What it is: what changes seldom. */
  info(): Promise<Info>
  /** How it does: counters and gauges, read now. */
  stats(): Promise<Stats>
  /** Its events from now on. */
  watch(options?: Options): Watch<Event>
  /** Ends every watch that was opened through this reference; answers how many. */
  unwatch(): Promise<number>
  /** The object as data. */
  dump(): Promise<ObjectDump>
  /** Changes settings; with `version`, only if nobody else has since. */
  patch(change: Readonly<Record<string, unknown>>, options?: { readonly version?: string }): Promise<Changed>
  /** Who may do what with it; with `rules`, replaces them; with `was`, only while they are these (RMO_ERR_VERSION_CONFLICT). */
  acls(rules?: readonly AclRule[], options?: { readonly was?: readonly AclRule[] }): Promise<readonly AclRule[]>
  /** What was used of it, by whom. */
  account(): Promise<readonly AccountRecord[]>
  /** What was done to it, by whom, newest last. */
  audit(options?: { readonly recordsMax?: number }): Promise<readonly AuditRecord[]>
}

/** One object at home. `local` is what the kind's verbs work on; only the kind knows its type. `partOf`: whose rules hold for it, too. */
export interface LocalObject { readonly kind: string; readonly uuid: string; readonly local: unknown; readonly partOf?: () => ObjectKey }

/** What is left of an object that went away for good: for whoever still holds a reference. */
export interface Tombstone { readonly name: string; readonly reason: string }

/** The objects that live on this node. */
export interface LocalObjects {
  add(object: LocalObject): void
  /**
   * Forgets an object. A node id remembers where it went, so that a stale reference can follow; a tombstone (left out: its
   * uuid, "it was removed") what it was called and why it went. Both are bounded, the oldest go first; a restart forgets them.
   */
  remove(kind: string, uuid: string, left?: NodeId | Tombstone): void
  get(kind: string, uuid: string): LocalObject | undefined
  list(kind: string): readonly LocalObject[]
  movedTo(kind: string, uuid: string): NodeId | undefined
  /** Of an object that was here and was removed; never of one that was not, or has moved, or is here again. */
  tombstone(kind: string, uuid: string): Tombstone | undefined
  /** Told synchronously, after the table has changed; an object that takes another's place is an 'added' one. */
  onChange(listener: (change: 'added' | 'removed', object: LocalObject) => void): () => void
}

export function createLocalObjects({ forwardsMax, tombstonesMax = LIMITS.objectTombstonesMax }: { readonly forwardsMax: number; readonly tombstonesMax?: number }): LocalObjects {
  const kinds = new Map<string, Map<string, LocalObject>>()
  const forwards = new Map<string, NodeId>()
  const tombstones = new Map<string, Tombstone>()
  const listeners = new Set<Parameters<LocalObjects['onChange']>[0]>()
  const key = (kind: string, uuid: string): string => `${kind}/${uuid}`
  /** As the newest; the oldest goes. */
  const keep = <T>(map: Map<string, T>, at: string, value: T, max: number): void => {
    map.delete(at)
    map.set(at, value)
    const oldest = map.keys().next().value
    if (map.size > max && oldest !== undefined) map.delete(oldest)
  }
  return {
    add(object) {
      const ofKind = kinds.get(object.kind) ?? new Map<string, LocalObject>()
      ofKind.set(object.uuid, object)
      kinds.set(object.kind, ofKind)
      forwards.delete(key(object.kind, object.uuid))
      tombstones.delete(key(object.kind, object.uuid))
      for (const listener of [...listeners]) listener('added', object)
    },
    remove(kind, uuid, left) {
      const object = kinds.get(kind)?.get(uuid)
      const wasHere = kinds.get(kind)?.delete(uuid) === true
      if (typeof left === 'string') keep(forwards, key(kind, uuid), left, forwardsMax)
      else if (wasHere) keep(tombstones, key(kind, uuid), left ?? { name: uuid, reason: 'it was removed' }, tombstonesMax)
      if (object !== undefined) for (const listener of [...listeners]) listener('removed', object)
    },
    get: (kind, uuid) => kinds.get(kind)?.get(uuid),
    list: (kind) => [...kinds.get(kind)?.values() ?? []],
    movedTo: (kind, uuid) => forwards.get(key(kind, uuid)),
    tombstone: (kind, uuid) => tombstones.get(key(kind, uuid)),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

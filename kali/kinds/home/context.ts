// What the cloud's objects of one node stand on, and what they share: cached attributes, events, references to machines and VMs.

import { LIMITS } from '../../../fabric/base.ts'
import type { Clock, NodeId, Random } from '../../../fabric/base.ts'
import type { Authority, ReferenceRecord } from '../../../functions/mod.ts'
import type { LocalObjects, ObjectEvent } from '../../../rmo/mod.ts'
import type { IntentRecord, MachineRecord } from '../../cloud/contract.ts'
import type { CloudBook, CloudService } from '../../cloud/parts.ts'

export interface CloudHome {
  readonly self: NodeId
  readonly service: CloudService
  readonly book: Pick<CloudBook, 'memory' | 'booked'>
  readonly objects: Pick<LocalObjects, 'add' | 'remove' | 'get' | 'list'>
  /** All objects of a kind with attributes, as NodeCapabilities.list; machines that do not answer are left out. */
  readonly list: (kind: string, authority: Authority) => Promise<readonly ReferenceRecord[]>
  /** Rejects unless the caller may administer that machine or VM: a pool's rules hold for what is added to it. */
  readonly administers: (what: ReferenceRecord, authority: Authority) => Promise<void>
  /** Rejects unless the caller may run programs on that machine, and so may name its files. */
  readonly executes: (machine: ReferenceRecord, authority: Authority) => Promise<void>
  readonly clock: Clock
  readonly random: Random
  /** A listener of an event threw. */
  readonly onError: (error: unknown) => void
}

// ---------------------------------------------------------------- attributes

/** The same frozen object until something of it differs; computed at most once a revision of the view. */
export function cachedBy<A extends object>(revision: () => number, compute: () => A): () => A {
  let at: number | undefined
  let text: string | undefined
  let present: A | undefined
  return () => {
    const now = revision()
    if (present !== undefined && at === now) return present
    at = now
    const next = compute(), nextText = JSON.stringify(next)
    if (present === undefined || nextText !== text) present = Object.freeze(next)
    text = nextText
    return present
  }
}

// ---------------------------------------------------------------- events

export interface EventSource {
  emit(event: ObjectEvent & Readonly<Record<string, unknown>>): void
  on(listener: (event: ObjectEvent) => void): () => void
}
export function createEvents(onError: (error: unknown) => void): EventSource {
  const listeners = new Set<(event: ObjectEvent) => void>()
  return {
    emit(event) {
      for (const listener of [...listeners]) {
        try { listener(event) } catch (error) { onError(error) }
      }
    },
    on(listener) {
      // A wrapper, so that one listener given twice is two subscriptions.
      const own = (event: ObjectEvent): void => listener(event)
      listeners.add(own)
      return () => { listeners.delete(own) }
    },
  }
}

// ---------------------------------------------------------------- references

export const bareRecord = (kind: string, uuid: string, home: NodeId, name: string, attributes: Readonly<Record<string, unknown>> = {}): ReferenceRecord => ({ kind, uuid, home, name, attributes: { name, uuid, ...attributes } })

/** Machines with the figures of those that answer; the others are members all the same, without figures. */
export async function machineRecords({ list }: CloudHome, machines: readonly MachineRecord[], authority: Authority): Promise<readonly ReferenceRecord[]> {
  if (machines.length === 0) return []
  const found = new Map((await list('PhysicalMachine', authority)).map((record) => [record.uuid, record]))
  return machines.map(({ uuid, node, name }) => found.get(uuid) ?? bareRecord('PhysicalMachine', uuid, node, name))
}

/** A VM as its intent knows it: where it ought to be, made from what. */
export function vmRecord(self: NodeId, { uuid, name, machine, settings: { context: _, ...settings } }: IntentRecord): ReferenceRecord {
  return bareRecord('VM', uuid, machine?.node ?? self, name, { ...settings, host: machine?.name ?? '' })
}
/** VMs with the figures of those that are found. */
export async function vmRecords({ list, self }: CloudHome, intents: readonly IntentRecord[], authority: Authority): Promise<readonly ReferenceRecord[]> {
  if (intents.length === 0) return []
  const found = new Map((await list('VM', authority)).map((record) => [record.uuid, record]))
  return intents.map((intent) => found.get(intent.uuid) ?? vmRecord(self, intent))
}

/** Runs `work` on each, at most LIMITS.poolAddsAtOnce together; answers in order, and rejects with the first failure once those under way have ended. */
export async function eachAtOnce<T, U>(items: readonly T[], work: (item: T) => Promise<U>): Promise<readonly U[]> {
  const answers: U[] = []
  const failures: unknown[] = []
  const waiting = items.entries()
  const lane = async (): Promise<void> => {
    for (const [i, item] of waiting) {
      if (failures.length > 0) return
      try { answers[i] = await work(item) } catch (error) { failures.push(error) }
    }
  }
  await Promise.all(Array.from({ length: Math.min(items.length, LIMITS.poolAddsAtOnce) }, lane))
  if (failures.length > 0) throw failures[0]
  return answers
}

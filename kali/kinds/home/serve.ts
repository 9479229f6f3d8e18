// Keeps the cloud's objects of one node equal to its view, and tells their watchers what changed.
//
//   view.onChange(key) --> one object comes, changes or goes --> LocalObjects, events
//
// Nothing is kept here that the view does not have but what was told last, so that a level is told once.

import type { ObjectEvent, ObjectKey } from '../../../rmo/mod.ts'
import type { CloudChange, IntentRecord, MachineRecord } from '../../cloud/contract.ts'
import { GLOBAL_UUID } from '../global.ts'
import { protectionUuidOf } from '../high-availability-settings.ts'
import type { LiveProtectionState } from '../high-availability.ts'
import { createEvents } from './context.ts'
import type { CloudHome, EventSource } from './context.ts'
import { createElasticity } from './elasticity.ts'
import { createGlobal } from './global.ts'
import { createHighAvailability, protectionState } from './high-availability.ts'
import { createPool } from './pool.ts'

type Told = ObjectEvent & Readonly<Record<string, unknown>>
interface Kept { readonly kind: string; readonly uuid: string; name: string; readonly events: EventSource }
/** An intent as its watchers know it. */
interface SeenVm { readonly intent: IntentRecord; readonly ready: boolean; readonly state: LiveProtectionState | undefined }

export function serveCloudKinds(home: CloudHome): { stop(): void } {
  const { service, objects, clock } = home
  const { view } = service
  const kept = new Map<string, Kept>()
  const vms = new Map<string, SeenVm>()
  const machines = new Map<string, MachineRecord>()
  let mode = view.mode()

  const atMs = (): number => Math.round(clock.wallMs())
  const tell = (kind: string, uuid: string, event: Omit<Told, 'atMs'>): void => { kept.get(`${kind}/${uuid}`)?.events.emit({ atMs: atMs(), ...event } as Told) }
  /** True when it is new. */
  const keep = <L extends object>(kind: string, uuid: string, name: string, make: (events: EventSource) => L, partOf?: () => ObjectKey): boolean => {
    const key = `${kind}/${uuid}`
    const present = kept.get(key)
    if (present !== undefined) { present.name = name; return false }
    const events = createEvents(home.onError)
    objects.add({ kind, uuid, local: make(events), ...(partOf === undefined ? {} : { partOf }) })
    kept.set(key, { kind, uuid, name, events })
    return true
  }
  /** Its name, when it was there. */
  const drop = (kind: string, uuid: string, reason: string): string | undefined => {
    const key = `${kind}/${uuid}`
    const present = kept.get(key)
    if (present === undefined) return undefined
    tell(kind, uuid, { type: 'gone', reason })
    kept.delete(key)
    objects.remove(kind, uuid, { name: present.name, reason })
    return present.name
  }

  const look: Readonly<Partial<Record<CloudChange['type'], (id: string) => void>>> = {
    pool(id) {
      const pool = view.pool(id)
      if (pool === undefined) {
        const name = drop('Pool', id, 'it was removed')
        if (name !== undefined) tell('Global', GLOBAL_UUID, { type: 'poolRemoved', pool: id, name })
      } else if (keep('Pool', id, pool.name, (events) => createPool(home, id, events))) tell('Global', GLOBAL_UUID, { type: 'poolAdded', pool: id, name: pool.name })
      else tell('Pool', id, { type: 'changed', name: pool.name })
    },
    group(id) {
      const group = view.group(id)
      if (group === undefined) drop('Elasticity', id, 'it was removed')
      else if (!keep('Elasticity', id, group.name, (events) => createElasticity(home, id, events), () => ({ kind: 'Pool', uuid: view.group(id)?.pool ?? group.pool }))) tell('Elasticity', id, { type: 'changed', name: group.name })
    },
    machine(id) {
      const before = machines.get(id), now = view.machine(id)
      if (now === undefined) machines.delete(id)
      else machines.set(id, now)
      if (before !== undefined && before.pool !== now?.pool) tell('Pool', before.pool, { type: 'machineRemoved', machine: id, name: before.name })
      if (now !== undefined && before?.pool !== now.pool) tell('Pool', now.pool, { type: 'machineAdded', machine: id, name: now.name })
      if (now !== undefined && before?.pool === now.pool && before.mode !== now.mode) tell('Pool', now.pool, { type: 'machineMode', machine: id, name: now.name, mode: now.mode })
    },
    vm,
    status: vm,
    lease(node) { for (const { uuid } of view.intents({ node })) vm(uuid) },
    mode() {
      const now = view.mode()
      if (now.mode === mode.mode && now.reason === mode.reason) return
      mode = now
      tell('Global', GLOBAL_UUID, { type: 'mode', mode: now.mode, by: now.by, reason: now.reason })
    },
  }
  function vm(id: string): void {
    const before = vms.get(id), intent = view.intent(id)
    const status = view.status(id)
    const now: SeenVm | undefined = intent === undefined ? undefined
      : { intent, ready: status?.epoch === intent.epoch && status.phase === 'ready', state: intent.protection === undefined ? undefined : protectionState(view, intent) }
    if (now === undefined) vms.delete(id)
    else vms.set(id, now)
    tellPool(id, before?.intent, now?.intent)
    tellGroup(id, before, now)
    const name = (now ?? before)?.intent.name ?? id
    const ha = protectionUuidOf(id)
    if (now?.state === undefined) drop('HighAvailability', ha, 'the protection ended')
    else if (!keep('HighAvailability', ha, name, (events) => createHighAvailability(home, id, events), () => ({ kind: 'VM', uuid: id })) && before?.state !== undefined && before.state !== now.state) {
      tell('HighAvailability', ha, { type: 'state', state: now.state, before: before.state, host: now.intent.machine?.name ?? '', reason: now.intent.reason })
    } else if (before?.intent.protection !== undefined && JSON.stringify(before.intent.protection) !== JSON.stringify(now.intent.protection)) tell('HighAvailability', ha, { type: 'changed', name })
  }
  function tellPool(id: string, before: IntentRecord | undefined, now: IntentRecord | undefined): void {
    if (before !== undefined && before.pool !== now?.pool) tell('Pool', before.pool, { type: 'vmRemoved', vm: id, name: before.name })
    if (now === undefined) return
    const { pool, name, machine, epoch, reason } = now
    if (before?.pool !== pool) tell('Pool', pool, { type: 'vmAdded', vm: id, name })
    if (machine !== undefined && (before?.machine?.uuid !== machine.uuid || before.epoch !== epoch)) tell('Pool', pool, { type: 'vmPlaced', vm: id, name, machine: machine.name, epoch, reason })
    if (before?.decision !== now.decision) tell('Pool', pool, { type: 'decided', id: now.decision, vm: id, name, by: now.decidedBy, reason })
  }
  function tellGroup(id: string, before: SeenVm | undefined, now: SeenVm | undefined): void {
    const was = before?.intent.group, is = now?.intent.group
    const member = { vm: id, name: (now ?? before)?.intent.name ?? id }
    if (was !== undefined && was !== is) tell('Elasticity', was, { type: 'memberRemoved', ...member })
    if (is !== undefined && was !== is) tell('Elasticity', is, { type: 'memberAdded', ...member })
    if (is !== undefined && now?.ready === true && before?.ready !== true) tell('Elasticity', is, { type: 'memberReady', ...member })
  }

  keep('Global', GLOBAL_UUID, 'global', (events) => createGlobal(home, events))
  const stopWatching = view.onChange(({ type, key }) => look[type]?.(key))
  for (const { uuid } of view.pools()) look.pool?.(uuid)
  for (const { uuid } of view.machines()) look.machine?.(uuid)
  for (const { uuid } of view.groups()) look.group?.(uuid)
  for (const { uuid } of view.intents()) vm(uuid)
  return {
    stop() {
      stopWatching()
      for (const { kind, uuid, name } of [...kept.values()]) objects.remove(kind, uuid, { name, reason: 'the node stops' })
      kept.clear()
    },
  }
}

// The protection of one VM, as each node offers it: a view of the VM's intent.

import type { ReferenceRecord } from '../../../functions/mod.ts'
import { RMO } from '../../../rmo/base.ts'
import type { CloudView, IntentRecord, Protection, Stored } from '../../cloud/contract.ts'
import type { LiveProtectionState, LocalHighAvailability } from '../high-availability.ts'
import { protectionUuidOf } from '../high-availability-settings.ts'
import { cachedBy, vmRecords } from './context.ts'
import type { CloudHome, EventSource } from './context.ts'

type Protected = Stored<IntentRecord> & { readonly protection: NonNullable<IntentRecord['protection']> }

export function protectionState(view: Pick<CloudView, 'status' | 'lease'>, intent: IntentRecord): LiveProtectionState {
  const { uuid, desired, error, machine, epoch, protection } = intent
  if (desired !== 'running') return 'off'
  if (error !== undefined) return 'error'
  if (machine === undefined) return 'waiting'
  const status = view.status(uuid)
  const runs = status?.epoch === epoch && (status.phase === 'running' || status.phase === 'ready' || status.phase === 'migrating')
  // A host without its lease is being waited out, whatever it said last.
  if (!runs || (protection?.armed === true && view.lease(machine.node) === undefined)) return 'restarting'
  return protection?.armed === true ? 'protected' : 'arming'
}

export function createHighAvailability(home: CloudHome, vm: string, events: EventSource): LocalHighAvailability {
  const { service, clock } = home
  const { view } = service
  const uuid = protectionUuidOf(vm)
  const found = (): Protected | undefined => { const intent = view.intent(vm); return intent?.protection === undefined ? undefined : intent as Protected }
  let last = found()
  const present = (): Protected => {
    last = found() ?? last
    if (last === undefined) throw RMO.GONE({ kind: 'HighAvailability', name: vm, reason: 'the protection ended' })
    return last
  }
  const settingsOf = ({ armed: _, ...settings }: Protected['protection']): Protection => settings
  return {
    uuid,
    attributes: cachedBy(() => view.revision, () => {
      const intent = present()
      const { name, pool, machine, protection, tries, error = '' } = intent
      return {
        ...settingsOf(protection), name, uuid, pool: view.pool(pool)?.name ?? pool, host: machine?.name ?? '', restartsUsed: tries.restarts, relocationsUsed: tries.relocations, error,
        state: protectionState(view, intent),
      }
    }),
    settings: () => settingsOf(present().protection),
    async apply(change, authority) {
      const intent = present()
      const record: ReferenceRecord = { kind: 'VM', uuid: vm, home: intent.machine?.node ?? home.self, name: intent.name, attributes: {} }
      await service.protect(intent.pool, record, { ...settingsOf(intent.protection), ...change }, authority)
    },
    info() {
      const { name, pool, protection, epoch, reason, decidedBy, decidedAtMs } = present()
      return { name, uuid, pool, vm, protection, epoch, reason, decidedBy, decidedAtMs }
    },
    stats() {
      const { tries, machine } = present()
      return { atMs: Math.round(clock.wallMs()), restarts: tries.restarts, relocations: tries.relocations, sinceMs: tries.sinceMs, lease: machine !== undefined && view.lease(machine.node) !== undefined ? 'held' : 'gone' }
    },
    onEvent: (listener) => events.on(listener),
    async vm(authority) {
      const [record] = await vmRecords(home, [present()], authority)
      if (record === undefined) throw RMO.GONE({ kind: 'VM', name: vm, reason: 'it was removed' })
      return record
    },
    async remove(authority) { if (found() !== undefined) await service.unprotect(vm, authority) },
  }
}

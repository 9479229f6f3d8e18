// One elastic group, as each node offers it.

import { RMO } from '../../../rmo/base.ts'
import type { GroupRecord, IntentRecord, Stored } from '../../cloud/contract.ts'
import type { CloudView } from '../../cloud/contract.ts'
import type { LocalElasticity } from '../elasticity.ts'
import { changeOfGroup, settingsOfGroup } from '../elasticity-settings.ts'
import { cachedBy, vmRecords } from './context.ts'
import type { CloudHome, EventSource } from './context.ts'

const isReady = (view: CloudView, { uuid, epoch }: IntentRecord): boolean => { const status = view.status(uuid); return status?.epoch === epoch && status.phase === 'ready' }

export function createElasticity(home: CloudHome, uuid: string, events: EventSource): LocalElasticity {
  const { service, clock } = home
  const { view } = service
  let last = view.group(uuid)
  const present = (): Stored<GroupRecord> => {
    const found = view.group(uuid)
    if (found !== undefined) last = found
    if (last === undefined) throw RMO.GONE({ kind: 'Elasticity', name: uuid, reason: 'it was removed' })
    return last
  }
  const members = (): readonly Stored<IntentRecord>[] => view.intents({ group: uuid })
  const inFlight = (): number => members().filter((intent) => intent.desired === 'running' && !isReady(view, intent)).length
  return {
    uuid,
    attributes: cachedBy(() => view.revision, () => {
      const { name, pool, paused, spec } = present()
      return {
        ...settingsOfGroup(spec), name, uuid, pool: view.pool(pool)?.name ?? pool, membersCount: members().filter(({ desired }) => desired !== 'absent').length, inFlightCount: inFlight(),
        state: paused ? 'paused' as const : view.mode().mode === 'armed' ? 'active' as const : 'suspended' as const,
      }
    }),
    settings: () => settingsOfGroup(present().spec),
    async apply(change, authority) { await service.changeGroup(uuid, { spec: changeOfGroup(change) }, authority) },
    info() {
      const { name, pool, spec, original, account, createdAtMs } = present()
      return { name, uuid, pool, spec, account, createdAtMs, ...(original === undefined ? {} : { original }) }
    },
    stats() {
      const all = members()
      return { atMs: Math.round(clock.wallMs()), members: all.length, ready: all.filter((intent) => isReady(view, intent)).length, inFlight: inFlight(), failed: all.filter(({ error }) => error !== undefined).length }
    },
    onEvent: (listener) => events.on(listener),
    members: (authority) => vmRecords(home, members(), authority),
    async pause(wish, authority) { await service.changeGroup(uuid, { paused: wish === 'pause' }, authority) },
    async remove(options, authority) { if (view.group(uuid) !== undefined) await service.removeGroup(uuid, options, authority) },
  }
}

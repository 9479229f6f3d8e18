// The destination of migrations: may it come, has it come, it does not come. Written down before anything is reserved, so
// that a restart gives back what was reserved for a VM that never came.

import type { Clock, NodeId } from '../../../fabric/base.ts'
import { LIMITS } from '../../../fabric/base.ts'
import type { Authority } from '../../../functions/mod.ts'
import type { Call, MigrationTicket } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import { isActive } from '../../vm-state.ts'
import type { MigrationMessage } from './migration-messages.ts'
import { readMetadata } from './migration-messages.ts'
import { hasEnded, inPhase } from './migration-note.ts'
import type { MigrationNote, MigrationNotes } from './migration-note.ts'
import { reread } from '../vm/snapshots.ts'
import { setGoing } from '../vm/set-going.ts'
import { assertNameFree } from '../vm/vm-add.ts'
import type { VmContext } from '../vm/vm-context.ts'

export interface Incoming {
  accept(message: MigrationMessage, source: { readonly node: NodeId; readonly name: string }, authority: Authority): Promise<MigrationTicket>
  /** `source`: the node that says so; another one than was let in knows nothing of it. */
  complete(message: MigrationMessage, source: NodeId, authority: Authority): Promise<string>
  refuse(uuid: string, id: string, source: NodeId, why: string): Promise<void>
  /** A VM of that uuid, or of that name, is on its way here. */
  expectsUuid(uuid: string): boolean
  expectsName(name: string, uuid: string): boolean
}

interface Expected { readonly id: string; readonly name: string; readonly release: () => void }

export function createIncoming({ context, notes, clock }: { readonly context: VmContext; readonly notes: MigrationNotes; readonly clock: Clock }): Incoming {
  const { host } = context
  const expected = new Map<string, Expected>()
  // What was on its way when the node stopped is on its way still, until its source says otherwise.
  for (const { role, uuid, id, name } of notes.open()) if (role === 'incoming') expected.set(uuid, { id, name, release: () => {} })
  const letGo = (uuid: string): void => { expected.get(uuid)?.release(); expected.delete(uuid) }

  // Hosts of one node share its ledger.
  const takeRules = async (message: MigrationMessage, source: NodeId): Promise<void> => { if (source !== host.self) await context.rules.take(message.uuid, message.rules ?? []) }
  const dropRules = async (uuid: string, source: NodeId): Promise<void> => { if (source !== host.self) await context.rules.forget(uuid) }

  const reserve = async (message: MigrationMessage, source: { readonly node: NodeId; readonly name: string }, principal: string, call: Call): Promise<MigrationTicket> => {
    const { id, uuid, settings, state = 'running' } = message
    if (settings === undefined) throw RMO.ARGUMENT_INVALID({ call: 'rmo.migration', path: 'message.settings', expected: 'the settings of a VM', got: 'undefined' })
    const { name } = settings
    if (await host.driver.domains.get(uuid, call) !== undefined) throw RMO.ALREADY_EXISTS({ what: `VM ${name} (${uuid})`, host: host.hostName() })
    await assertNameFree(context, name, uuid)
    const macs = settings.devices.flatMap((device) => device.type === 'interface' && device.mac !== undefined ? [device.mac] : [])
    const taken = context.room.macsTaken()
    const mac = macs.find((each) => taken.has(each))
    if (mac !== undefined) throw RMO.ALREADY_EXISTS({ what: `The MAC address ${mac} of ${name}`, host: host.hostName() })
    await context.parts().disks?.assertWhole?.(settings, call)
    const atMs = Math.round(clock.wallMs())
    const note: MigrationNote = {
      role: 'incoming', id, uuid, name, from: message.from ?? source.name, to: host.hostName(), peer: source.node, machine: message.speaker, principal, state,
      phase: 'preparing', phases: [{ phase: 'preparing', atMs }],
    }
    await notes.save(note)
    expected.set(uuid, { id, name, release: context.room.reserveMacs(macs) })
    try {
      await takeRules(message, source.node)
      const metadata = readMetadata(message.metadata ?? {})
      return await setGoing(context, { uuid, name, metadata, arrives: 'by-migration' }, () => host.driver.domains.acceptIncoming(uuid, settings, metadata, call))
    } catch (error) {
      letGo(uuid)
      await dropRules(uuid, source.node)
      await notes.drop(uuid)
      throw error
    }
  }

  return {
    expectsUuid: (uuid) => expected.has(uuid),
    expectsName: (name, uuid) => [...expected].some(([other, each]) => each.name === name && other !== uuid),
    async accept(message, source, authority) {
      if (expected.size >= LIMITS.migrationsMax) throw RMO.BUSY({ what: 'incoming migrations', machine: host.hostName(), limit: LIMITS.migrationsMax })
      const name = message.settings?.name ?? ''
      return host.exclusive(`name/${name}`, () => host.exclusive(`VM/${message.uuid}`, () => reserve(message, source, authority.principal, host.call(authority))))
    },
    complete: (message, source, authority) => host.exclusive(`VM/${message.uuid}`, async () => {
      const { id, uuid, handover } = message
      const known = notes.get(uuid)
      if (known?.role === 'incoming' && !hasEnded(known) && (known.id !== id || known.peer !== source)) throw RMO.OBJECT_UNKNOWN({ kind: 'VM', uuid, node: host.hostName() })
      const call = host.call(authority)
      const { domains } = host.driver
      // Told twice is told once: it may have come while the answer was lost.
      const present = await domains.get(uuid, call)
      if (known?.role === 'incoming' && known.id === id && !hasEnded(known)) await takeRules(message, source)
      if (expected.get(uuid)?.id === id && (handover !== undefined || present === undefined)) {
        // Where the hypervisors do it between them it goes on already; where it does not, it begins to run here and now.
        const { completeIncoming } = domains
        if (completeIncoming !== undefined) await setGoing(context, { uuid, name: known?.name ?? uuid, metadata: readMetadata(message.metadata ?? {}), arrives: 'by-migration' }, () => completeIncoming(uuid, handover, call))
      }
      const record = await domains.get(uuid, call)
      if (record === undefined) throw RMO.OBJECT_UNKNOWN({ kind: 'VM', uuid, node: host.hostName() })
      letGo(uuid)
      const note = notes.get(uuid)
      if (note?.id === id && note.role === 'incoming') await notes.save(inPhase(note, 'done', clock.wallMs()))
      context.room.remember(record)
      void reread(context)
      return record.state
    }),
    refuse: (uuid, id, source, why) => host.exclusive(`VM/${uuid}`, async () => {
      const note = notes.get(uuid)
      if (note?.id !== id || note.peer !== source || note.role !== 'incoming' || note.phase === 'done') return
      const { domains } = host.driver
      const call = context.ownCall(LIMITS.vmUndoTimeoutMs)
      await domains.refuseIncoming(uuid, call)
      // The source has it: whatever is left of it here must not run.
      const left = await domains.get(uuid, call)
      if (left !== undefined && isActive(left.state)) await domains.destroy(uuid, call)
      if (left?.persistent === true) await domains.undefine(uuid, call)
      letGo(uuid)
      context.room.forget(uuid, why)
      await dropRules(uuid, source)
      await notes.save(inPhase(note, 'failed', clock.wallMs(), { error: why }))
    }),
  }
}

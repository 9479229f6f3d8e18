// Migration of a VM to another host, led by the source (cloud.md 5.8).
//
//   preparing: checks, accept at the destination   copying, switching: the hypervisors   finishing: complete there
//   each phase written down before it begins; the VM's lock held all the while
//
// After any failure both sides are looked at, and settle() (migration-note.ts) says whose it is: the one who has it keeps
// it, the other gives up what it has. What cannot be known now is left alone, named, and looked at again each
// LIMITS.migrationSettleMs and after a restart. Aborting the call cancels; then it still runs here.

import { LIMITS, errorCode } from '../../../fabric/base.ts'
import type { NodeId, Timer } from '../../../fabric/base.ts'
import type { LocalStore, Log } from '../../../fabric/mod.ts'
import type { Authority, ReferenceRecord } from '../../../functions/mod.ts'
import type { MigrationTicket } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import type { MigrateVmOptions, MigrationRecord } from '../../kinds/interfaces.ts'
import type { ObjectEvent } from '../../object.ts'
import { randomUuid } from '../../uuid.ts'
import { levelOf, mustDo } from '../../vm-state.ts'
import { textOf } from '../all-or-nothing.ts'
import { createIncoming } from './migration-incoming.ts'
import type { Incoming } from './migration-incoming.ts'
import { MIGRATION_METHOD, plain, readMessage, readStatus, readTicket } from './migration-messages.ts'
import type { MigrationMessage, MigrationStatus } from './migration-messages.ts'
import { createMigrationNotes, hasEnded, inPhase, reasonOf, recordOf, settle } from './migration-note.ts'
import type { MigrationNote, Side, Verdict } from './migration-note.ts'
import type { Migrations, VmContext } from '../vm/vm-context.ts'
import type { HostVm } from '../vm/vm.ts'

export interface HostMigrations extends Migrations, Pick<Incoming, 'expectsUuid' | 'expectsName'> {
  /** What the other side's host asks of this one. */
  answer(message: MigrationMessage, from: { readonly node: NodeId; readonly name: string }, authority: Authority): Promise<unknown>
  /** Settles what a restart or a lost answer left half-done; goes on until nothing is. */
  recover(): void
  stop(): void
}
export interface MigrationOptions { readonly context: VmContext; readonly store: Pick<LocalStore, 'get' | 'range' | 'write'>; readonly log: Pick<Log, 'info' | 'warn'> }

/** Bytes of a random trace id. */
const TRACE_BYTES = 8
const COMPLETE_TRIES = 3

export function createMigrations({ context, store, log }: MigrationOptions): HostMigrations {
  const { host, peers } = context
  const { clock } = host
  const notes = createMigrationNotes(store, host.machineUuid)
  const incoming = createIncoming({ context, notes, clock })
  /** Under way in this life of the node, by uuid. */
  const active = new Set<string>()
  const stopping = new AbortController()
  let timer: Timer | undefined

  /** For questions that must be answered although the caller has left, or was never there. */
  const ownAuthority = (principal: string): Authority => {
    const { remainingMs } = context.ownCall(LIMITS.migrationAskTimeoutMs)
    return { principal, trace: Buffer.from(host.random.bytes(TRACE_BYTES)).toString('hex'), hop: 0, signal: stopping.signal, remainingMs }
  }
  const ask = async ({ peer, machine, id, uuid }: Pick<MigrationNote, 'peer' | 'machine' | 'id' | 'uuid'>, message: Omit<MigrationMessage, 'id' | 'uuid' | 'machine' | 'speaker'>, authority: Authority): Promise<unknown> => {
    const body = plain({ ...message, id, uuid, machine, speaker: host.machineUuid })
    if (peer !== host.self) return peers.call(peer, MIGRATION_METHOD, body, authority)
    const sibling = peers.sibling?.(machine)
    if (sibling === undefined) throw RMO.OBJECT_UNKNOWN({ kind: 'VMM', uuid: machine, node: host.hostName() })
    return sibling.migrations.answer(readMessage(body), { node: host.self, name: host.hostName() }, authority)
  }
  /** Hosts of one node share its ledger. */
  const rulesFor = ({ peer, uuid }: MigrationNote): Pick<MigrationMessage, 'rules'> => peer === host.self ? {} : { rules: context.rules.of(uuid) }
  const publish = (uuid: string, event: ObjectEvent & Readonly<Record<string, unknown>>): void => host.publish('VM', uuid, event)

  // ---------------------------------------------------------------- both sides, as of now

  const here = async (uuid: string): Promise<Side> => {
    try {
      return (await host.driver.domains.get(uuid, context.ownCall(LIMITS.migrationAskTimeoutMs)))?.state ?? 'absent'
    } catch { return 'unknown' }
  }
  const there = async (note: MigrationNote): Promise<Side> => {
    try {
      return readStatus(await ask(note, { step: 'status' }, ownAuthority(note.principal))).state
    } catch { return 'unknown' }
  }

  // ---------------------------------------------------------------- ends of a migration, at the source

  const refuseThere = async (note: MigrationNote): Promise<void> => {
    // A destination that does not hear this asks by itself (sweep).
    await ask(note, { step: 'refuse' }, ownAuthority(note.principal)).catch(() => {})
  }
  const stays = async (note: MigrationNote, error: unknown, cancelled: boolean): Promise<void> => {
    await refuseThere(note)
    const vm = context.room.get(note.uuid)
    if (vm !== undefined) vm.moving = false
    // Stopped for the last copy and not let go again.
    const left = await here(note.uuid)
    if (left === 'paused' && note.state === 'running') await host.driver.domains.resume(note.uuid, context.ownCall(LIMITS.migrationAskTimeoutMs)).catch(() => {})
    await notes.save(inPhase(note, cancelled ? 'cancelled' : 'failed', clock.wallMs(), { error: textOf(error) }))
    await context.room.refresh(note.uuid)
  }
  /** It is the destination's: nothing of it is left here, and who asks here is sent there. */
  const moved = async (note: MigrationNote): Promise<void> => {
    const left = await host.driver.domains.get(note.uuid, context.ownCall(LIMITS.migrationAskTimeoutMs)).catch(() => undefined)
    const call = context.ownCall(LIMITS.vmUndoTimeoutMs)
    if (left !== undefined && levelOf(left.state) !== 'off') await host.driver.domains.destroy(note.uuid, call)
    if (left?.persistent === true) await host.driver.domains.undefine(note.uuid, call)
    context.room.forget(note.uuid, `it moved to ${note.to}`, { home: note.peer, to: note.to })
    if (note.peer !== host.self) await context.rules.forget(note.uuid)
    await notes.save(inPhase(note, 'done', clock.wallMs()))
  }
  const complete = async (note: MigrationNote): Promise<void> => {
    const message = { step: 'complete' as const, ...rulesFor(note), ...note.handover === undefined ? {} : { handover: note.handover } }
    for (let attempt = 1; ; attempt++) {
      try {
        await ask(note, message, ownAuthority(note.principal))
        return
      } catch (error) {
        if (attempt >= COMPLETE_TRIES || stopping.signal.aborted) throw error
      }
    }
  }

  /** Looks at both sides and carries out what the rule says; 'wait' leaves everything as it is. */
  const settleNow = async (note: MigrationNote, error: unknown, cancelled: boolean): Promise<Verdict | 'lost'> => {
    const [source, target] = await Promise.all([here(note.uuid), there(note)])
    const verdict = settle(source, target)
    if (verdict === 'stays') await stays(note, error, cancelled)
    if (verdict === 'complete' || verdict === 'moved') {
      try { await complete(note) } catch (failure) {
        if (errorCode(failure) !== RMO.OBJECT_UNKNOWN.code) throw failure
        await refuseThere(note)
        context.room.forget(note.uuid, 'it was lost in a migration')
        await notes.save(inPhase(note, 'failed', clock.wallMs(), { error: `${textOf(error)}; it is on neither host` }))
        return 'lost'
      }
      await moved(note)
    }
    return verdict
  }

  /** Of a VM that has left here, wherever it is now; 'absent': it was removed since, or never left. */
  const whereabouts = async (uuid: string, authority: Authority): Promise<{ readonly state: MigrationStatus['state']; readonly to: string }> => {
    const note = notes.get(uuid)
    if (note?.role !== 'outgoing' || note.phase !== 'done') return { state: 'absent', to: '' }
    // Ends: where it came last, its last note is an incoming one.
    return { state: readStatus(await ask(note, { step: 'find' }, authority)).state, to: note.to }
  }

  const assertSettled = async (uuid: string): Promise<void> => {
    const note = notes.get(uuid)
    if (note === undefined || note.role !== 'outgoing' || hasEnded(note)) return
    if (await settleNow(note, 'it was interrupted', false).catch((): Verdict => 'wait') === 'stays') return
    throw RMO.STATE_INVALID({ kind: 'VM', name: note.name, operation: 'start', state: `half-way to ${note.to}`, needs: `settled: ${note.to} must be asked whether it runs there, and does not answer` })
  }

  // ---------------------------------------------------------------- the verb

  const announce = async (vm: HostVm, note: MigrationNote, authority: Authority): Promise<MigrationTicket> => {
    const { settings, metadata = {}, state } = vm.record
    try {
      return readTicket(await ask(note, { step: 'accept', from: note.from, to: note.to, state, settings, metadata: { ...metadata }, ...rulesFor(note) }, authority))
    } catch (error) {
      await refuseThere(note)
      await notes.save(inPhase(note, 'failed', clock.wallMs(), { error: textOf(error) }))
      throw RMO.MIGRATION_REFUSED({ name: note.name, to: note.to, reason: reasonOf(error) }, { cause: error })
    }
  }

  /** Copies and lets go; answers the note with the handover. Failures are settled and told. */
  const transfer = async (vm: HostVm, start: MigrationNote, ticket: MigrationTicket, options: MigrateVmOptions, authority: Authority): Promise<MigrationNote> => {
    let note = inPhase(start, 'copying', clock.wallMs())
    await notes.save(note)
    vm.moving = true
    // Told even when the copy is over before the hypervisor is first asked how far it is.
    publish(note.uuid, { type: 'migrating', atMs: Math.round(clock.wallMs()), phase: 'copying', totalBytes: 0, doneBytes: 0, remainingBytes: 0, elapsedMs: 0 })
    try {
      const handover = await host.driver.domains.migrate(note.uuid, ticket, {
        live: options.live ?? true,
        ...options.bandwidthMiBps === undefined ? {} : { bandwidthMiBps: options.bandwidthMiBps },
        ...options.downtimeMsMax === undefined ? {} : { downtimeMsMax: options.downtimeMsMax },
        onProgress(progress) {
          publish(note.uuid, { type: 'migrating', atMs: Math.round(clock.wallMs()), ...progress })
          if (progress.phase === 'switching' && note.phase === 'copying') {
            note = inPhase(note, 'switching', clock.wallMs())
            notes.save(note).catch((error: unknown) => log.warn('a migration could not be noted', { reason: textOf(error) }))
          }
        },
      }, host.call(authority))
      note = inPhase(note, 'finishing', clock.wallMs(), typeof handover === 'string' ? { handover } : {})
    } catch (error) {
      const cancelled = authority.signal.aborted
      const { name, to } = note
      const verdict = await settleNow(note, error, cancelled).catch((): Verdict => 'wait')
      if (verdict === 'wait') wake(LIMITS.migrationSettleMs)
      // It came although the hypervisor said that it did not: that is what was asked for.
      if (verdict === 'moved' || verdict === 'complete') return note
      const left = verdict === 'stays' ? `It is on ${note.from}, as before.`
        : verdict === 'lost' ? `It is on neither host: make it again from its dump; its disks are left.`
        : `Where it is could not be found out yet; ${note.from} goes on asking, and starts nothing meanwhile.`
      throw RMO.MIGRATION_FAILED({ name, to, phase: note.phase, reason: cancelled ? 'it was cancelled' : reasonOf(error), left }, { cause: error })
    }
    // From here on only the destination can have it; a crash now is mended by recover().
    await notes.save(note)
    return note
  }

  const move = async (vm: HostVm, to: ReferenceRecord, options: MigrateVmOptions, authority: Authority): Promise<ReferenceRecord> => {
    authority.signal.throwIfAborted()
    const record = await context.room.current(vm, host.call(authority))
    const { name } = record.settings
    mustDo('migrate', { name, state: record.state })
    await context.guard?.asked({ uuid: vm.uuid, name }, 'migrate', authority)
    await assertSettled(vm.uuid)
    const note: MigrationNote = {
      role: 'outgoing', id: randomUuid(host.random), uuid: vm.uuid, name, from: host.hostName(), to: to.home === host.self ? to.name : peers.nameOf(to.home), peer: to.home, machine: to.uuid, principal: authority.principal, state: record.state,
      phase: 'preparing', phases: [{ phase: 'preparing', atMs: Math.round(clock.wallMs()) }],
    }
    await notes.save(note)
    const attributes = vm.attributes()
    const sent = await transfer(vm, note, await announce(vm, note, authority), options, authority)
    const arrived: ReferenceRecord = { kind: 'VM', uuid: vm.uuid, home: to.home, name, attributes: { ...attributes, host: note.to } }
    if (hasEnded(notes.get(vm.uuid) ?? sent)) return arrived
    try {
      await complete(sent)
    } catch (error) {
      wake(LIMITS.migrationSettleMs)
      context.room.forget(vm.uuid, `it moved to ${note.to}`, { home: note.peer, to: note.to })
      throw RMO.MIGRATION_FAILED({ name, to: note.to, phase: 'finishing', reason: textOf(error), left: `It has left ${note.from}; ${note.to} is asked again until it has taken it over.` }, { cause: error })
    }
    await moved(sent)
    return arrived
  }

  // ---------------------------------------------------------------- after a restart, and when answers were lost

  const wake = (delayMs: number): void => {
    if (stopping.signal.aborted) return
    timer?.cancel()
    timer = clock.after(delayMs, () => { void sweep() }, { background: true })
  }
  /** The destination asks what became of it: a source that does not work on it any more and has it, keeps it. */
  const sweepIncoming = async (note: MigrationNote): Promise<void> => {
    const status = readStatus(await ask(note, { step: 'status' }, ownAuthority(note.principal)))
    // A source that has neither the VM nor anything to do with its migration any more will never send it.
    if (!status.migrating && (status.state !== 'absent' || await here(note.uuid) === 'absent')) await incoming.refuse(note.uuid, note.id, note.peer, `${note.from} kept it`)
  }
  const sweep = async (): Promise<void> => {
    for (const note of notes.open()) {
      if (active.has(note.uuid) || stopping.signal.aborted) continue
      try {
        if (note.role === 'incoming') { await sweepIncoming(note); continue }
        active.add(note.uuid)
        const verdict = await host.exclusive(`VM/${note.uuid}`, () => settleNow(note, 'the node was interrupted', false))
        log.info('a half-done migration was settled', { vm: note.name, uuid: note.uuid, to: note.to, phase: note.phase, verdict })
      } catch (error) {
        log.warn('a half-done migration could not be settled yet', { vm: note.name, uuid: note.uuid, reason: textOf(error), code: errorCode(error) })
      } finally { if (note.role === 'outgoing') active.delete(note.uuid) }
    }
    if (notes.open().length > 0) wake(LIMITS.migrationSettleMs)
  }

  return {
    expectsUuid: incoming.expectsUuid,
    expectsName: incoming.expectsName,
    last(uuid): MigrationRecord | undefined {
      const note = notes.get(uuid)
      return note === undefined ? undefined : recordOf(note)
    },
    assertSettled,
    async assertNotElsewhere(uuid, authority) {
      const { state, to } = await whereabouts(uuid, authority)
      if (state !== 'absent') throw RMO.ALREADY_EXISTS({ what: `VM ${uuid}, which has moved to ${to} since,`, host: host.hostName() })
    },
    async overrule(uuid) {
      if (notes.get(uuid)?.role === 'outgoing' && !active.has(uuid)) await notes.drop(uuid)
    },
    async migrate(vm, to, options, authority) {
      if (to.uuid === host.machineUuid) return vm.reference()
      if (active.size >= LIMITS.migrationsMax) throw RMO.BUSY({ what: 'migrations', machine: host.hostName(), limit: LIMITS.migrationsMax })
      return host.exclusive(`VM/${vm.uuid}`, async () => {
        active.add(vm.uuid)
        try { return await move(vm, to, options, authority) } finally { active.delete(vm.uuid) }
      })
    },
    async answer(message, from, authority) {
      switch (message.step) {
        case 'accept': {
          await context.admit(authority)
          const ticket = await incoming.accept(message, from, authority)
          wake(LIMITS.migrationSettleMs)
          return plain(ticket)
        }
        case 'complete': return { state: await incoming.complete(message, from.node, authority) }
        case 'refuse': await incoming.refuse(message.uuid, message.id, from.node, `${from.name} kept it`); return null
        case 'find': {
          const found = await host.driver.domains.get(message.uuid, host.call(authority))
          return { state: found?.state ?? (await whereabouts(message.uuid, authority)).state, migrating: active.has(message.uuid) } satisfies MigrationStatus
        }
        case 'status': {
          const state = (await host.driver.domains.get(message.uuid, host.call(authority)))?.state ?? 'absent'
          const note = notes.get(message.uuid)
          return { state, migrating: active.has(message.uuid) || (note?.id === message.id && note.role === 'outgoing' && !hasEnded(note)) } satisfies MigrationStatus
        }
      }
    },
    recover: () => { if (notes.open().length > 0) wake(0) },
    stop() { timer?.cancel(); stopping.abort(RMO.DRIVER_UNAVAILABLE({ uri: host.driver.uri, reason: 'its node stops' })) },
  }
}

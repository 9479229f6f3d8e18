// The truth about a simulated cloud, independent of what its nodes believe: which domain runs on which machine (the
// hypervisors say so), and what the store has said in its order; and what must hold at every moment.
//
// Invariants (reliability.md section 6: 1 to 5 and 11; cloud.md 5): never two running copies; a start has the epoch that the
// store says, and a VM's epochs never fall; nobody is taken over while its old copy runs; users' acknowledged changes stay;
// nothing that ran undisturbed is restarted.

import type { NodeId } from '../../fabric/base.ts'
import type { SimClock } from '../../fabric/sim-clock.ts'
import type { IntentRecord, StatusRecord } from '../../kali/cloud/contract.ts'
import { CLOUD_PREFIX, watchedKey } from '../../kali/cloud/keys.ts'
import { RECORDS, decodeRecord } from '../../kali/cloud/read.ts'
import type { SimStore } from './cloud-link.ts'
import type { DomainEvent, SimMachine } from './cloud-machine.ts'

export interface TruthOptions {
  readonly sim: SimClock
  readonly store: SimStore
  readonly note: (text: string) => void
  /** Something was done to this node, or to all, at most so long ago: whatever happens there now may have its reason. */
  disturbed(node: NodeId, withinMs: number): boolean
  /** Whoever decides by this name is a user. */
  isUser(name: string): boolean
  readonly leaseMs: number
}
export interface Truth {
  readonly violations: readonly string[]
  readonly counts: { starts: number; takeovers: number; fences: number; falseRestarts: number; migrations: number; crashes: number }
  /** Machines where it runs now. */
  runsOn(vm: string): readonly string[]
  running(): ReadonlyMap<string, ReadonlySet<string>>
  intents(): ReadonlyMap<string, IntentRecord>
  violate(text: string): void
  happened(machine: SimMachine, event: DomainEvent): void
  /** A user was told that what he asked for at that moment is done. */
  acknowledged(vm: string, what: { readonly desired?: IntentRecord['desired']; readonly isProtected?: boolean }, askedAtMs: number): void
  stop(): void
}

const BEGIN: ReadonlySet<string> = new Set(['started', 'migratedIn'])
const END: ReadonlySet<string> = new Set(['stopped', 'crashed', 'saved', 'migratedOut', 'undefined'])
const VIOLATIONS_MAX = 8

export function watchTruth({ sim, store, note, disturbed, isUser, leaseMs }: TruthOptions): Truth {
  const violations: string[] = []
  const counts = { starts: 0, takeovers: 0, fences: 0, falseRestarts: 0, migrations: 0, crashes: 0 }
  const running = new Map<string, Set<string>>()
  const highest = new Map<string, number>()
  const intents = new Map<string, IntentRecord>()
  const leases = new Set<string>()
  const promises = new Map<string, Pick<StatusRecord, 'epoch' | 'phase'>>()
  /** What the store said of each, and when. */
  const history = new Map<string, { readonly atMs: number; readonly desired: IntentRecord['desired'] | 'forgotten'; readonly isProtected: boolean }[]>()
  const ended = new AbortController()
  const short = (vm: string): string => vm.slice(-4)
  const violate = (text: string): void => { note(`VIOLATION ${text}`); if (violations.length < VIOLATIONS_MAX) violations.push(`at ${Math.round(sim.nowMs())}: ${text}`) }

  const began = async (machine: SimMachine, { uuid, event }: DomainEvent): Promise<void> => {
    const on = running.get(uuid) ?? new Set<string>()
    running.set(uuid, on)
    const others = [...on].filter((name) => name !== machine.name)
    on.add(machine.name)
    if (event === 'migratedIn') counts.migrations++; else counts.starts++
    if (others.length > 0) violate(`${short(uuid)} runs on ${machine.name} and on ${others.join(', ')}`)
    if (event === 'migratedIn') return
    const domain = await machine.driver.domains.get(uuid, { remainingMs: () => 1_000 })
    const epoch = domain?.metadata?.epoch
    const present = intents.get(uuid)
    if (epoch === undefined) return
    if (epoch < (highest.get(uuid) ?? 0)) violate(`${short(uuid)} was started on ${machine.name} in epoch ${epoch}, after epoch ${highest.get(uuid)}`)
    highest.set(uuid, Math.max(epoch, highest.get(uuid) ?? 0))
    // Asked to be moved in the very moment of its start: it is the source's until it has been moved, and no other can start it.
    const leaves = present?.origin === 'migrate' && present.epoch === epoch + 1
    if (present !== undefined && !leaves && (present.machine?.uuid !== machine.uuid || present.epoch !== epoch)) violate(`${short(uuid)} was started on ${machine.name} in epoch ${epoch}, and belongs to ${present.machine?.name} in ${present.epoch}`)
  }

  // ---------------------------------------------------------------- what the store says, in its order

  const changed = (before: IntentRecord | undefined, after: IntentRecord | undefined): void => {
    if (before !== undefined && after === undefined) { if (before.desired !== 'absent' && !isUser(before.decidedBy)) violate(`${before.name} was forgotten, and was to be ${before.desired}`); highest.delete(before.uuid); return }
    if (before === undefined || after === undefined) return
    if (after.epoch < before.epoch) violate(`the epoch of ${after.name} fell from ${before.epoch} to ${after.epoch}`)
    const from = before.machine, to = after.machine
    if (from !== undefined && to !== undefined && from.uuid !== to.uuid && after.origin !== 'migrate' && after.origin !== 'present') {
      counts.takeovers++
      note(`takeover of ${after.name}: ${from.name} -> ${to.name} in epoch ${after.epoch}`)
      const on = [...running.get(after.uuid) ?? []]
      if (on.length > 0) violate(`${after.name} was taken from ${from.name} to ${to.name} while it runs on ${on.join(', ')}`)
      const promise = promises.get(after.uuid)
      if (before.protection?.armed === true && leases.has(from.node) && !(promise?.epoch === before.epoch && (promise.phase === 'crashed' || before.desired !== 'running'))) violate(`${after.name} was taken from ${from.name}, whose lease stands and whose agent promises nothing`)
      if (after.epoch <= before.epoch) violate(`${after.name} was taken from ${from.name} without a new epoch`)
    }
    if (after.desired !== before.desired && !isUser(after.decidedBy)) {
      const leaves = after.desired === 'stopped' && after.decidedBy === 'guest'
      const shrinks = after.group !== undefined && after.desired !== 'running'
      if (!leaves && !shrinks) violate(`${after.decidedBy} made ${after.name} ${after.desired}, which was to be ${before.desired}`)
    }
    if ((after.protection === undefined) !== (before.protection === undefined) && !isUser(after.decidedBy)) violate(`${after.decidedBy} changed whether ${after.name} is protected`)
  }
  const follow = async (): Promise<void> => {
    for await (const { events } of store.engine.watch(CLOUD_PREFIX, { after: 0, signal: ended.signal })) {
      for (const event of events) {
        const watched = watchedKey(event.type === 'put' ? event.entry.key : event.key)
        if (watched?.type === 'lease') { if (event.type === 'put') leases.add(watched.id); else leases.delete(watched.id) }
        if (watched?.type === 'status' && event.type === 'put') promises.set(watched.id, decodeRecord(RECORDS.status, event.entry.value))
        if (watched?.type !== 'vm') continue
        const before = intents.get(watched.id)
        const after = event.type === 'put' ? decodeRecord(RECORDS.intent, event.entry.value) : undefined
        if (after === undefined) intents.delete(watched.id); else intents.set(watched.id, after)
        const said = history.get(watched.id) ?? []
        history.set(watched.id, said)
        said.push({ atMs: sim.nowMs(), desired: after?.desired ?? 'forgotten', isProtected: after?.protection !== undefined })
        changed(before, after)
      }
    }
  }
  void follow()

  return {
    violations, counts, violate,
    runsOn: (vm) => [...running.get(vm) ?? []],
    running: () => running, intents: () => intents,
    happened(machine, event) {
      const { uuid, detail } = event
      if (BEGIN.has(event.event)) void began(machine, event)
      else if (END.has(event.event)) {
        const was = running.get(uuid)?.delete(machine.name) === true
        if (!was) return
        if (event.event === 'crashed') counts.crashes++
        const present = intents.get(uuid)
        note(`${short(uuid)} ended on ${machine.name}: ${event.event} ${detail}`)
        if (detail !== 'destroyed' || present?.protection === undefined || present.machine?.uuid !== machine.uuid || present.desired !== 'running') return
        counts.fences++
        if (present.protection.armed && !disturbed(machine.node, 3 * leaseMs)) { counts.falseRestarts++; violate(`${short(uuid)} was destroyed on ${machine.name}, to which nothing had happened`) }
      }
    },
    acknowledged(vm, { desired, isProtected }, askedAtMs) {
      const said = history.get(vm) ?? []
      const first = Math.max(0, said.findLastIndex(({ atMs }) => atMs <= askedAtMs))
      const held = said.slice(first).some((each) => (desired === undefined || each.desired === desired || (desired === 'absent' && each.desired === 'forgotten')) && (isProtected === undefined || each.isProtected === isProtected))
      if (!held) violate(`${short(vm)} was acknowledged as ${desired ?? (isProtected === true ? 'protected' : 'not protected')}, and never was`)
    },
    stop: () => ended.abort(),
  }
}

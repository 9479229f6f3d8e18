// Reads off, every LIMITS.accountTickMs and when something ends, what runs and is stored here, and books it with the mark up to
// which it counts.
//
//   tick: what each VM used since the last tick --> buckets, mark: now, who runs --one transaction--> disk
//   start: mark of the run before + who runs now --> what was used while nobody looked
//
// Invariants (reliability.md 6): durations are of the machine's clock since its start, never of the wall's; between two runs
// of the node a guest that went on is counted from its mark, one that was started anew from its start; one that ended is
// counted up to its mark; nothing is counted before the mark again. After a restart of the machine nothing has gone on. What
// a crash loses is what VMs used after the last tick that also ended before the next start; a volume counts from tick to tick.
// A VM that comes by migration has no mark here, and is counted from when this host has it.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import type { UsageBook } from './book.ts'
import { NO_USAGE } from './contract.ts'
import type { Mark, Usage, UsageKey } from './contract.ts'
import { heldFor, HOUR_MS, sumOf } from './hours.ts'

type Row = UsageKey & { readonly name: string; readonly pool: string }
/** A VM of this host, as the meter reads it. */
export interface MeteredVm extends Row {
  readonly active: boolean
  readonly vcpus: number
  readonly memoryMiB: number
  /** Since the last time that it was asked, in milliseconds. */
  drain(): { readonly ranMs: number; readonly usage: Partial<Usage> }
}
export interface MeteredVolume extends Row { readonly uuid: string; readonly capacityMiB: number }

export interface MeterOptions {
  readonly book: UsageBook
  readonly vms: () => readonly MeteredVm[]
  readonly volumes: () => readonly MeteredVolume[]
  /** When each guest was started, since the machine's start; asked when the node starts. */
  readonly startedMs: () => ReadonlyMap<string, number>
  /** Since the machine's start, and which start that was. */
  readonly boot: { readonly id: string; nowMs(): number }
  readonly clock: Clock
  /** What `vms` go by is there; a tick does not wait for it longer than LIMITS.accountTickMs. */
  readonly ready?: Promise<void>
  /** Told of each VM's use as it is booked, also of what was made up for. */
  readonly used?: (vm: string, usage: Partial<Usage>) => void
}

const DAY_MS = 24 * HOUR_MS

export interface Meter {
  tick(): Promise<void>
  /** A VM goes from this host: what it used to the end. */
  ended(vm: MeteredVm): void
  /** A last tick. */
  stop(): Promise<void>
}

export function startMeter({ book, vms, volumes, startedMs, boot, clock, ready = Promise.resolve(), used = () => {} }: MeterOptions): Meter {
  const before = book.marked
  const same = before !== undefined && before.boot === boot.id && before.atMs <= boot.nowMs()
  const begunMs = boot.nowMs()
  /** Of guests that ran when this node started: what comes by migration is not among them. */
  const starts = before === undefined ? new Map<string, number>() : startedMs()
  /** What is to be made up for, by VM, until it is read: from its mark, or from a start after all others were marked. */
  const awaited = new Map(same ? Object.entries(before.running) : [])
  for (const [id, startMs] of starts) if (before !== undefined && (!same || startMs >= before.atMs)) awaited.set(id, startMs)
  let stored = new Set(before?.stored ?? [])
  // Disks are there also while the machine is off; its clock may have been set meanwhile.
  let storedMs = same ? before.atMs : boot.nowMs() - (before === undefined ? 0 : Math.min(Math.max(0, clock.wallMs() - before.wallMs), LIMITS.accountDaysKept * DAY_MS))
  let first = true, stopped = false

  const count = (vm: MeteredVm, usage: Partial<Usage>, lastedMs: number): void => {
    const { owner, kind, id, name, pool } = vm
    if (!Object.values(usage).some((amount) => amount > 0)) return
    book.add({ owner, kind, id, name, pool }, usage, { untilMs: clock.wallMs(), lastedMs })
    used(id, usage)
  }
  /** What it used while no node looked, before the `ranMs` that it says itself. */
  const missedMs = (vm: MeteredVm, ranMs: number): number => {
    const start = starts.get(vm.id)
    const markMs = awaited.get(vm.id)
    awaited.delete(vm.id)
    return !vm.active || markMs === undefined || start === undefined ? 0 : Math.max(0, Math.floor(boot.nowMs() - ranMs - Math.max(markMs, start)))
  }
  const read = (vm: MeteredVm): void => {
    const { ranMs, usage } = vm.drain()
    const ms = missedMs(vm, ranMs)
    count(vm, sumOf(sumOf(NO_USAGE, usage), ms > 0 ? heldFor(ms, vm) : {}), ranMs + ms)
  }
  const readVolumes = (nowMs: number): void => {
    const there = volumes()
    const heldMs = Math.max(0, Math.floor(nowMs - storedMs))
    for (const { uuid, capacityMiB, owner, kind, id, name, pool } of there) {
      if (stored.has(uuid) && heldMs > 0) book.add({ owner, kind, id, name, pool }, { storageMiBMs: capacityMiB * heldMs }, { untilMs: clock.wallMs(), lastedMs: heldMs })
    }
    // What is less than a millisecond is counted the next time.
    storedMs += heldMs
    stored = new Set(there.map(({ uuid }) => uuid))
  }

  const tick = (): Promise<void> => {
    const nowMs = boot.nowMs()
    const there = vms()
    for (const vm of there) read(vm)
    readVolumes(nowMs)
    if (nowMs - begunMs > LIMITS.accountResumeMs) awaited.clear()
    first = false
    const mark: Mark = {
      boot: boot.id, atMs: nowMs, wallMs: Math.round(clock.wallMs()), stored: [...stored],
      running: Object.fromEntries([...awaited, ...there.filter(({ active }) => active).map(({ id }): [string, number] => [id, nowMs])]),
    }
    return book.mark(mark)
  }
  const next = (): ReturnType<Clock['after']> => clock.after(LIMITS.accountTickMs, () => { void tick(); timer = next() }, { background: true })
  let timer = next()
  void ready.then(() => { if (first && !stopped) void tick() })
  return {
    tick,
    ended: read,
    async stop() {
      stopped = true
      timer.cancel()
      await tick()
    },
  }
}

// The meter over a machine in virtual time: guests start and stop, the node is killed and starts again, the machine is
// restarted, the wall clock jumps. What it books is what ran, but for what a crash may lose, and never more.

import { fc } from '../../support/property.ts'
import t from 'tap'
import { createMemoryStore } from '../../../fabric/mod.ts'
import type { LocalStore } from '../../../fabric/mod.ts'
import type { Clock } from '../../../fabric/base.ts'
import { createUsageBook } from '../../../rmo/account/book.ts'
import { heldFor } from '../../../rmo/account/hours.ts'
import { startMeter } from '../../../rmo/account/meter.ts'
import type { Meter, MeteredVm } from '../../../rmo/account/meter.ts'
import { LIMITS } from '../../../fabric/base.ts'

const VMS = ['a', 'b', 'c'] as const
type Step =
  | { readonly do: 'start' | 'stop'; readonly vm: string }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'tick' | 'kill' | 'stop-node' | 'node' | 'reboot' | 'jump' }
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('start' as const, 'stop' as const), vm: fc.constantFrom(...VMS) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 5_000_000 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('tick' as const, 'kill' as const, 'stop-node' as const, 'node' as const, 'node' as const, 'reboot' as const, 'jump' as const) }) },
)

/** One machine: what is true, and what its node knows of it. */
class Machine {
  readonly store: LocalStore = createMemoryStore()
  wallMs = 1_700_000_000_000
  /** Its timers never fire: ticks are the test's. */
  readonly clock: Clock = { nowMs: () => this.nowMs, wallMs: () => this.wallMs, after: () => ({ cancel() {} }) }
  boot = 1
  nowMs = 1_000
  meter: Meter | undefined
  /** Of the last tick that was written, while no tick came since. */
  tickedMs = 0
  readonly ran = new Map<string, number>()
  readonly lost = new Map<string, number>()
  readonly running = new Map<string, number>()
  /** What the node itself has seen run since it was asked last: from when. */
  readonly seen = new Map<string, number>()
  readonly drained = new Map<string, number>()

  vm(id: string): MeteredVm {
    const size = { vcpus: 2, memoryMiB: 512 }
    const drain = (): ReturnType<MeteredVm['drain']> => {
      const ms = (this.drained.get(id) ?? 0) + (this.seen.has(id) ? this.nowMs - this.seen.get(id)! : 0)
      this.drained.delete(id)
      if (this.seen.has(id)) this.seen.set(id, this.nowMs)
      return { ranMs: ms, usage: heldFor(ms, size) }
    }
    return { owner: 'user:alice', kind: 'VM', id, name: id, pool: '', ...size, active: this.running.has(id), drain }
  }
  async tick(): Promise<void> {
    await this.meter?.tick()
    if (this.meter !== undefined) this.tickedMs = this.nowMs
  }
  async up(): Promise<void> {
    if (this.meter !== undefined) return
    const began = this.tickedMs
    // What ended while nobody looked ended at nobody knows when; what goes on was started before or meanwhile.
    for (const id of this.running.keys()) this.seen.set(id, this.nowMs)
    const book = createUsageBook({ store: this.store, clock: this.clock })
    const first = book.marked === undefined
    this.meter = startMeter({ book, vms: () => VMS.map((id) => this.vm(id)), volumes: () => [], startedMs: () => new Map(this.running), boot: { id: String(this.boot), nowMs: () => this.nowMs }, clock: this.clock })
    // Nothing was ever counted: what runs is counted from now on.
    if (first) for (const [id, from] of this.running) this.lose(id, this.nowMs - Math.max(from, began))
    await this.tick()
  }
  lose(id: string, ms: number): void { this.lost.set(id, (this.lost.get(id) ?? 0) + ms) }
  /** What ran after the last tick of a node that was killed, and ended before the next one looked. */
  end(id: string): void {
    const from = this.running.get(id)
    if (from === undefined) return
    this.running.delete(id)
    this.ran.set(id, (this.ran.get(id) ?? 0) + this.nowMs - from)
    if (this.meter !== undefined) this.drained.set(id, (this.drained.get(id) ?? 0) + this.nowMs - this.seen.get(id)!)
    else this.lose(id, this.nowMs - Math.max(from, this.tickedMs))
    this.seen.delete(id)
  }
  async down(how: 'kill' | 'stop'): Promise<void> {
    if (this.meter === undefined) return
    if (how === 'stop') {
      await this.meter.stop()
      this.tickedMs = this.nowMs
    }
    // Drained only in the memory of who is dead.
    for (const [id, ms] of this.drained) this.lose(id, ms)
    this.drained.clear()
    this.seen.clear()
    this.meter = undefined
  }
  async carryOut(step: Step): Promise<void> {
    switch (step.do) {
      case 'wait':
        this.nowMs += step.ms
        this.wallMs += step.ms
        return
      case 'start':
        if (this.running.has(step.vm)) return
        this.running.set(step.vm, this.nowMs)
        if (this.meter !== undefined) this.seen.set(step.vm, this.nowMs)
        return
      case 'stop': return this.end(step.vm)
      case 'tick': return this.tick()
      case 'kill': return this.down('kill')
      case 'stop-node': return this.down('stop')
      case 'node': return this.up()
      case 'reboot':
        await this.down('kill')
        for (const id of [...this.running.keys()]) this.end(id)
        this.boot++
        this.tickedMs = this.nowMs
        return
      case 'jump': return void (this.wallMs -= 3_600_000)
    }
  }
  booked(): ReadonlyMap<string, number> {
    const sums = new Map<string, number>(), others = new Map<string, number>()
    for (const { id, vmMs, vcpuMs, memoryMiBMs } of createUsageBook({ store: this.store, clock: this.clock }).rows({ sinceMs: 0, untilMs: Infinity })) {
      sums.set(id, (sums.get(id) ?? 0) + vmMs)
      others.set(id, (others.get(id) ?? 0) + vcpuMs + memoryMiBMs)
    }
    for (const [id, ms] of sums) if (others.get(id) !== (2 + 512) * ms) throw new Error('amounts of one VM disagree')
    return sums
  }
}

t.test('whatever ends when, what is booked is what ran, less what a crash may lose, to the millisecond', async (t) => {
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
    const machine = new Machine()
    await machine.up()
    for (const step of steps) await machine.carryOut(step)
    await machine.up()
    await machine.down('stop')
    // As if the machine ended now.
    const booked = machine.booked()
    for (const id of VMS) {
      const from = machine.running.get(id)
      const ran = (machine.ran.get(id) ?? 0) + (from === undefined ? 0 : machine.nowMs - from)
      const expected = ran - (machine.lost.get(id) ?? 0)
      if ((booked.get(id) ?? 0) !== expected) throw new Error(`${id}: booked ${booked.get(id) ?? 0}, expected ${expected}`)
    }
  }), { numRuns: 300 })
  t.equal(LIMITS.accountTickMs, 10_000, 'what a crash loses at most, of a VM that ended with it')
})

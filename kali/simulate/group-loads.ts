// Load of elastic groups: what is asked of a group is shared out evenly over its members that are ready, as a load balancer
// would, so that a group that grows has less on each. What no member could take is told: it is what a policy came too late for.
//
//   demand (members' worth, over time) --each step--> / ready members --> the ratio of each, until the next step
//
// A member's trace stands in the memory driver from its birth; only its future is written here, before the driver's clock is
// there, so that what has been counted of it never changes.

import type { Clock } from '../../fabric/base.ts'
import type { LoadTrace } from '../../rmo/mod.ts'
import type { CloudView } from '../cloud/contract.ts'
import type { LoadSequence } from './trace.ts'

/** Between two looks of the load balancer. */
export const GROUP_STEP_MS = 10_000

export interface GroupLoadsOptions {
  readonly clock: Clock
  readonly view: Pick<CloudView, 'intent' | 'intents' | 'groups' | 'status'>
  readonly forMs: number
  /** Of a group's original: full is all that `max` members can do. */
  demandOf(original: string): LoadSequence | undefined
}
export interface GroupLoads {
  /** For the memory driver: of a member of a group, or of what will be one. */
  traceOf(vm: { readonly uuid: string; readonly name: string }): LoadTrace | undefined
  /** A VM of that name is the original of a group to come. */
  expect(name: string): void
  start(): void
  /** By group: members' worth that was asked for, and that nobody could carry, in the last step. */
  readonly last: ReadonlyMap<string, { readonly asked: number; readonly missed: number }>
  stop(): void
}

interface Written { readonly trace: LoadTrace; readonly ratios: Float64Array; readonly busyMs: Float64Array }

export function createGroupLoads({ clock, view, forMs, demandOf }: GroupLoadsOptions): GroupLoads {
  const steps = Math.ceil(forMs / GROUP_STEP_MS) + 2
  const written = new Map<string, Written>()
  const originals = new Set<string>()
  const last = new Map<string, { readonly asked: number; readonly missed: number }>()
  const demands = new Map<string, LoadSequence>()
  let stopped = false

  const isMember = (name: string): boolean => view.groups().some((group) => name.startsWith(`${group.name}-`))
  const traceOf: GroupLoads['traceOf'] = ({ uuid, name }) => {
    const present = written.get(uuid)
    if (present !== undefined) return present.trace
    if (!originals.has(name) && !isMember(name)) return undefined
    const ratios = new Float64Array(steps), busyMs = new Float64Array(steps + 1)
    const made: Written = { ratios, busyMs, trace: { ratios, busyMs, stepMs: GROUP_STEP_MS, onClock: true } }
    written.set(uuid, made)
    return made.trace
  }
  const write = (uuid: string, step: number, ratio: number): void => {
    const of = written.get(uuid)
    if (of === undefined) return
    of.ratios[step] = ratio
    of.busyMs[step + 1] = (of.busyMs[step] ?? 0) + ratio * GROUP_STEP_MS
  }
  const share = (step: number): void => {
    const alive = new Set<string>()
    for (const group of view.groups()) {
      const members = view.intents({ group: group.uuid })
      const original = members.find(({ uuid }) => uuid === group.original)?.name ?? group.name
      const demand = demands.get(group.uuid) ?? demandOf(original)
      if (demand === undefined) continue
      demands.set(group.uuid, demand)
      const asked = (demand.cpuRatios[Math.floor(clock.nowMs() / demand.stepMs) % Math.max(1, demand.cpuRatios.length)] ?? 0) * group.spec.max
      const ready = members.filter(({ uuid, epoch, desired }) => { const status = view.status(uuid); return desired === 'running' && status?.epoch === epoch && status.phase === 'ready' })
      const each = Math.min(1, asked / Math.max(1, ready.length))
      last.set(group.uuid, { asked, missed: Math.max(0, asked - ready.length) })
      for (const { uuid } of ready) alive.add(uuid)
      for (const { uuid } of ready) write(uuid, step, each)
    }
    for (const uuid of [...written.keys()]) {
      if (view.intent(uuid) === undefined) written.delete(uuid)
      else if (!alive.has(uuid)) write(uuid, step, 0)
    }
  }
  const look = (): void => {
    if (stopped) return
    const step = Math.floor(clock.nowMs() / GROUP_STEP_MS)
    if (step < steps) share(step)
    clock.after((step + 1) * GROUP_STEP_MS - clock.nowMs(), look)
  }
  return {
    traceOf, last,
    expect(name) { originals.add(name) },
    start: look,
    stop() { stopped = true },
  }
}

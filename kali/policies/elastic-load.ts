// What an elastic group is and carries in one snapshot, and how many members its load asks for (cloud.md section 6, rules 1, 3,
// 4, 5, 12). Counted anew from reality in each round. Pure.

import type { GroupRecord, PoolSnapshot, VmView } from '../cloud/contract.ts'
import type { Bounds } from './elastic-schedule.ts'

/** Members by what they count for; a member is in one of these. */
export interface Members {
  /** They carry load. */
  readonly ready: readonly VmView[]
  /** Asked for, booting, warming, or restarted by HA: capacity that comes (rule 3). */
  readonly inFlight: readonly VmView[]
  /** Given up by HA: no capacity, to be replaced. */
  readonly broken: readonly VmView[]
  /** Stopped or on their way out, whoever wanted it. */
  readonly leaving: readonly VmView[]
}

/** `late`: members in flight for too long, which are not counted on any more. */
export function membersOf(group: GroupRecord, { vms }: Pick<PoolSnapshot, 'vms'>, late: ReadonlySet<string>): Members {
  const ready: VmView[] = [], inFlight: VmView[] = [], broken: VmView[] = [], leaving: VmView[] = []
  for (const vm of vms) {
    if (vm.group !== group.uuid) continue
    const kept = vm.desired !== 'running' ? leaving : vm.error !== undefined || late.has(vm.uuid) ? broken : vm.inFlight ? inFlight : ready
    kept.push(vm)
  }
  return { ready, inFlight, broken, leaving }
}

/** Number of a member that was made from the template, "GROUP-7"; 0: its original, or named otherwise. */
export function memberNumber({ name }: Pick<GroupRecord, 'name'>, vm: Pick<VmView, 'name'>): number {
  const number = vm.name.startsWith(`${name}-`) ? vm.name.slice(name.length + 1) : ''
  return /^[1-9]\d{0,8}$/.test(number) ? Number(number) : 0
}

export interface Sample { readonly atMs: number; readonly wish: number; /** In members: the mean load times the members that carry it. */ readonly load: number }

/** What a wish is made from. */
export interface GroupLoad {
  readonly atMs: number
  readonly group: GroupRecord
  readonly bounds: Bounds
  readonly ready: number
  /** Those in the snapshot, and those asked for that are not there yet. */
  readonly inFlight: number
  /** ready + inFlight: more is only ever wanted beyond this. */
  readonly capacity: number
  /** To decide about more: what is in flight, warms up or is silent counts as idle. */
  readonly meanOut: number
  /** To decide about less: of those that are warm; silent ones count as `out`. */
  readonly meanIn: number
  /** In members. */
  readonly load: number
  /** Of the last LIMITS.elasticWishWindowMs, oldest first, without this one. */
  readonly history: readonly Sample[]
}

/** How many members there should be; undefined: no data, nothing changes. Bounds, steps, holds and cooldowns come after it. */
export type Wish = (load: GroupLoad) => number | undefined

/** Undefined: no member reports (rule 5). */
export function meansOf(group: GroupRecord, { ready }: Members, asked: number, { atMs, metrics }: Pick<PoolSnapshot, 'atMs' | 'metrics'>): Pick<GroupLoad, 'meanOut' | 'meanIn' | 'load'> | undefined {
  const { spec } = group
  // Without a text to wait for, being ready is having run for the warm-up (StatusRecord); with one, the warm-up begins there.
  const young = ready.filter(({ phaseSinceMs, uuid }) => uuid !== group.original && spec.readyText !== undefined && phaseSinceMs !== undefined && atMs - phaseSinceMs < spec.warmUpMs)
  const mature = ready.filter((vm) => !young.includes(vm))
  if (mature.length === 0) return undefined
  const all = mature.length + young.length + asked
  if (spec.metric.type === 'function') {
    const value = metrics[group.uuid]
    return value === undefined || !Number.isFinite(value) ? undefined : { meanOut: (value * mature.length) / all, meanIn: value, load: value * mature.length }
  }
  const ratios = mature.flatMap(({ cpuRatio }) => (cpuRatio === undefined || !Number.isFinite(cpuRatio) ? [] : [cpuRatio]))
  if (ratios.length === 0) return undefined
  const sum = ratios.reduce((total, ratio) => total + ratio, 0)
  const silent = mature.length - ratios.length
  return { meanOut: sum / all, meanIn: (sum + silent * spec.out) / mature.length, load: sum }
}

/** The two thresholds (rule 1), as in the paper: one more, or as many as the load fills, above `out`; fewer below `in`, if what is left stays a margin under `out`. */
export const thresholdWish: Wish = ({ group: { spec }, capacity, ready, inFlight, meanOut, meanIn, load }) => {
  if (meanOut > spec.out) return Math.max(capacity + 1, Math.ceil(load / spec.out))
  if (meanIn >= spec.in || inFlight > 0) return capacity
  for (let left = 1; left < ready; left++) if (projected(meanIn, ready, left) < spec.out - spec.margin) return left
  return capacity
}

/** Mean load of those who are left. */
export const projected = (mean: number, members: number, left: number): number => (left <= 0 ? Infinity : (mean * members) / left)

// Pools, placements and decisions for people: what `kumoi pool ...`, `kumoi ha ...`, `kumoi elastic ...` print. Pure.

import type { Amounts, Choice, DecisionRecord, Explanation, GroupRecord, MachineView, PoolSnapshot, RuleRecord, SchedulerRef, VmView } from '../../kali/contract.ts'
import type { Column, TableLayout } from './table.ts'
import { table } from './table.ts'
import { countText, durationText, mebibytesText, ratioText } from './units.ts'
import { cellText, fields } from './value.ts'

const RIGHT = { align: 'right', whole: true } as const
const orDash = (text: string | undefined): string => (text === undefined || text === '' ? '-' : text)
const ofWhole = (part: number, whole: number): string => `${Math.round(part * 10) / 10}/${Math.round(whole * 10) / 10}`
const agoText = (atMs: number, nowMs: number): string => `${durationText(nowMs - atMs)} ago`

export const schedulerText = (ref: SchedulerRef): string =>
  ref.type === 'builtin' ? [ref.name, ...Object.entries(ref.options ?? {}).map(([key, value]) => `${key}=${value}`)].join(' ') : ref.type === 'function' ? `function ${ref.name}` : `${ref.name === '' ? 'a function' : ref.name} (given as code)`

/** What may be booked on a machine: hardware by over-commit, less what is kept for the host. */
export const bookable = (machine: Pick<MachineView, 'cores' | 'memoryMiB'>, { pool }: Pick<PoolSnapshot, 'pool'>): { readonly vcpus: number; readonly memoryMiB: number } =>
  ({ vcpus: machine.cores * pool.overcommit.cpuRatio - pool.reserve.vcpus, memoryMiB: machine.memoryMiB * pool.overcommit.memoryRatio - pool.reserve.memoryMiB })

export function sumsOf(snapshot: PoolSnapshot): { readonly booked: Amounts; readonly vcpus: number; readonly memoryMiB: number } {
  const total = { vcpus: 0, memoryMiB: 0 }, booked = { vms: 0, vcpus: 0, memoryMiB: 0 }
  for (const machine of snapshot.machines) {
    const room = bookable(machine, snapshot)
    total.vcpus += room.vcpus
    total.memoryMiB += room.memoryMiB
    booked.vms += machine.booked.vms
    booked.vcpus += machine.booked.vcpus
    booked.memoryMiB += machine.booked.memoryMiB
  }
  return { booked, ...total }
}

const leaseText = ({ lease }: MachineView): string => (lease.state === 'held' ? `held ${durationText(lease.ageMs)}` : 'none')

const MACHINE_COLUMNS: readonly Column[] = [
  { title: 'machine', whole: true }, { title: 'mode' }, { title: 'member', paint: (cell, style) => (cell.trim() === 'dead' ? style.red(cell) : cell.trim() === 'suspect' ? style.yellow(cell) : cell) }, { title: 'lease' },
  { title: 'cpu', ...RIGHT }, { title: 'vms', ...RIGHT }, { title: 'vcpus', ...RIGHT }, { title: 'memory', ...RIGHT }, { title: 'free', ...RIGHT },
]
export const machinesTable = (snapshot: PoolSnapshot, layout: TableLayout): string => table(MACHINE_COLUMNS, snapshot.machines.map((machine) => {
  const room = bookable(machine, snapshot)
  return [
    machine.name, machine.power.asleep ? 'asleep' : machine.mode, machine.member, leaseText(machine), ratioText(machine.cpuRatio), String(machine.booked.vms + machine.foreign.vms),
    ofWhole(machine.booked.vcpus, room.vcpus), `${mebibytesText(machine.booked.memoryMiB)} of ${mebibytesText(room.memoryMiB)}`, mebibytesText(Math.max(0, machine.freeMemoryMiB)),
  ]
}), layout)

export const machineName = (snapshot: Pick<PoolSnapshot, 'machines'>, uuid: string | undefined): string => (uuid === undefined ? '-' : snapshot.machines.find((one) => one.uuid === uuid)?.name ?? uuid.slice(0, 8))

/**
 * One word for how a VM does: its trouble before its phase before its hypervisor's state. What a dead machine said last is
 * no news: "lost" is what cannot run there any more (its lease is over), "unknown" all else.
 */
export function vmStateText(vm: VmView, { machines }: Pick<PoolSnapshot, 'machines'>): string {
  if (vm.error !== undefined) return 'error'
  if (vm.machine === undefined && vm.desired === 'running') return 'pending'
  const host = machines.find(({ uuid }) => uuid === vm.machine)
  if (host?.member === 'dead') return vm.protection?.armed === true && host.lease.state === 'gone' ? 'lost' : 'unknown'
  return vm.phase ?? vm.state ?? vm.desired
}

const kindOfVm = (vm: VmView, groups: readonly GroupRecord[]): string =>
  [vm.protection === undefined ? undefined : vm.protection.armed ? 'ha' : 'ha, not armed yet', vm.group === undefined ? undefined : groups.find(({ uuid }) => uuid === vm.group)?.name ?? 'elastic'].filter((word) => word !== undefined).join(', ')

export const vmsTable = (snapshot: PoolSnapshot, layout: TableLayout): string => table(
  [{ title: 'vm', whole: true }, { title: 'wanted' }, { title: 'state', paint: (cell, style) => (/^(error|failed|crashed|lost)/.test(cell) ? style.red(cell) : cell) }, { title: 'machine' }, { title: 'cpu', ...RIGHT }, { title: 'vcpus', ...RIGHT }, { title: 'memory', ...RIGHT }, { title: 'epoch', ...RIGHT }, { title: 'kept by' }],
  snapshot.vms.map((vm) => [vm.name, vm.desired, vmStateText(vm, snapshot), machineName(snapshot, vm.machine), ratioText(vm.cpuRatio), String(vm.vcpus), mebibytesText(vm.memoryMiB), String(vm.epoch), orDash(kindOfVm(vm, snapshot.groups))]), layout)

export const ruleText = ({ type, vms, machines = [], hard }: Omit<RuleRecord, 'pool'>): string =>
  `${vms.join(', ')} ${type === 'together' ? 'on one machine' : type === 'apart' ? 'on machines of their own' : `${type === 'on' ? 'on' : 'not on'} ${machines.join(', ')}`}${hard ? '' : ', if possible'}`
export const rulesTable = (rules: readonly Omit<RuleRecord, 'pool'>[], layout: TableLayout): string =>
  table([{ title: 'rule', whole: true }, { title: 'binds' }, { title: 'says' }], rules.map((rule) => [rule.name, rule.hard ? 'always' : 'if possible', ruleText(rule)]), layout)

/** Members of a group that work, and those on their way. */
export function membersOf(snapshot: PoolSnapshot, group: string): { readonly ready: readonly VmView[]; readonly inFlight: readonly VmView[] } {
  const members = snapshot.vms.filter((vm) => vm.group === group && vm.desired === 'running')
  return { ready: members.filter(({ inFlight }) => !inFlight), inFlight: members.filter(({ inFlight }) => inFlight) }
}
export function loadOf(snapshot: PoolSnapshot, { uuid, spec }: GroupRecord): number | undefined {
  if (spec.metric.type === 'function') return snapshot.metrics[uuid]
  const ratios = membersOf(snapshot, uuid).ready.flatMap(({ cpuRatio }) => (cpuRatio === undefined ? [] : [cpuRatio]))
  return ratios.length === 0 ? undefined : ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length
}
export const GROUP_COLUMNS: readonly Column[] = [
  { title: 'group', whole: true }, { title: 'pool' }, { title: 'state' }, { title: 'ready', ...RIGHT }, { title: 'in flight', ...RIGHT }, { title: 'min-max', ...RIGHT }, { title: 'load', ...RIGHT }, { title: 'in-out', ...RIGHT }, { title: 'measured by' },
]
export const groupRow = (snapshot: PoolSnapshot, group: GroupRecord): readonly string[] => {
  const { ready, inFlight } = membersOf(snapshot, group.uuid)
  const { spec } = group
  return [group.name, snapshot.pool.name, group.paused ? 'paused' : 'active', String(ready.length), String(inFlight.length), `${spec.min}-${spec.max}`, ratioText(loadOf(snapshot, group)), `${ratioText(spec.in)}-${ratioText(spec.out)}`, spec.metric.type === 'cpu' ? 'cpu' : spec.metric.name]
}

export const poolFields = (snapshot: PoolSnapshot, { style }: TableLayout): string => {
  const { pool, mode } = snapshot
  const { booked, vcpus, memoryMiB } = sumsOf(snapshot)
  return fields([
    ['name', pool.name], ['uuid', pool.uuid], ...(pool.description === '' ? [] : [['about', pool.description] as const]),
    ...(mode === 'armed' ? [] : [['mode', 'freeze: policies move and restart nothing'] as const]),
    ['scheduler', schedulerText(pool.scheduler)], ['booked', `${countText(booked.vms, 'VM')}, ${ofWhole(booked.vcpus, vcpus)} vcpus, ${mebibytesText(booked.memoryMiB)} of ${mebibytesText(memoryMiB)}`],
    ['over-commit', `${pool.overcommit.cpuRatio} vcpus a core, ${pool.overcommit.memoryRatio} of memory; kept free on each machine: ${pool.reserve.vcpus} vcpus, ${mebibytesText(pool.reserve.memoryMiB)}`],
    ['survives', pool.survivesHosts === 0 ? 'no promise' : `the loss of ${countText(pool.survivesHosts, 'machine')}`],
    ['migrations', `${pool.migrations.perHost} at once a machine, ${pool.migrations.perPool} in the pool`], ['policies', orDash(pool.policies.join(', '))],
    ...snapshot.rules.map((rule) => [`rule ${rule.name}`, ruleText(rule)] as const),
  ], style)
}

const scoreText = (score: number): string => String(Math.round(score * 1_000) / 1_000)

/** Where it would go: best first with scores, then who was refused by which filter and why. */
export function choiceText(choice: Choice, names: ReadonlyMap<string, string>, layout: TableLayout): string {
  const nameOf = (machine: string): string => names.get(machine) ?? machine
  const parts = [...new Set(choice.ranked.flatMap((one) => Object.keys(one.parts ?? {})))]
  const rows = [
    ...choice.ranked.map((one) => [nameOf(one.machine), one.machine === choice.chosen ? 'chosen' : 'can', scoreText(one.score), ...parts.map((part) => (one.parts?.[part] === undefined ? '' : scoreText(one.parts[part]))), '']),
    ...choice.refused.map(({ machine, filter, reason }) => [nameOf(machine), filter, '', ...parts.map(() => ''), reason]),
  ]
  const columns: readonly Column[] = [
    { title: 'machine', whole: true }, { title: 'verdict', paint: (cell, style) => (cell.trim() === 'chosen' ? style.green(cell) : cell.trim() === 'can' ? cell : style.yellow(cell)) }, { title: 'score', ...RIGHT },
    ...parts.map((title) => ({ title, ...RIGHT })), { title: 'why not' },
  ]
  const head = choice.chosen === undefined ? `No machine can take it (scheduler ${choice.scheduler}).` : `${nameOf(choice.chosen)}, by ${choice.scheduler} in ${Math.round(choice.tookMs)} ms.`
  return [`${head}${choice.problem === undefined ? '' : ` ${choice.problem}`}`, ...(rows.length === 0 ? [] : [table(columns, rows, layout)])].join('\n')
}

/** What changed no VM (protected, grouped, paused, ...) is a note. */
export const outcomeText = ({ action, outcome }: Pick<DecisionRecord, 'action' | 'outcome'>): string => { const what = action === 'none' ? 'note' : action; return outcome === 'done' ? what : `${what}: ${outcome}` }
export const decisionsTable = (decisions: readonly DecisionRecord[], names: ReadonlyMap<string, string>, nowMs: number, layout: TableLayout): string => table(
  [{ title: 'when', whole: true }, { title: 'by' }, { title: 'what', paint: (cell, style) => (cell.includes('refused') ? style.yellow(cell) : cell) }, { title: 'about' }, { title: 'because' }],
  decisions.map((one) => [agoText(one.atMs, nowMs), one.policy, outcomeText(one), one.about.map((uuid) => names.get(uuid) ?? uuid.slice(0, 8)).join(', '), one.reason]), layout)

/** Names of what a pool's decisions are about, by uuid. */
export const namesIn = ({ machines, vms, groups }: PoolSnapshot): ReadonlyMap<string, string> => new Map([...machines, ...vms, ...groups].map(({ uuid, name }) => [uuid, name]))

/** The sentence first, then what it stands on. */
export function explanationText(explained: Explanation, names: ReadonlyMap<string, string>, nowMs: number, layout: TableLayout): string {
  const { summary, intent, status, lease, placement, notes, decisions } = explained
  const facts: (readonly [string, string])[] = []
  if (intent !== undefined) {
    facts.push(['wanted', `${intent.desired}${intent.machine === undefined ? ', nowhere yet' : ` on ${intent.machine.name}`}, epoch ${intent.epoch}: ${intent.reason} (${intent.decidedBy}, ${agoText(intent.decidedAtMs, nowMs)})`])
    if (intent.protection !== undefined) facts.push(['protection', `${intent.protection.armed ? 'armed' : 'not armed yet'}; restarts ${intent.tries.restarts} of ${intent.protection.restarts}, other machines ${intent.tries.relocations} of ${intent.protection.relocations}, in ${durationText(intent.protection.windowMs)}`])
    if (intent.error !== undefined) facts.push(['error', `${intent.error} (\`kumoi ha clear ${intent.name}\` begins anew)`])
  }
  if (status !== undefined) facts.push(['is', `${status.phase} for ${durationText(nowMs - status.sinceMs)}, epoch ${status.epoch}${status.attempts > 0 ? `, ${countText(status.attempts, 'attempt')}` : ''}${status.error === undefined ? '' : `: ${status.error}`}`])
  // Only the host of a VM that is protected has to hold one.
  const needed = intent === undefined ? lease?.state === 'held' : intent.protection !== undefined
  if (lease !== undefined && needed) facts.push(['lease', `of ${lease.node}: ${lease.state === 'held' ? 'held' : 'gone'} for ${durationText(lease.ageMs)} (${durationText(lease.leaseMs)} long)`])
  for (const [policy, noted] of Object.entries(notes)) facts.push([policy, Object.entries(noted).map(([key, value]) => `${key} ${cellText(value)}`).join(', ')])
  return [
    summary,
    ...(facts.length === 0 ? [] : [fields(facts, layout.style)]),
    ...(placement === undefined ? [] : [`${layout.style.dim('where it could go now:')} ${choiceText(placement, names, layout)}`]),
    ...(decisions.length === 0 ? [] : [decisionsTable(decisions, names, nowMs, layout)]),
  ].join('\n\n')
}

// Whether a hard rule can be kept at all, asked when it is made: with the VMs and machines that there are, beside the hard
// rules that there are. Pure.
//
//   rules -> blocs: VMs that must be together -> machines where each bloc may be ('on', 'not-on', its size against what can
//   be booked there) -> 'apart': a machine of its own for each (bipartite matching) -> what is wrong
//
// What is asked is what the machines can hold, not what is free now: a rule that needs some VMs moved first is a good rule.
// Machines in maintenance count, they come back. Two 'apart' rules that overlap are each looked at alone (both at once is
// colouring a graph); a combination that gets through leaves a VM pending with its reasons, it breaks nothing. Only what the
// new rule adds is held against it: a pool where a machine has left must still be able to get better rules.
//
// Source: cloud.md 8.13, and the infeasible rules that Proxmox VE switches off when it meets them.

import { nearest } from '../../fabric/base.ts'
import type { MachineView, RuleRecord, VmView } from '../cloud/contract.ts'
import { byName } from './board.ts'
import type { PlaceSnapshot } from './board.ts'
import { selectorOf } from './rule-index.ts'

type Amount = Pick<VmView, 'vcpus' | 'memoryMiB'>
interface Selecting { readonly rule: RuleRecord; readonly vms: readonly VmView[] }
/** VMs that must be on one machine. */
interface Bloc { readonly vms: readonly VmView[]; readonly rules: readonly RuleRecord[]; readonly machines: readonly MachineView[] }

/** Why a rule cannot be kept; undefined: it can. Of a soft one only its form is looked at. One of the same name is replaced by it. */
export function ruleProblem(rule: RuleRecord, snapshot: PlaceSnapshot): string | undefined {
  const malformed = formProblem(rule, snapshot)
  // Where there are no machines yet, there is nothing to say.
  if (malformed !== undefined || !rule.hard || snapshot.machines.length === 0) return malformed
  const others = snapshot.rules.filter(({ name, hard }) => hard && name !== rule.name)
  const before = new Set(problemsOf(others, snapshot))
  return problemsOf([...others, rule].sort((a, b) => (a.name < b.name ? -1 : 1)), snapshot).find((problem) => !before.has(problem))
}

function formProblem({ type, vms, machines = [] }: RuleRecord, { pool, machines: there }: PlaceSnapshot): string | undefined {
  if (vms.length === 0) return 'it names no VMs'
  const broken = vms.find((text) => text === '' || text === 'group:' || text.startsWith('='))
  if (broken !== undefined) return `"${broken}" is neither a VM's name, nor "label=value", nor "group:NAME"`
  if (type === 'together' || type === 'apart') return machines.length === 0 ? undefined : `a rule '${type}' is about VMs among each other and names no machines`
  if (machines.length === 0) return 'it names no machines'
  const stranger = machines.find((wanted) => !there.some(({ name, uuid }) => name === wanted || uuid === wanted))
  if (stranger === undefined) return undefined
  const near = nearest(stranger, there.map(({ name }) => name))
  return `pool ${pool.name} has no machine ${stranger}${near === undefined ? '' : ` (did you mean ${near}?)`}`
}

/** All that cannot be kept of these hard rules; empty: they can be kept, as far as is looked. */
export function problemsOf(rules: readonly RuleRecord[], snapshot: PlaceSnapshot): readonly string[] {
  const there = snapshot.vms.filter(({ desired }) => desired !== 'absent').sort(byName)
  const selecting = rules.map((rule): Selecting => ({ rule, vms: there.filter(selectorOf(rule.vms, snapshot.groups ?? [])) }))
  const vms = [...new Set(selecting.flatMap(({ vms: selected }) => selected))]
  const machines = snapshot.machines.toSorted(byName)
  const blocOf = new Map<string, Bloc>()
  const blocs = blocsOf(vms, selecting, machines)
  for (const bloc of blocs) for (const vm of bloc.vms) blocOf.set(vm.uuid, bloc)
  return [
    ...blocs.flatMap((bloc) => (bloc.machines.length > 0 || bloc.rules.length === 0 ? [] : [nowhereText(bloc, machines)])),
    ...selecting.flatMap((one) => (one.rule.type === 'apart' ? apartProblem(one, blocOf) : one.rule.type === 'on' ? onProblem(one, machines) : [])),
  ]
}

function blocsOf(vms: readonly VmView[], selecting: readonly Selecting[], machines: readonly MachineView[]): readonly Bloc[] {
  const parents = new Map(vms.map(({ uuid }) => [uuid, uuid]))
  const rootOf = (uuid: string): string => {
    let root = uuid
    for (let up = parents.get(root); up !== undefined && up !== root; up = parents.get(root)) root = up
    parents.set(uuid, root)
    return root
  }
  const bound = new Map<string, RuleRecord[]>()
  for (const { rule, vms: selected } of selecting) {
    const [first, ...rest] = selected
    if (rule.type === 'together') for (const { uuid } of rest) parents.set(rootOf(uuid), rootOf(first?.uuid ?? uuid))
    if (rule.type === 'apart' || (rule.type === 'together' && rest.length === 0)) continue
    for (const { uuid } of selected) bound.set(uuid, [...bound.get(uuid) ?? [], rule])
  }
  return [...Map.groupBy(vms, ({ uuid }) => rootOf(uuid)).values()].map((members) => {
    const binding = [...new Set(members.flatMap(({ uuid }) => bound.get(uuid) ?? []))]
    const needs = needed(members)
    return { vms: members, rules: binding, machines: machines.filter((machine) => isAllowed(binding, machine) && fits(needs, bookable(machine))) }
  })
}

const names = ({ machines = [] }: RuleRecord, { name, uuid }: MachineView): boolean => machines.includes(name) || machines.includes(uuid)
const isAllowed = (rules: readonly RuleRecord[], machine: MachineView): boolean =>
  rules.every((rule) => (rule.type === 'on' ? names(rule, machine) : rule.type === 'not-on' ? !names(rule, machine) : true))

const sum = (amounts: readonly Amount[]): Amount => amounts.reduce((all, one) => ({ vcpus: all.vcpus + one.vcpus, memoryMiB: all.memoryMiB + one.memoryMiB }), { vcpus: 0, memoryMiB: 0 })
const needed = (vms: readonly VmView[]): Amount => sum(vms.filter(({ desired }) => desired === 'running'))
const fits = (needs: Amount, there: Amount): boolean => needs.vcpus <= there.vcpus && needs.memoryMiB <= there.memoryMiB
/** Of a machine with nothing on it but what is not managed. */
const bookable = ({ freeVcpus, freeMemoryMiB, booked }: MachineView): Amount => ({ vcpus: freeVcpus + booked.vcpus, memoryMiB: freeMemoryMiB + booked.memoryMiB })

// ---------------------------------------------------------------- said for people

const NAMES_SHOWN = 4
const listed = (of: readonly { readonly name: string }[]): string =>
  of.slice(0, NAMES_SHOWN).map(({ name }) => name).join(', ') + (of.length > NAMES_SHOWN ? ` and ${of.length - NAMES_SHOWN} more` : '')
const amountText = ({ vcpus, memoryMiB }: Amount): string => `${vcpus} vcpus and ${memoryMiB} MiB`
const rulesText = (rules: readonly RuleRecord[]): string => `${rules.length === 1 ? 'rule' : 'rules'} ${rules.map(({ name, type }) => `${name} (${type})`).join(', ')}`

function nowhereText({ vms, rules }: Bloc, machines: readonly MachineView[]): string {
  const allowed = machines.filter((machine) => isAllowed(rules, machine))
  if (allowed.length === 0) return `there is no machine where ${listed(vms)} may be, by ${rulesText(rules)}`
  return `no machine where ${listed(vms)} may be, by ${rulesText(rules)}, can hold their ${amountText(needed(vms))}`
}

/** All that must be on these machines, against what these have in all. */
function onProblem({ rule, vms }: Selecting, machines: readonly MachineView[]): readonly string[] {
  const meant = machines.filter((machine) => names(rule, machine))
  const needs = needed(vms)
  const there = sum(meant.map(bookable))
  if (fits(needs, there)) return []
  return [`rule ${rule.name} (on) wants ${amountText(needs)} for ${listed(vms)}; ${listed(meant)} can have ${amountText(there)} in all`]
}

/** A machine of its own for each bloc: augmenting paths, at most one search a bloc. */
function apartProblem({ rule, vms }: Selecting, blocOf: ReadonlyMap<string, Bloc>): readonly string[] {
  const seen = new Map<Bloc, VmView>()
  const blocs: Bloc[] = []
  for (const vm of vms) {
    const bloc = blocOf.get(vm.uuid)
    if (bloc === undefined) continue
    const other = seen.get(bloc)
    if (other !== undefined) return [`${other.name} and ${vm.name} must be together by ${rulesText(bloc.rules.filter(({ type }) => type === 'together'))}, and apart by rule ${rule.name}`]
    seen.set(bloc, vm)
    // What has nowhere to be is told of already.
    if (bloc.machines.length > 0) blocs.push(bloc)
  }
  const holder = new Map<string, Bloc>()
  const settle = (bloc: Bloc, tried: Set<string>): boolean => {
    const free = bloc.machines.find(({ uuid }) => !holder.has(uuid))
    const machine = free ?? bloc.machines.find(({ uuid }) => {
      if (tried.has(uuid)) return false
      tried.add(uuid)
      const present = holder.get(uuid)
      return present !== undefined && settle(present, tried)
    })
    if (machine !== undefined) holder.set(machine.uuid, bloc)
    return machine !== undefined
  }
  const settled = blocs.filter((bloc) => settle(bloc, new Set())).length
  if (settled === blocs.length) return []
  const where = new Set(blocs.flatMap(({ machines }) => machines.map(({ uuid }) => uuid))).size
  return [`rule ${rule.name} (apart) wants ${blocs.length} machines for ${listed([...seen.values()])}; of the ${where} where they may be, ${settled} can be given at most`]
}

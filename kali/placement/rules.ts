// Rules that cannot be kept are refused when they are made, with what stands against them. Pure.
//
// Necessary conditions, each with a reason that a human can act on: names that exist, a machine that is left for every VM,
// no two VMs together and apart, as many machines as VMs that are apart, room for what has to share a machine or a few. Not
// a proof that everything can be placed: that is packing, and changes with every VM. Only VMs that the rule touches are
// looked at, so that an old rule which can be kept no more (a machine has left) does not block a new one elsewhere.

import { nearest } from '../../fabric/base.ts'
import type { MachineView, RuleRecord, VmView } from '../cloud/contract.ts'
import type { PlaceSnapshot } from './board.ts'
import { byName } from './board.ts'
import { selectorOf } from './rule-index.ts'

/** Why a rule cannot be kept with the machines, VMs and other hard rules of its pool; undefined: nothing speaks against it. A present rule of its name is replaced. */
export function ruleProblem(rule: RuleRecord, snapshot: PlaceSnapshot): string | undefined {
  const malformed = formProblem(rule, snapshot.machines)
  if (malformed !== undefined || !rule.hard) return malformed
  const rules = [...snapshot.rules.filter((other) => other.hard && other.name !== rule.name), rule].map((one) => ({ ...one, selects: selectorOf(one.vms, snapshot.groups ?? []) }))
  const own = rules.at(-1)
  const vms = snapshot.vms.filter(({ desired }) => desired !== 'absent').toSorted(byName)
  const clusters = clustersOf(vms, rules).map((members) => clusterOf(members, rules, snapshot.machines))
  const touched = new Set(clusters.filter(({ vms: members }) => members.some((vm) => own?.selects(vm) === true)))
  for (const cluster of touched) {
    const problem = apartProblem(cluster, rules) ?? placeProblem(cluster, rules)
    if (problem !== undefined) return problem
  }
  for (const apart of rules) {
    if (apart.type !== 'apart') continue
    const separate = clusters.filter(({ vms: members }) => members.some(apart.selects))
    if (separate.some((cluster) => touched.has(cluster)) && !haveOneEach(separate)) return `rule ${apart.name}: ${separate.length} VMs apart need as many machines, and there are ${new Set(separate.flatMap(({ machines }) => machines)).size} (${names(separate.flatMap(({ vms: members }) => members.filter(apart.selects)))})`
  }
  return own?.type === 'on' ? roomProblem(vms.filter(own.selects), snapshot.machines.filter((machine) => namesMachine(own, machine)), 'all of') : undefined
}

type Selecting = RuleRecord & { selects(vm: VmView): boolean }
/** VMs that have to be on one machine, and the machines that rules leave them. */
interface Cluster { readonly vms: readonly VmView[]; readonly machines: readonly MachineView[]; readonly bound: readonly string[] }

const NAMES_SHOWN = 3
const names = (of: readonly { readonly name: string }[]): string => of.slice(0, NAMES_SHOWN).map(({ name }) => name).join(', ') + (of.length > NAMES_SHOWN ? ` and ${of.length - NAMES_SHOWN} more` : '')
const namesMachine = ({ machines = [] }: RuleRecord, { name, uuid }: MachineView): boolean => machines.includes(name) || machines.includes(uuid)

function formProblem({ type, vms, machines = [] }: RuleRecord, there: readonly MachineView[]): string | undefined {
  if (vms.length === 0) return 'it names no VMs'
  const broken = vms.find((text) => text === '' || text === 'group:' || text.startsWith('='))
  if (broken !== undefined) return `"${broken}" is neither a VM's name, nor "label=value", nor "group:NAME"`
  const places = type === 'on' || type === 'not-on'
  if (!places) return machines.length === 0 ? undefined : `a rule '${type}' is about VMs among each other and names no machines`
  if (machines.length === 0) return 'it names no machines'
  const known = there.flatMap(({ name, uuid }) => [name, uuid])
  const unknown = machines.find((machine) => !known.includes(machine))
  if (unknown === undefined) return undefined
  const near = nearest(unknown, there.map(({ name }) => name))
  return `the pool has no machine ${unknown}${near === undefined ? '' : ` (did you mean ${near}?)`}`
}

/** Groups of VMs that 'together' joins, directly or by way of others; a VM that no such rule names is alone. */
function clustersOf(vms: readonly VmView[], rules: readonly Selecting[]): readonly (readonly VmView[])[] {
  const parent = new Map(vms.map(({ uuid }) => [uuid, uuid]))
  const rootOf = (uuid: string): string => {
    let at = uuid
    for (let up = parent.get(at); up !== undefined && up !== at; up = parent.get(at)) at = up
    parent.set(uuid, at)
    return at
  }
  for (const { type, selects } of rules) {
    if (type !== 'together') continue
    const [first, ...others] = vms.filter(selects)
    for (const other of others) if (first !== undefined) parent.set(rootOf(other.uuid), rootOf(first.uuid))
  }
  return [...Map.groupBy(vms, ({ uuid }) => rootOf(uuid)).values()]
}

function clusterOf(vms: readonly VmView[], rules: readonly Selecting[], machines: readonly MachineView[]): Cluster {
  const binding = rules.filter(({ type, selects }) => (type === 'on' || type === 'not-on') && vms.some(selects))
  return { vms, machines: machines.filter((machine) => binding.every((rule) => namesMachine(rule, machine) === (rule.type === 'on'))), bound: binding.map(({ name }) => name) }
}

function apartProblem({ vms }: Cluster, rules: readonly Selecting[]): string | undefined {
  if (vms.length < 2) return undefined
  const apart = rules.find(({ type, selects }) => type === 'apart' && vms.filter(selects).length > 1)
  if (apart === undefined) return undefined
  const together = rules.filter(({ type, selects }) => type === 'together' && vms.some(selects)).map(({ name }) => name)
  return `${names(vms.filter(apart.selects))} would have to be together (${together.join(', ')}) and apart (${apart.name})`
}

function placeProblem({ vms, machines, bound }: Cluster, rules: readonly Selecting[]): string | undefined {
  if (machines.length === 0 && bound.length > 0) return `no machine is left for ${names(vms)} by the rules ${bound.join(', ')}`
  const joined = vms.length > 1 && rules.some(({ type, selects }) => type === 'together' && vms.some(selects))
  // Without either, whether it fits is not for a rule to say.
  if (!joined && bound.length === 0) return undefined
  const running = vms.filter(({ desired }) => desired === 'running')
  const problems = machines.map((machine) => roomProblem(running, [machine], 'one of'))
  return problems.length > 0 && problems.every((problem) => problem !== undefined) ? problems[0] : undefined
}

/** Whether machines could hold VMs if nothing else were on them. */
function roomProblem(vms: readonly VmView[], machines: readonly MachineView[], how: 'all of' | 'one of'): string | undefined {
  const running = vms.filter(({ desired }) => desired === 'running')
  const needed = sum(running.map(({ vcpus, memoryMiB }) => ({ vcpus, memoryMiB })))
  const there = sum(machines.map(({ freeVcpus, freeMemoryMiB, booked }) => ({ vcpus: freeVcpus + booked.vcpus, memoryMiB: freeMemoryMiB + booked.memoryMiB })))
  if (needed.vcpus <= there.vcpus && needed.memoryMiB <= there.memoryMiB) return undefined
  return `${names(running)} need ${needed.vcpus} vcpus and ${needed.memoryMiB} MiB; ${how === 'one of' ? `no machine that the rules leave has as much (${names(machines)}: ` : `${names(machines)} have in all (`}${there.vcpus} vcpus, ${there.memoryMiB} MiB)`
}

const sum = (amounts: readonly { readonly vcpus: number; readonly memoryMiB: number }[]): { readonly vcpus: number; readonly memoryMiB: number } =>
  amounts.reduce((all, one) => ({ vcpus: all.vcpus + one.vcpus, memoryMiB: all.memoryMiB + one.memoryMiB }), { vcpus: 0, memoryMiB: 0 })

/** Whether each can have a machine of its own among those left to it (bipartite matching by augmenting paths). */
function haveOneEach(clusters: readonly Cluster[]): boolean {
  const taken = new Map<string, Cluster>()
  const takeFor = (cluster: Cluster, asked: Set<string>): boolean => {
    const free = cluster.machines.find(({ uuid }) => !taken.has(uuid))
    if (free !== undefined) { taken.set(free.uuid, cluster); return true }
    for (const { uuid } of cluster.machines) {
      if (asked.has(uuid)) continue
      asked.add(uuid)
      const holder = taken.get(uuid)
      if (holder === undefined || !takeFor(holder, asked)) continue
      taken.set(uuid, cluster)
      return true
    }
    return false
  }
  return clusters.every((cluster) => takeFor(cluster, new Set()))
}

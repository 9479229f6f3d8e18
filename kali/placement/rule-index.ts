// The rules of a pool beside where its VMs are: which rules speak of a VM, and whether a machine would break one of them.
// Kept up to date as VMs are placed, so that a thousand placements in a row need not count again. Pure.
//
//   hard -> filters.ts refuses the machine            soft -> ranking.ts takes it off the machine's score
//
// A VM's own present place never speaks against another one. 'together' looks at machines that answer and take VMs: what
// stands on a lost or draining one has to move itself, and must not keep the others from moving.

import type { GroupRecord, MachineView, RuleRecord, VmView } from '../cloud/contract.ts'

/** What selectors look at. */
export type Selectable = Pick<VmView, 'uuid' | 'name' | 'labels' | 'group'>
type Named = Pick<MachineView, 'uuid' | 'name'>

const GROUP = 'group:'

/** Whether "NAME", "UUID", "label=value" or "group:NAME" selects a VM. Groups by name or uuid. */
export function selectorOf(vms: readonly string[], groups: readonly Pick<GroupRecord, 'uuid' | 'name'>[]): (vm: Selectable) => boolean {
  const names = new Set<string>()
  const members = new Set<string>()
  const labels: (readonly [string, string])[] = []
  for (const text of vms) {
    const at = text.indexOf('=')
    if (text.startsWith(GROUP)) {
      const name = text.slice(GROUP.length)
      members.add(name)
      for (const group of groups) if (group.name === name) members.add(group.uuid)
    } else if (at > 0) labels.push([text.slice(0, at), text.slice(at + 1)])
    else names.add(text)
  }
  return (vm) => names.has(vm.name) || names.has(vm.uuid) || (vm.group !== undefined && members.has(vm.group)) || labels.some(([label, value]) => vm.labels[label] === value)
}

/** One rule with the places of the VMs that it speaks of. */
export class RuleState {
  readonly rule: RuleRecord
  readonly selects: (vm: Selectable) => boolean
  readonly #machines: ReadonlySet<string>
  /** VMs it speaks of, by machine. */
  readonly #there = new Map<string, number>()
  /** Of those, the ones on machines that take VMs. */
  #settled = 0

  constructor(rule: RuleRecord, groups: readonly Pick<GroupRecord, 'uuid' | 'name'>[]) {
    this.rule = rule
    this.selects = selectorOf(rule.vms, groups)
    this.#machines = new Set(rule.machines ?? [])
  }

  add(machine: string, settled: boolean): void {
    this.#there.set(machine, (this.#there.get(machine) ?? 0) + 1)
    if (settled) this.#settled++
  }

  /** `own`: where the VM itself is counted now. */
  keeps(machine: Named, own: { readonly machine: string; readonly settled: boolean } | undefined): boolean {
    const here = (this.#there.get(machine.uuid) ?? 0) - (own?.machine === machine.uuid ? 1 : 0)
    switch (this.rule.type) {
      case 'together': return here > 0 || this.#settled - (own?.settled === true ? 1 : 0) === 0
      case 'apart': return here === 0
      case 'on': return this.names(machine)
      case 'not-on': return !this.names(machine)
    }
  }

  names(machine: Named): boolean { return this.#machines.has(machine.name) || this.#machines.has(machine.uuid) }

  /** Why `keeps` said no. */
  reason(): string {
    const { name, type, machines = [] } = this.rule
    switch (type) {
      case 'together': return `rule ${name}: together with VMs that are on another machine`
      case 'apart': return `rule ${name}: apart from a VM that is here`
      case 'on': return `rule ${name}: only on ${machines.join(', ')}`
      case 'not-on': return `rule ${name}: not on ${machines.join(', ')}`
    }
  }
}

export class RuleIndex {
  readonly #states: readonly RuleState[]
  readonly #places = new Map<string, { readonly machine: string; readonly settled: boolean }>()

  constructor(rules: readonly RuleRecord[], groups: readonly Pick<GroupRecord, 'uuid' | 'name'>[]) {
    this.#states = rules.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)).map((rule) => new RuleState(rule, groups))
  }

  /** A VM that has no place yet gets one. `settled`: its machine answers and takes VMs. */
  add(vm: Selectable, machine: string, settled: boolean): void {
    this.#places.set(vm.uuid, { machine, settled })
    for (const state of this.#states) if (state.selects(vm)) state.add(machine, settled)
  }

  place(vm: string): { readonly machine: string; readonly settled: boolean } | undefined { return this.#places.get(vm) }

  /** Those that speak of a VM, by name. */
  of(vm: Selectable, kind: 'hard' | 'soft'): readonly RuleState[] {
    return this.#states.filter((state) => state.rule.hard === (kind === 'hard') && state.selects(vm))
  }
}

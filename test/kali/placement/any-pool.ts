// Pools and VMs to place for properties: few names, so that rules meet, and machines that are small enough to be full.

import { needOf } from '../../../kali/placement/admission.ts'
import type { PoolSnapshot, RuleRecord, VmNeed } from '../../../kali/cloud/contract.ts'
import { machine, pending, POOL, protection, snapshot, vm } from '../../support/pool-snapshots.ts'
import { fc } from '../../support/property.ts'

export const rule = (name: string, type: RuleRecord['type'], vms: readonly string[], machines?: readonly string[]): RuleRecord =>
  ({ name, pool: POOL, type, hard: true, vms, ...(machines === undefined ? {} : { machines }) })

const NAMES = ['a', 'b', 'c', 'd', 'e'] as const
const size = { vcpus: fc.integer({ min: 1, max: 4 }), memoryMiB: fc.integer({ min: 1, max: 8 }).map((n) => n * 512) }

const anyMachine = (name: string): fc.Arbitrary<PoolSnapshot['machines'][number]> => fc.record({
  mode: fc.constantFrom('in-service', 'in-service', 'in-service', 'draining', 'maintenance'), member: fc.constantFrom('alive', 'alive', 'alive', 'suspect', 'dead'),
  freeVcpus: fc.integer({ min: -1, max: 10 }), freeMemoryMiB: fc.integer({ min: -512, max: 8_192 }), cpuRatio: fc.double({ min: 0, max: 1, noNaN: true }), asleep: fc.boolean(),
}).map(({ asleep, ...change }) => machine(name, { ...change, booked: { vms: 1, vcpus: 1, memoryMiB: 512 }, power: { idleWatts: 100, fullWatts: 300, asleep } }))

const anyRule = (n: number): fc.Arbitrary<RuleRecord> => fc.record({
  type: fc.constantFrom('together', 'apart', 'on', 'not-on'), hard: fc.boolean(),
  vms: fc.uniqueArray(fc.constantFrom('v0', 'v1', 'v2', 'v3', 'old0', 'old1'), { minLength: 1, maxLength: 4 }), machines: fc.uniqueArray(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 }),
}).map(({ type, hard, vms, machines }) => ({ ...rule(`r${n}`, type, vms, type === 'on' || type === 'not-on' ? machines : undefined), hard }))

export interface AnyPool { readonly pool: PoolSnapshot; readonly needs: readonly VmNeed[] }
export const anyPool: fc.Arbitrary<AnyPool> = fc.record({
  machines: fc.uniqueArray(fc.constantFrom(...NAMES), { minLength: 1 }).chain((names) => fc.tuple(...names.map(anyMachine))),
  old: fc.array(fc.record({ ...size, at: fc.constantFrom(...NAMES), inFlight: fc.boolean(), isProtected: fc.boolean() }), { maxLength: 2 }),
  rules: fc.integer({ min: 0, max: 3 }).chain((count) => fc.tuple(...Array.from({ length: count }, (_, n) => anyRule(n)))),
  needs: fc.array(fc.record({ ...size, priority: fc.integer({ min: 0, max: 1 }), isProtected: fc.boolean() }), { maxLength: 8 }),
}).map(({ machines, old, rules, needs }) => ({
  pool: snapshot({
    machines, rules,
    vms: old.map(({ at, inFlight, isProtected, ...change }, n) => vm(`old${n}`, { ...change, machine: `m-${at}`, inFlight, ...(isProtected ? { protection } : {}) })),
  }),
  needs: needs.map(({ isProtected, priority, ...change }, n) => ({ ...needOf(pending(`v${n}`, { ...change, ...(isProtected ? { protection } : {}) })), priority })),
}))

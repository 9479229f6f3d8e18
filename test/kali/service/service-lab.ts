// A service of one node over a store in memory, with machines that are made up: what they say of themselves is a table, and an
// agent of few words does what intents ask for, or what a test tells it to.

import type { Test } from 'tap'
import { seededRandom, systemClock } from '../../../fabric/base.ts'
import type { Authority, ReferenceRecord } from '../../../functions/mod.ts'
import type { VmSettings } from '../../../rmo/mod.ts'
import { CLOUD_KEYS } from '../../../kali/cloud/keys.ts'
import type { CloudView, IntentRecord, StatusRecord } from '../../../kali/cloud/contract.ts'
import { TIMINGS } from '../../../kali/lease/timings.ts'
import { admissionProblem } from '../../../kali/placement/admission.ts'
import { createChoose } from '../../../kali/placement/choose.ts'
import { ruleProblem } from '../../../kali/placement/rules.ts'
import type { ObservedKind, RunningCloudService } from '../../../kali/service/options.ts'
import { createCloudService } from '../../../kali/service/service.ts'
import type { GlobalStore } from '../../../fabric/mod.ts'
import { cloudNode, cloudNodes, machineRecord, nodeOf, poolRecord } from '../../support/cloud-book.ts'
import type { CloudNode } from '../../support/cloud-book.ts'

const CALL_MS = 10_000

/** What the agent of its machine says of an intent; undefined: nothing. */
export type Behave = (intent: IntentRecord) => Pick<StatusRecord, 'phase' | 'error'> | 'forget' | undefined

/** Does at once what is wanted. */
export const obedient: Behave = ({ desired }) => desired === 'absent' ? 'forget' : { phase: desired === 'running' ? 'running' : 'stopped' }

export interface ServiceLab extends CloudNode {
  readonly service: RunningCloudService
  /** Of a user's call. */
  by(options?: { readonly remainingMs?: number; readonly principal?: string }): Authority
  /** Objects by kind, as machines tell of them. */
  readonly seen: Map<ObservedKind, ReferenceRecord[]>
  /** Nodes that do not answer. */
  readonly silent: Set<string>
  readonly members: Map<string, 'alive' | 'suspect' | 'dead' | 'left'>
  readonly ensured: string[]
  /** Names of deployed functions. */
  readonly deployed: string[]
  readonly metrics: Map<string, unknown>
  /** How often machines were asked of a kind. */
  readonly asked: Map<ObservedKind, number>
  agent(behave: Behave): void
  contact(ms: number): void
  /** The lease key of a machine's node comes or goes. */
  lease(machine: string, state: 'held' | 'gone'): Promise<void>
}

const bare = (kind: string, uuid: string, home: string, attributes: ReferenceRecord['attributes']): ReferenceRecord => ({ kind, uuid, home, name: uuid, attributes: { name: uuid, uuid, ...attributes } })

export const coldVm = (name: string, settings: Partial<VmSettings> = {}, uuid = `uuid-${name}`): ReferenceRecord =>
  ({ kind: 'VM', uuid, home: nodeOf('m1'), name, attributes: { name, vcpus: 1, memoryMiB: 512, devices: [], ...settings }, cold: true })
export const liveVm = (name: string, machine = 'm1', settings: Partial<VmSettings> = {}): ReferenceRecord =>
  ({ kind: 'VM', uuid: `uuid-${name}`, home: nodeOf(machine), name, attributes: { name, uuid: `uuid-${name}`, state: 'running', host: machine, vcpus: 1, memoryMiB: 512, devices: [], cpuRatio: 0.5, ...settings } })

/** What a machine of 4 cores and 4,096 MiB tells of itself. */
export function describe(seen: ServiceLab['seen'], machine: string): void {
  const add = (kind: ObservedKind, each: ReferenceRecord): void => void seen.set(kind, [...seen.get(kind) ?? [], each])
  const node = nodeOf(machine)
  add('PhysicalMachine', bare('PhysicalMachine', machine, node, { cores: 4, memoryTotalBytes: 4_096 * 2 ** 20, cpuRatio: 0.25 }))
  add('VMM', bare('VMM', machine, node, { memoryTotalMiB: 4_096 }))
  add('Image', bare('Image', 'debian', node, {}))
  add('StoragePool', bare('StoragePool', 'shared', node, { path: '/shared', state: 'active' }))
  add('Switch', bare('Switch', 'br0', node, {}))
}

async function labOn(t: Test, node: CloudNode, machines: readonly string[]): Promise<ServiceLab> {
  const seen: ServiceLab['seen'] = new Map(), silent = new Set<string>(), metrics = new Map<string, unknown>(), asked: ServiceLab['asked'] = new Map()
  const members: ServiceLab['members'] = new Map(machines.map((machine) => [nodeOf(machine), 'alive']))
  const ensured: string[] = [], deployed: string[] = ['mine']
  let contactMs = 60_000
  const view = Object.create(node.view, { contactSinceMs: { value: () => systemClock.nowMs() - contactMs } }) as CloudView & CloudNode['view']
  for (const machine of machines) describe(seen, machine)
  const service = createCloudService({
    view, book: node.book, clock: systemClock, random: seededRandom(7), timings: TIMINGS.fast,
    log: { debug() {}, info() {}, warn: (message: string) => void node.warnings.push(message), error() {}, child() { return this } } as never,
    choose: createChoose({ clock: systemClock, async run() { throw new Error('the user\'s scheduler is broken') } }),
    async vote() { return { when: [] } },
    members: () => [...members].map(([id, state]) => ({ id, name: id, state })) as never,
    async observe(kind) {
      asked.set(kind, (asked.get(kind) ?? 0) + 1)
      return { references: (seen.get(kind) ?? []).filter(({ home }) => !silent.has(home)), failures: [...silent].map((each) => ({ node: each })) }
    },
    async metric(name) {
      const value = metrics.get(name)
      if (value instanceof Error) throw value
      return value
    },
    async functions() { return deployed },
    async ensurePolicies(names) { ensured.push(...names) },
    admit: admissionProblem, infeasible: ruleProblem,
  })
  t.teardown(() => service.stop())
  let stopAgent: (() => void) | undefined
  t.teardown(() => stopAgent?.())
  return {
    ...node, view, service, seen, silent, members, ensured, deployed, metrics, asked,
    by({ remainingMs = CALL_MS, principal = 'alice' } = {}) {
      const endsAtMs = systemClock.nowMs() + remainingMs
      return { principal, trace: 't', hop: 0, signal: new AbortController().signal, remainingMs: () => Math.max(0, endsAtMs - systemClock.nowMs()) }
    },
    agent(behave) {
      stopAgent?.()
      const look = (vm: string): void => {
        const intent = node.view.intent(vm)
        if (intent?.machine === undefined) return
        const { uuid, machine, epoch } = intent
        const says = behave(intent)
        if (says === undefined) return
        const known = node.view.status(uuid)
        if (says !== 'forget' && known?.epoch === epoch && known.phase === says.phase) return
        const done = says === 'forget' ? node.book.forget(uuid, () => true) : node.book.status({ uuid, machine: machine.uuid, epoch, sinceMs: 1, attempts: 1, ...says })
        done.catch(() => {})
      }
      stopAgent = node.view.onChange(({ type, key }) => { if (type === 'vm') look(key) })
      for (const { uuid } of node.view.intents()) look(uuid)
    },
    contact(ms) { contactMs = ms },
    async lease(machine, state) {
      const key = CLOUD_KEYS.lease(nodeOf(machine))
      const value = new TextEncoder().encode(JSON.stringify({ node: nodeOf(machine), name: machine, boot: 'b1', timings: TIMINGS.fast }))
      const { revision } = await node.store.transact({ then: [state === 'held' ? { do: 'put', key, value } : { do: 'delete', key }] })
      await node.view.until(revision)
    },
  }
}

/** Pool p1 with machines of 4 cores and 4,096 MiB. */
export async function serviceLab(t: Test, machines: readonly string[] = ['m1', 'm2', 'm3']): Promise<ServiceLab> {
  const [node] = await cloudNodes(t)
  const lab = await labOn(t, node, machines)
  await node.book.createPool(poolRecord())
  let last = 0
  for (const machine of machines) last = (await node.book.joinMachine(machineRecord(machine))).revision
  await node.view.until(last)
  return lab
}
/** Another node's service on the same store and machines. */
export async function secondService(t: Test, store: GlobalStore, machines: readonly string[] = ['m1', 'm2', 'm3']): Promise<ServiceLab> {
  return labOn(t, await cloudNode(t, store, systemClock, 99), machines)
}

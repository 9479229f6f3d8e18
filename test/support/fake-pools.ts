// A data center with pools for tests of the shell's commands: snapshots made of a few words, and every verb written down.

import type { Choice, DataCenter, DecisionRecord, Explanation, GroupRecord, MachineView, PoolRecord, PoolSnapshot, RuleAnswer, RuleRecord, VmView } from '../../kali/contract.ts'
import { fakeKali } from './fake-datacenter.ts'
import type { Fake } from './fake-datacenter.ts'

export const poolRecord = (name: string, over: Partial<PoolRecord> = {}): PoolRecord => ({
  uuid: `uuid-${name}`, name, description: '', overcommit: { cpuRatio: 1, memoryRatio: 1 }, reserve: { vcpus: 0, memoryMiB: 0 }, survivesHosts: 0, scheduler: { type: 'builtin', name: 'rank' },
  migrations: { perHost: 2, perPool: 4 }, policies: ['kali-ha', 'kali-elasticity'], createdBy: 'local:0', createdAtMs: 0, ...over,
})
export const machineView = (name: string, over: Partial<MachineView> = {}): MachineView => ({
  uuid: `uuid-${name}`, name, node: 'a'.repeat(64), mode: 'in-service', member: 'alive', lease: { state: 'held', ageMs: 900 }, cores: 4, memoryMiB: 8_192, booked: { vms: 1, vcpus: 1, memoryMiB: 512 }, foreign: { vms: 0, vcpus: 0, memoryMiB: 0 },
  freeVcpus: 3, freeMemoryMiB: 7_680, cpuRatio: 0.25, power: { idleWatts: 100, fullWatts: 200, asleep: false }, ...over,
})
export const vmView = (name: string, over: Partial<VmView> = {}): VmView => ({
  uuid: `uuid-${name}`, name, pool: 'uuid-web', desired: 'running', machine: 'uuid-alpha', epoch: 1, vcpus: 1, memoryMiB: 512, labels: {}, tries: { restarts: 0, relocations: 0, sinceMs: 0 }, origin: 'present', decidedAtMs: 0,
  phase: 'running', phaseSinceMs: 0, cpuRatio: 0.5, inFlight: false, images: [], storage: [], bridges: [], ...over,
})
export const groupRecord = (name: string, over: Partial<GroupRecord> = {}): GroupRecord => ({
  uuid: `uuid-group-${name}`, name, pool: 'uuid-web', template: { name: '', memoryMiB: 512, vcpus: 1, devices: [] }, paused: false, account: 'local:0', createdAtMs: 0,
  spec: { out: 0.8, in: 0.3, min: 1, max: 4, metric: { type: 'cpu' }, hold: 3, periodMs: 5_000, warmUpMs: 30_000, cooldownOutMs: 60_000, cooldownInMs: 300_000, stepOut: 1, stepIn: 1, margin: 0.1, flightMs: 900_000, drainMs: 30_000 }, ...over,
})
export const poolSnapshot = (name: string, over: Partial<PoolSnapshot> = {}): PoolSnapshot => ({
  atMs: 0, pool: poolRecord(name), mode: 'armed', machines: [], vms: [], groups: [], rules: [], contactMs: 60_000, metrics: {},
  timings: { preset: 'fast', renewMs: 1_000, giveUpMs: 6_000, killMs: 3_000, watchdogMs: 0, slackMs: 2_000, leaseMs: 15_000 }, ...over,
})
export const CHOICE: Choice = {
  scheduler: 'rank', chosen: 'alpha', tookMs: 3, ranked: [{ machine: 'alpha', score: 0.75, parts: { free: 0.75 } }], refused: [{ machine: 'beta', filter: 'memory', reason: 'needs 4096 MiB, 512 MiB are free' }],
}
export const decision = (over: Partial<DecisionRecord> = {}): DecisionRecord => ({ id: '1', pool: 'uuid-web', policy: 'kali-ha', atMs: 0, about: ['uuid-web1'], action: 'relocate', reason: 'the lease of alpha is gone', outcome: 'done', ...over })

export interface FakeCloud extends Fake { /** What was asked, in words. */ readonly said: readonly string[] }
export interface FakeCloudOptions { readonly snapshots?: readonly PoolSnapshot[]; readonly decisions?: readonly DecisionRecord[]; readonly explanation?: Explanation; readonly choice?: Choice; readonly ruleAnswer?: RuleAnswer; readonly refuse?: Readonly<Record<string, Error>> }

/** Names of arguments in place of the objects, so that what was said can be compared. */
const shown = (value: unknown): unknown => (typeof value === 'object' && value !== null && 'name' in value && 'uuid' in value ? (value as { readonly name: string }).name : value)

export function fakeCloud({ snapshots = [], decisions = [], explanation, choice = CHOICE, ruleAnswer = { unkept: [] }, refuse = {} }: FakeCloudOptions = {}): FakeCloud {
  const fake = fakeKali({ names: ['alpha', 'beta', 'gamma'] })
  const said: string[] = []
  const say = (verb: string, ...args: readonly unknown[]): void => {
    said.push([verb, ...args.filter((arg) => arg !== undefined).map((arg) => { const text = shown(arg); return typeof text === 'string' ? text : JSON.stringify(text, (_, each: unknown) => shown(each)) })].join(' '))
    const [first] = args
    const error = refuse[verb] ?? refuse[`${verb} ${String(shown(first))}`]
    if (error !== undefined) throw error
  }
  const asked = (verb: string) => async (...args: readonly unknown[]): Promise<unknown> => { say(verb, ...args); return args[0] }
  const made = new Map<string, PoolSnapshot>(snapshots.map((snapshot) => [snapshot.pool.uuid, snapshot]))
  const wrapper = (name: string, uuid: string): object => ({ name, uuid, pause: asked(`pause ${name}`), resume: asked(`resume ${name}`), remove: asked(`remove ${name}`), patch: asked(`patch ${name}`) })
  const poolOf = ({ pool, machines }: PoolSnapshot): object => ({
    name: pool.name, uuid: pool.uuid, machines: Promise.resolve(machines.map(({ name, uuid }) => ({ name, uuid }))),
    add: asked('pool.add'), remove: asked('pool.remove'), drain: asked('drain'), maintain: asked('maintain'), serve: asked('serve'), rule: async (wish: unknown) => { say('rule', wish); return ruleAnswer }, removeRule: asked('removeRule'), clear: asked('clear'), patch: asked('patch'),
    createVM: async (settings: { readonly name: string }) => { say('createVM', JSON.stringify(settings)); return { ...settings, uuid: `uuid-${settings.name}`, state: 'running', host: 'alpha', cpuRatio: 0, vcpus: 1, memoryMiB: 512, image: '', uptimeSeconds: 0, devices: [], labels: {}, description: '' } },
    createElasticity: async (vm: unknown, spec: object) => { say('createElasticity', vm, spec); return wrapper((vm as { readonly name: string }).name, 'uuid-new-group') },
    createHighAvailability: async (vm: unknown, protection: object) => { say('createHighAvailability', vm, protection); return wrapper((vm as { readonly name: string }).name, 'uuid-new-ha') },
    place: async (need: unknown, options: unknown) => { say('place', need, options); return choice },
    why: async (about?: string) => { say('why', about); return explanation ?? { about: pool.name, summary: 'All is as wanted.', notes: {}, decisions } },
    snapshot: async () => made.get(pool.uuid),
    decisions: async (options: unknown) => { say('decisions', options); return decisions },
  })
  const objectsOf = (kind: string): readonly object[] => {
    const all = [...made.values()]
    switch (kind) {
      case 'Pool': return all.map(poolOf)
      case 'Elasticity': return all.flatMap(({ groups }) => groups.map(({ name, uuid }) => wrapper(name, uuid)))
      case 'HighAvailability': return all.flatMap(({ pool, vms }) => vms.filter(({ protection }) => protection !== undefined).map((vm) => ({ ...wrapper(vm.name, vm.uuid), pool: pool.name, vm: { name: vm.name, uuid: vm.uuid } })))
      case 'VM': return all.flatMap(({ vms }) => vms.map(({ name, uuid, vcpus, memoryMiB }) => ({ name, uuid, vcpus, memoryMiB, host: 'alpha', state: 'running', cpuRatio: 0.5 })))
      case 'PhysicalMachine': return ['alpha', 'gamma'].map((name) => ({ name, uuid: `uuid-${name}`, state: 'alive', cpuRatio: 0.1, memoryTotalBytes: 2 ** 30, memoryFreeBytes: 2 ** 29 }))
      default: return []
    }
  }
  const cloud = {
    createPool: async (settings: { readonly name: string }) => { say('createPool', JSON.stringify(settings)); return { name: settings.name, uuid: `uuid-${settings.name}` } },
    add: async ({ name, uuid }: { readonly name: string; readonly uuid: string }) => { say('global.add', name); const snapshot = poolSnapshot(name); made.set(uuid, snapshot); return poolOf(snapshot) },
    remove: asked('global.remove'), mode: asked('mode'),
  }
  return {
    ...fake, said,
    kali: {
      ...fake.kali,
      connect: async (options) => {
        const center = await fake.kali.connect(options)
        const pms = (await center.pms).map((machine) => ({ ...machine, uuid: `uuid-${machine.name}` }))
        return { ...center, pms, global: cloud, list: async (kind: string) => ({ objects: objectsOf(kind), failures: [] }) } as unknown as DataCenter
      },
    },
  }
}

/** Two machines, a protected VM, an elastic group of two with one on its way, a rule. */
export const webPool = (over: Partial<PoolSnapshot> = {}): PoolSnapshot => {
  const rules: readonly RuleRecord[] = [{ name: 'spread', pool: 'uuid-web', type: 'apart', hard: true, vms: ['group:shop'] }]
  return poolSnapshot('web', {
    machines: [machineView('alpha'), machineView('beta', { member: 'dead', lease: { state: 'gone', ageMs: 4_000 } })],
    vms: [
      vmView('web1', { protection: { restarts: 1, relocations: 1, windowMs: 3_600_000, onGuestShutdown: 'leave', priority: 0, armed: true } }),
      vmView('shop-1', { group: 'uuid-group-shop', cpuRatio: 0.9, phase: 'ready' }), vmView('shop-2', { group: 'uuid-group-shop', inFlight: true, phase: 'starting', cpuRatio: 0 }),
    ],
    groups: [groupRecord('shop')], rules, ...over,
  })
}

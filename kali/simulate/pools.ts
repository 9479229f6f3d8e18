// The pools of a simulation, made before its time begins by the verbs that a user has: machines shared out, the VMs that are
// there managed in place, and in each pool one elastic group when wanted.

import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import { namedUuid } from '../../rmo/mod.ts'
import type { SchedulerRef } from '../cloud/contract.ts'
import type { CloudService } from '../cloud/parts.ts'
import { schedulerOf } from '../placement/closure.ts'
import type { PoolsWish } from './contract.ts'
import type { SimulatedHost } from './world.ts'

export interface MakePoolsOptions {
  readonly service: CloudService
  readonly hosts: readonly SimulatedHost[]
  readonly wish: Omit<PoolsWish, 'scheduler' | 'policies'>
  readonly scheduler: SchedulerRef
  readonly policies: readonly string[]
  /** Namespace of what is made. */
  readonly namespace: string
  by(): Authority
  /** An original of a group is about to be made. */
  expect(name: string): void
}

const GROUP_VM = { vcpus: 1, memoryMiB: 256, image: 'guest', devices: [] }
/** VMs that are taken in at once. */
const LANES = 8

export const poolNames = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => `pool${String(i + 1).padStart(String(count).length, '0')}`)
/** Of the original, and of the group made from it. */
export const groupVmOf = (pool: string): string => `${pool}-web`
const groupOf = (pool: string): string => `${pool}-group`

/** A name of ours, or of a function of the simulation, with "function:" or without. */
export function schedulerNamed(given: string, functions: readonly string[]): SchedulerRef {
  const name = given.replace(/^function:/, '')
  return name !== given || functions.includes(name) ? { type: 'function', name } : schedulerOf(name)
}

/** Resolves when a group's original carries load: a day does not begin with a group that warms up. */
function whenReady({ view }: Pick<CloudService, 'view'>, vm: string): Promise<void> {
  const isReady = (): boolean => view.status(vm)?.phase === 'ready'
  return new Promise((resolve) => {
    if (isReady()) return resolve()
    const stop = view.onChange(() => {
      if (!isReady()) return
      stop()
      resolve()
    })
  })
}

/** Rejects with what a verb said. Needs the clock to move. */
export async function makePools({ service, hosts, wish, scheduler, policies, namespace, by, expect }: MakePoolsOptions): Promise<void> {
  const names = poolNames(wish.count)
  for (const [i, name] of names.entries()) {
    const uuid = namedUuid(namespace, `pool/${name}`)
    await service.addPool({
      uuid, name, policies, scheduler, overcommit: { cpuRatio: wish.cpuOvercommitRatio, memoryRatio: 1 },
    }, by())
    const own = hosts.filter((_, at) => at % names.length === i)
    for (const { host, name: machine, uuid: of } of own) await service.addMachine(uuid, { kind: 'PhysicalMachine', uuid: of, home: host.self, name: machine, attributes: {} }, by())
    const vms = own.flatMap(({ host }) => host.vms.list().map((vm) => host.reference('VM', vm.uuid)))
    await eachOf(vms, (vm) => (wish.protect ? service.protect(uuid, vm, {}, by()) : service.addVm(uuid, vm, {}, by())))
    if (wish.group !== undefined) await addGroup(service, uuid, name, wish.group, own[0]?.host.self, namespace, by, expect)
  }
}

/** At most LANES together. */
async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const waiting = items.values()
  await Promise.all(Array.from({ length: LANES }, async () => { for (const item of waiting) await work(item) }))
}

async function addGroup(service: CloudService, pool: string, poolName: string, spec: NonNullable<PoolsWish['group']>, home: ReferenceRecord['home'] | undefined, namespace: string, by: () => Authority, expect: (name: string) => void): Promise<void> {
  const name = groupVmOf(poolName)
  expect(name)
  const vm: ReferenceRecord = { kind: 'VM', uuid: namedUuid(namespace, `vm/${name}`), home: home ?? '' as ReferenceRecord['home'], name, attributes: { ...GROUP_VM, name }, cold: true }
  await service.addGroup(pool, { uuid: namedUuid(namespace, `group/${name}`), name: groupOf(poolName), vm, spec }, by())
  await whenReady(service, vm.uuid)
}

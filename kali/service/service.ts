// CloudService of a node: what users' verbs and policies ask for. Puts the verbs of this folder together; any node can do all of
// it, because every write is a transaction of the global store, and the view of each node has them all.

import type { ReferenceRecord } from '../../functions/mod.ts'
import { isAdministrator, RMO, settingsOf } from '../../rmo/base.ts'
import type { VmNeed } from '../cloud/contract.ts'
import type { CloudService } from '../cloud/parts.ts'
import { createAct } from './act.ts'
import { createDesk } from './desk.ts'
import { createGroupVerbs } from './groups.ts'
import { createMachineVerbs } from './machines.ts'
import { needOf } from './needs.ts'
import type { CloudServiceOptions, RunningCloudService } from './options.ts'
import { createPoolVerbs } from './pools.ts'
import { createProtectionVerbs } from './protecting.ts'
import { createVmVerbs } from './vms.ts'
import { why } from './why.ts'

const isReference = (vm: ReferenceRecord | { readonly vcpus: number; readonly memoryMiB: number }): vm is ReferenceRecord => 'kind' in vm

export function createCloudService(options: CloudServiceOptions): RunningCloudService {
  const desk = createDesk(options)
  const vms = createVmVerbs(desk)

  const needFor = async (pool: string, vm: Parameters<CloudService['tryPlace']>[1]): Promise<VmNeed> => {
    if (!isReference(vm)) return { uuid: '', name: 'a VM', vcpus: vm.vcpus, memoryMiB: vm.memoryMiB, labels: {}, images: [], storage: [], bridges: [], priority: 0 }
    const managed = desk.view.intent(vm.uuid)
    return managed?.pool === pool ? needOf(managed) : needOf({ uuid: vm.uuid, settings: settingsOf({ ...vm.attributes, name: vm.name }, { call: 'Pool.place', path: 'vm' }) })
  }

  return {
    view: desk.view,
    ...createPoolVerbs(desk), ...createMachineVerbs(desk), ...vms, ...createProtectionVerbs(desk, vms), ...createGroupVerbs(desk, vms),
    snapshot: (pool) => desk.snapshot(pool, { metrics: true }),
    async memory(pool, policy) {
      desk.poolOf(pool)
      const { round, memory } = await desk.book.memory(policy, pool) ?? { round: 0, memory: undefined }
      return { round, memory }
    },
    act: createAct(desk),
    async tryPlace(pool, vm, scheduler, by) {
      const { scheduler: own, name } = desk.poolOf(pool)
      // A pool's function runs with its maker's rights: whoever may only look names no other one.
      if (scheduler?.type === 'function' && !isAdministrator(by.principal)) throw RMO.DENIED({ principal: by.principal, kind: 'Pool', name, verb: 'place', acl: 'administer', reason: 'only an administrator tries a pool with another deployed scheduler; leave it out' })
      const snapshot = await desk.snapshot(pool)
      return desk.choose(scheduler ?? own, { vm: await needFor(pool, vm), snapshot }, by.signal)
    },
    why: (pool, about, by) => why(desk, pool, about, by),
    async decisions(pool, { about, limit }) {
      desk.poolOf(pool)
      // By uuid in the journal, by name for people.
      const uuid = about === undefined ? undefined : desk.view.intents({ pool }).find(({ name }) => name === about)?.uuid ?? desk.view.groups(pool).find(({ name }) => name === about)?.uuid ?? desk.view.machines(pool).find(({ name }) => name === about)?.uuid ?? about
      return desk.book.decisions(pool, { ...(uuid === undefined ? {} : { about: uuid }), ...(limit === undefined ? {} : { limit }) })
    },
    stop: () => desk.close(),
  }
}

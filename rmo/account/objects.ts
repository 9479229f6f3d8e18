// VMs and volumes of this node as the meter reads them, and whose they are.
//
// Invariants: a VM is its cloud account's while it is in a pool, else who made it; a volume is the VM's that uses it, by the
// VM's key, so that a VM's disks stand in its row; one that no VM uses is nobody's. A volume that several machines may see
// (netfs) counts where the VM is that uses it, else nowhere. Fractions of a millisecond are kept for the next reading.

import type { LocalVm } from '../kinds/vm.ts'
import type { LocalVolume } from '../kinds/volume.ts'
import type { LocalObject, LocalObjects } from '../object.ts'
import { parseFunctionPrincipal } from '../../functions/mod.ts'
import { parsePrincipal } from '../acl/principal.ts'
import type { MeteredVm, MeteredVolume } from './meter.ts'

const MIB = 1_048_576
const UNKNOWN = 'unknown'

/** Who answers for a principal: a function's deployer, without narrowings. "unknown" of what is none. */
export const ownerOf = (principal: string | undefined): string =>
  principal === undefined ? UNKNOWN : parsePrincipal(parseFunctionPrincipal(principal)?.deployer ?? principal)?.root.text ?? UNKNOWN

/** What the cloud says of a VM: its account, and the name of its pool. Undefined: in no pool. */
export type PooledVm = (uuid: string) => { readonly account: string; readonly pool: string } | undefined

export interface MeteredObjects {
  vms(): readonly MeteredVm[]
  volumes(): readonly MeteredVolume[]
  /** Told of each VM that goes from here. */
  onEnded(listener: (vm: MeteredVm) => void): () => void
}

export function createMeteredObjects({ objects, pooled }: { readonly objects: Pick<LocalObjects, 'list' | 'onChange'>; readonly pooled: PooledVm }): MeteredObjects {
  const rest = new WeakMap<LocalVm, { vm: number; vcpu: number; memory: number }>()

  const metered = ({ uuid, local }: LocalObject): MeteredVm => {
    const vm = local as LocalVm
    const { name, state, vcpus, memoryMiB } = vm.attributes()
    const managed = pooled(uuid)
    return {
      owner: ownerOf(managed?.account ?? vm.createdBy), kind: 'VM', id: uuid, name, pool: managed?.pool ?? '', vcpus, memoryMiB,
      active: state === 'running' || state === 'paused' || state === 'stopping',
      drain() {
        const { vmSeconds = 0, vcpuSeconds = 0, memoryMiBSeconds = 0 } = vm.used()
        const left = rest.get(vm) ?? { vm: 0, vcpu: 0, memory: 0 }
        const whole = (seconds: number, of: keyof typeof left): number => {
          const all = left[of] + seconds * 1_000
          left[of] = all - Math.floor(all)
          return Math.floor(all)
        }
        rest.set(vm, left)
        return { ranMs: vmSeconds * 1_000, usage: { vmMs: whole(vmSeconds, 'vm'), vcpuMs: whole(vcpuSeconds, 'vcpu'), memoryMiBMs: whole(memoryMiBSeconds, 'memory') } }
      },
    }
  }

  return {
    vms: () => objects.list('VM').map(metered),
    volumes() {
      const vms = new Map(objects.list('VM').map((object) => { const { drain: _drain, ...row } = metered(object); return [row.name, row] }))
      const shared = new Set(objects.list('StoragePool').flatMap(({ local }) => {
        const { name, type } = (local as { attributes(): { readonly name: string; readonly type: string } }).attributes()
        return type === 'netfs' ? [name] : []
      }))
      return objects.list('Volume').flatMap(({ uuid, local }): MeteredVolume[] => {
        const { name, pool: storage, capacityBytes, usedBy } = (local as LocalVolume).attributes()
        const user = usedBy.map((vm) => vms.get(vm)).find((vm) => vm !== undefined)
        const capacityMiB = Math.ceil(capacityBytes / MIB)
        if (user !== undefined) return [{ uuid, capacityMiB, owner: user.owner, kind: 'VM', id: user.id, name: user.name, pool: user.pool }]
        return shared.has(storage) ? [] : [{ uuid, capacityMiB, owner: UNKNOWN, kind: 'Volume', id: uuid, name, pool: '' }]
      })
    },
    onEnded: (listener) => objects.onChange((change, object) => { if (change === 'removed' && object.kind === 'VM') listener(metered(object)) }),
  }
}

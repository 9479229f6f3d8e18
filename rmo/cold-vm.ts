// A cold VM of a user's wish: defaults filled in, checked, with a uuid; nothing exists yet. What vmm.createVM() and
// pool.createVM() answer.

import type { NodeId, Random } from '../fabric/base.ts'
import type { ReferenceRecord } from '../functions/mod.ts'
import type { NewVm } from './kinds/interfaces.ts'
import { randomUuid } from './uuid.ts'
import { vmSettings } from './vm-schema.ts'

const MEMORY_MIB_DEFAULT = 512
const NAME_UUID_CHARS = 6

/** `call` is what an error names; `home` the node that makes it. */
export function coldVm(wish: NewVm, { call, home, random }: { readonly call: string; readonly home: NodeId; readonly random: Random }): ReferenceRecord {
  const uuid = randomUuid(random)
  const settings = vmSettings.check(
    { memoryMiB: MEMORY_MIB_DEFAULT, vcpus: 1, devices: [], ...wish, name: wish.name ?? `vm-${uuid.slice(0, NAME_UUID_CHARS)}` },
    { call, path: 'settings' })
  return { kind: 'VM', uuid, home, name: settings.name, attributes: { ...settings }, cold: true }
}

// What a verb needs beside its own right, because its arguments name something else: files of the machine, a volume that is there,
// another object. Without this, "vm:create" would read every file of a host: hypervisors and nodes work as root.
//
//   verb's `also` -> asked at the gate after the verb's own right, before anything is done (run-verb.ts)
//
// Arguments have not been checked yet when they are asked about: whatever has no shape of a disk is none, and is refused later.
// Source: reliability.md 4.4 (no confused deputies).

import type { ObjectKey } from './acl/contract.ts'
import type { AclVerb } from './gate.ts'
import type { LocalObjects } from './object.ts'

/** 'machine': the one that the object is on. A disk: its volume, when that is there; else the machine, whose file it is. */
export type FurtherRight =
  | { readonly on: 'machine'; readonly verb: string; readonly acl: AclVerb }
  | { readonly on: 'disk'; readonly disk: NamedDisk }
  | { readonly on: 'object'; readonly kind: string; readonly uuid: string; readonly name: string; readonly verb: string; readonly acl: AclVerb }
export interface NamedDisk { readonly path?: string; readonly volume?: { readonly pool: string; readonly name: string } }
/** One question for the gate. */
export interface FurtherQuestion { readonly kind: string; readonly uuid: string; readonly name: string; readonly verb: string; readonly acl: AclVerb }

/** Whoever may run programs on a machine reaches its files anyway. */
export const MACHINE_FILES = { on: 'machine', verb: 'exec', acl: 'execute' } as const satisfies FurtherRight
export const MACHINE_READ = { on: 'machine', verb: 'readFile', acl: 'inspect' } as const satisfies FurtherRight

const STEPS_MAX = 4
const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> => (typeof value === 'object' && value !== null ? value as Readonly<Record<string, unknown>> : {})

/** Disks among devices that name a place; those that leave it to Kumoi name none. */
export function namedDisks(devices: unknown): readonly NamedDisk[] {
  if (!Array.isArray(devices)) return []
  return devices.flatMap((device): readonly NamedDisk[] => {
    const { path, volume } = fieldsOf(device)
    const { pool, name } = fieldsOf(volume)
    if (typeof path === 'string') return [{ path }]
    return typeof pool === 'string' && typeof name === 'string' ? [{ volume: { pool, name } }] : []
  })
}
const same = (a: NamedDisk, b: NamedDisk): boolean => a.path === b.path && a.volume?.pool === b.volume?.pool && a.volume?.name === b.volume?.name

/** Rights for the disks that `devices` name; those that `own` has already need none. */
export function diskRights(devices: unknown, own: unknown = []): readonly FurtherRight[] {
  const present = namedDisks(own)
  return namedDisks(devices).filter((disk) => !present.some((each) => same(each, disk))).map((disk) => ({ on: 'disk', disk }))
}

/** What is to be asked; none for an object that is on no machine. */
export function furtherQuestions(of: ObjectKey, rights: readonly FurtherRight[], objects: Pick<LocalObjects, 'get' | 'list'>, nameOf: (kind: string, local: unknown) => string): readonly FurtherQuestion[] {
  const onMachine = (verb: string, acl: AclVerb): readonly FurtherQuestion[] => {
    let at: ObjectKey | undefined = of
    for (let steps = 0; at !== undefined && steps < STEPS_MAX; steps++) {
      const object = objects.get(at.kind, at.uuid)
      if (at.kind === 'PhysicalMachine') return [{ kind: at.kind, uuid: at.uuid, name: object === undefined ? at.uuid : nameOf(at.kind, object.local), verb, acl }]
      at = object?.partOf?.()
    }
    return []
  }
  const volumeOf = ({ volume }: NamedDisk): readonly FurtherQuestion[] => {
    const found = volume === undefined ? undefined : objects.list('Volume').find(({ local }) => {
      const { name, pool } = (local as { attributes(): { readonly name: string; readonly pool: string } }).attributes()
      return name === volume.name && pool === volume.pool
    })
    return found === undefined ? onMachine(MACHINE_FILES.verb, MACHINE_FILES.acl) : [{ kind: 'Volume', uuid: found.uuid, name: volume?.name ?? '', verb: 'patch', acl: 'update' }]
  }
  return rights.flatMap((right) => {
    switch (right.on) {
      case 'machine': return onMachine(right.verb, right.acl)
      case 'disk': return volumeOf(right.disk)
      case 'object': return [{ kind: right.kind, uuid: right.uuid, name: right.name, verb: right.verb, acl: right.acl }]
    }
  })
}

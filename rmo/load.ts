// load(dump): a cold object from what dump() gave, so that vmm.add(load(dump)) makes it again. Pure: the object
// gets its connection when it is added somewhere. In shipped functions the sandbox's own does the same
// (functions/sandbox/prelude/names.ts).

import { randomUUID } from 'node:crypto'
import { COUNTERPART } from '../functions/base.ts'
import type { ReferenceRecord } from '../functions/mod.ts'
import { RMO } from './errors.ts'
import type { VM } from './kinds/interfaces.ts'
import { rmoKinds } from './kinds/index.ts'
import type { ObjectDump, ResourceObject } from './object.ts'
import { makeReference } from './proxy.ts'
import type { KindRegistry } from './registry.ts'
import { shown } from './schema.ts'
import type { Session } from './session.ts'
import type { Device } from './settings.ts'

export interface LoadOptions {
  /** A new uuid, no MAC addresses and no instance id: another object like it, not the same again. */
  readonly fresh?: boolean
}
type Load = <T extends ResourceObject = VM>(dump: ObjectDump, options?: LoadOptions) => T

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Settings without what only one object may have. */
function withoutIdentity({ instanceId: _instance, devices, ...settings }: Readonly<Record<string, unknown>>): Record<string, unknown> {
  if (!Array.isArray(devices)) return settings
  return { ...settings, devices: (devices as readonly Device[]).map((device) => {
    if (device.type !== 'interface') return device
    const { mac: _mac, ...rest } = device
    return rest
  }) }
}

/** `load` over the kinds of a registry. */
export function createLoad(kinds: KindRegistry): Load {
  const nowhere = (): never => { throw RMO.COLD({ kind: 'A loaded object', name: '', verb: 'a call' }) }
  const session: Session = {
    kinds, peer: { call: nowhere, open: nowhere }, codec: { encode: nowhere, decode: nowhere }, callOptions: () => ({}),
    // Reading it tells that the object is cold.
    collection: (_kind, records) => records(),
  }
  return (dump, options = {}) => {
    const at = (path: string, expected: string, got: unknown): Error => RMO.ARGUMENT_INVALID({ call: 'load', path, expected, got: shown(got) })
    if (typeof dump !== 'object' || dump === null) throw at('dump', 'what dump() answered', dump)
    const { kind, uuid, name, settings } = dump
    if (typeof kind !== 'string') throw at('dump.kind', 'the name of a kind', kind)
    if (kinds.kindOf(kind).shape.coldVerbs === undefined) throw at('dump.kind', 'a kind whose objects can be made anew', kind)
    if (typeof uuid !== 'string' || !UUID.test(uuid)) throw at('dump.uuid', 'a uuid', uuid)
    if (typeof settings !== 'object' || settings === null) throw at('dump.settings', 'an object of settings', settings)
    const attributes = structuredClone(options.fresh === true ? withoutIdentity(settings) : settings)
    const record: ReferenceRecord = {
      kind, uuid: options.fresh === true ? randomUUID() : uuid, home: '', cold: true,
      name: typeof attributes['name'] === 'string' ? attributes['name'] : name, attributes,
    }
    return makeReference(record, session) as never
  }
}

/** A cold object with a dump's settings and its uuid. Throws RMO_ERR_ARGUMENT_INVALID when `dump` is none of a kind that can be made anew. */
export const load: Load = Object.defineProperty(createLoad(rmoKinds), COUNTERPART, { value: ['dc', 'load'] })

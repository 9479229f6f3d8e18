// Two small kinds for tests of references, as VMM and VM are: a rack makes boxes, which can be cold, and whose name,
// size and things can be set. What the home was asked is noted, so that tests can tell order and merging.

import type { Authority, Collection, ReferenceRecord } from '../../functions/mod.ts'
import { bareReference, createKindRegistry, defineKind, parameter, rmoKinds } from '../../rmo/mod.ts'
import type { Changed, LocalObjects, ObjectEvent, ResourceObject } from '../../rmo/mod.ts'
import { anything, dictionary, integer, list, oneOf, optional, record, reference, text } from '../../rmo/schema.ts'
import type { Type } from '../../rmo/schema.ts'

export interface Box extends ResourceObject<{ readonly name: string }> {
  name: string
  sizeMiB: number
  readonly state: 'cold' | 'there'
  readonly things: readonly object[]
  readonly rack: Rack
  readonly inside: Collection<Box>
  add(thing: object): Promise<Changed>
  remove(thing: object): Promise<Changed>
  label(labels: object): Promise<Changed>
  open(): Promise<string>
}
export interface Rack extends ResourceObject<{ readonly boxes: number }> {
  readonly room: string
  readonly boxes: Collection<Box>
  createBox(settings?: { readonly name?: string; readonly sizeMiB?: number }): Promise<Box>
  add(box: Box): Promise<Box>
  remove(box: Box): Promise<void>
}

interface Settings { name: string; sizeMiB: number; things: readonly object[]; labels: Readonly<Record<string, unknown>> }
/** What a node has: its log tells tests what was asked, `gate` holds patches back, `refuse` fails them. */
export interface BoxRoom {
  readonly log: string[]
  readonly objects: LocalObjects
  readonly home: string
  hold?: Promise<void>
  refuse?: string
  boxes: number
  /** Pushes an event to the watchers of a box. */
  readonly watchers: Map<string, Set<(event: ObjectEvent) => void>>
}
export interface LocalBox { readonly uuid: string; settings: Settings; readonly room: BoxRoom; readonly rack: ReferenceRecord }
interface LocalRack { readonly uuid: string; readonly room: BoxRoom }

const settingFields = {
  name: text({ charsMax: 100 }), sizeMiB: integer({ unit: 'mebibytes', min: 1 }), things: list(anything('a thing')), labels: dictionary(anything()),
}
const recordOfBox = ({ uuid, settings, room }: LocalBox): ReferenceRecord => ({ kind: 'Box', uuid, home: room.home, name: settings.name, attributes: { ...observeBox(settings), uuid } })
const observeBox = ({ name, sizeMiB, things }: Settings) => ({ name, sizeMiB, things, state: 'there' as const })
const aThing: Type<object> = { ...anything('a thing'), check: (value) => value as object }
const thing = parameter('thing', aThing, 'What.')
const rackRecord = ({ uuid, room }: LocalRack): ReferenceRecord => ({ kind: 'Rack', uuid, home: room.home, name: 'rack', attributes: { room: 'cellar' } })
const change = { doc: 'the new version', type: anything() }

export const boxKind = defineKind<Box, LocalBox>({
  kind: 'Box', plural: 'boxes', doc: 'Holds things.', residence: 'hosted', example: 'boxes.length',
  attributes: {
    sizeMiB: { doc: 'How big.', type: settingFields.sizeMiB, column: { header: 'SIZE', format: 'number' } },
    state: { doc: 'Whether it exists.', type: oneOf('cold', 'there'), column: { header: 'STATE', format: 'text' } },
    things: { doc: 'What is in it.', type: settingFields.things as never, column: 'none' },
  },
  observe: ({ uuid, settings }) => ({ ...observeBox(settings), uuid }),
  settings: {
    fields: { name: settingFields.name, sizeMiB: settingFields.sizeMiB, labels: settingFields.labels },
    read: ({ settings: { name, sizeMiB, things, labels } }) => ({ name, sizeMiB, things, labels }),
    async apply(local, wanted) {
      local.room.log.push(`patch ${JSON.stringify(wanted)}`)
      await local.room.hold
      if (local.room.refuse !== undefined) throw Object.assign(new Error(local.room.refuse), { code: 'RMO_ERR_STATE_INVALID' })
      local.settings = { ...local.settings, ...wanted }
    },
  },
  coldVerbs: { add: { setting: 'things', how: 'append' }, remove: { setting: 'things', how: 'remove' }, label: { setting: 'labels', how: 'set' } },
  common: { info: ({ settings: { name } }) => ({ name }), stats: () => ({}) },
  verbs: {
    add: { doc: 'Puts a thing in.', acl: 'update', idempotent: false, parameters: [thing], result: change, run: (local, [what]) => { local.room.log.push('add'); local.settings = { ...local.settings, things: [...local.settings.things, what] }; return { version: '1', operation: 'o' } } },
    remove: { doc: 'Takes a thing out.', acl: 'update', idempotent: true, parameters: [thing], result: change, run: (local) => { local.room.log.push('remove'); return { version: '1', operation: 'o' } } },
    label: { doc: 'Labels it.', acl: 'update', idempotent: true, parameters: [thing], result: change, run: (local) => { local.room.log.push('label'); return { version: '1', operation: 'o' } } },
    open: { doc: 'Looks in.', acl: 'read', idempotent: true, parameters: [], result: { doc: 'its name', type: text() }, run: (local) => { local.room.log.push(`open ${local.settings.name}`); return local.settings.name } },
  },
  collections: { inside: { kind: 'Box', doc: 'Boxes in it.', list: async () => [] } },
  references: { rack: { kind: 'Rack', doc: 'Where it stands.', get: async ({ rack }) => rack } },
  events: { moved: { doc: 'It stands elsewhere.', fields: {} } },
  watch: {
    options: record({}),
    start({ uuid, room }, _options, emit) {
      const watching = room.watchers.get(uuid) ?? new Set()
      room.watchers.set(uuid, watching.add(emit))
      return () => { watching.delete(emit) }
    },
  },
})

export const rackKind = defineKind<Rack, LocalRack>({
  kind: 'Rack', plural: 'racks', doc: 'Boxes stand in it.', residence: 'hosted', example: 'racks.length',
  attributes: { room: { doc: 'Where.', type: text(), column: { header: 'ROOM', format: 'text' } } },
  observe: ({ uuid }) => ({ name: 'rack', uuid, room: 'cellar' }),
  common: { info: ({ room }) => ({ boxes: room.objects.list('Box').length }), stats: () => ({}) },
  verbs: {
    createBox: {
      doc: 'A cold box.', acl: 'create', idempotent: true,
      parameters: [parameter('settings', optional(record({ name: optional(text()), sizeMiB: optional(settingFields.sizeMiB) })) as never, 'name, sizeMiB')],
      result: { doc: 'the box', type: anything() },
      run: ({ room }, [settings]) => {
        const number = (++room.boxes).toString(16).padStart(4, '0')
        const attributes = { name: `box${room.boxes}`, sizeMiB: 10, things: [], ...settings }
        return bareReference({ kind: 'Box', uuid: `00000000-0000-4000-8000-${room.home.slice(0, 8)}${number}`, home: room.home, name: attributes.name, attributes, cold: true })
      },
    },
    add: {
      doc: 'Makes the box.', acl: 'create', idempotent: true, parameters: [parameter('box', reference('Box') as never, 'cold')], result: { doc: 'the box', type: anything() },
      async run(local, [box], _authority: Authority) {
        const { uuid, attributes, cold } = box as unknown as ReferenceRecord
        local.room.log.push(`made ${JSON.stringify(attributes)}${cold === true ? '' : ' not cold'}`)
        const made: LocalBox = { uuid, settings: { labels: {}, ...attributes } as unknown as Settings, room: local.room, rack: rackRecord(local) }
        await local.room.hold
        local.room.objects.add({ kind: 'Box', uuid, local: made })
        return bareReference(recordOfBox(made))
      },
    },
    remove: { doc: 'Unmakes it.', acl: 'delete', idempotent: true, parameters: [parameter('box', reference('Box') as never, 'live')], result: { doc: 'nothing', type: anything() }, run: (local, [box]) => { local.room.log.push('unmade'); local.room.objects.remove('Box', box.uuid) } },
  },
  collections: { boxes: { kind: 'Box', doc: 'Its boxes.', list: async ({ room }) => room.objects.list('Box').map(({ local }) => recordOfBox(local as LocalBox)) } },
  references: {},
  events: {},
  watch: { options: record({}), start: () => () => {} },
})

export const boxKinds = createKindRegistry([...rmoKinds.kinds, boxKind, rackKind])
export const RACK_UUID = '00000000-0000-4000-8000-0000000000aa'

/** Puts a rack on a node. */
export function addRack(objects: LocalObjects, home: string, uuid = RACK_UUID): BoxRoom {
  const room: BoxRoom = { log: [], objects, home, boxes: 0, watchers: new Map() }
  objects.add({ kind: 'Rack', uuid, local: { uuid, room } satisfies LocalRack })
  return room
}

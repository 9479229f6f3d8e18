// What every kind of resource-mapped object owes its users; run over the registry (test/rmo/kinds.test.ts).
//
// A kind comes with one local object to try it on; the suite observes it, calls the common verbs that read,
// and holds the declaration against what comes out.

import type { Test } from 'tap'
import { createMemoryStore, systemClock } from '../../fabric/mod.ts'
import type { Authority } from '../../functions/mod.ts'
import { ACL_VERBS, createLedger, rmoKinds } from '../../rmo/mod.ts'
import type { Kind } from '../../rmo/mod.ts'
import { UNIT_SUFFIX } from '../../rmo/schema.ts'
import type { Home } from '../../rmo/verb.ts'

export interface KindSetup {
  readonly kind: Kind
  /** An object of the kind as its home holds it. */
  readonly setup: () => Promise<{ readonly local: unknown; readonly teardown: () => Promise<void> | void }>
  readonly authority: Authority
}

const NAME = /^[a-z][A-Za-z0-9]*$/
const sentence = (doc: string): boolean => /^\S.*\S$/s.test(doc) && doc.length >= 4
const at = (kind: Kind, path: string) => ({ call: kind.kind, path })
/** Numbers whose name needs no unit. */
const UNITLESS = new Set(['count', 'runnable-tasks'])

export async function kindSuite(t: Test, { kind, setup, authority }: KindSetup): Promise<void> {
  const { local, teardown } = await setup()
  t.teardown(() => teardown())
  const { shape } = kind
  const ledger = createLedger({ store: createMemoryStore(), clock: systemClock })
  const home: Home = { kind: kind.kind, uuid: String(kind.observe(local).uuid), ledger, serial: (work) => work(), allows: async () => true }

  t.test('says what it is', async (t) => {
    t.match(kind.kind, /^[A-Z][A-Za-z]+$/)
    t.match(kind.plural, NAME)
    t.ok(sentence(kind.doc))
    t.match(kind.example, new RegExp(`\\b${kind.plural}\\b`), 'the example uses its collection')
  })

  t.test('has the common members', async (t) => {
    for (const name of ['name', 'uuid']) t.ok(shape.attributes.includes(name), name)
    for (const name of ['info', 'stats', 'dump', 'patch', 'acls', 'account', 'audit']) t.ok(shape.verbs.includes(name), name)
    t.notOk(shape.verbs.includes('watch') || shape.verbs.includes('unwatch'), 'streams are for references, not for sandbox handles')
    const acls: Readonly<Record<string, string>> = { patch: 'update', acls: 'administer', account: 'read', audit: 'administer' }
    for (const [name, acl] of Object.entries(acls)) t.equal(kind.verbs[name]?.acl, acl, `${name} has the common ACL verb`)
  })

  t.test('names attributes with their units and says how to show them', async (t) => {
    for (const [name, { doc, type, column }] of Object.entries(kind.attributes)) {
      t.match(name, NAME)
      t.ok(sentence(doc), `${name} is documented`)
      if (type.unit !== undefined && !UNITLESS.has(type.unit)) t.ok(name.endsWith(UNIT_SUFFIX[type.unit]), `${name} ends in ${UNIT_SUFFIX[type.unit]}`)
      for (const [unit, suffix] of Object.entries(UNIT_SUFFIX)) if (suffix !== '' && name.endsWith(suffix)) t.equal(type.unit, unit, `${name} is in ${unit}`)
      if (column !== 'none') t.match(column.header, /^[A-Z0-9 ]+$/, `${name} has a header`)
    }
  })

  t.test('declares verbs with an ACL verb, documented parameters and a result', async (t) => {
    for (const [name, verb] of Object.entries(kind.verbs)) {
      t.match(name, NAME)
      t.ok(Object.hasOwn(ACL_VERBS, verb.acl), `${name} has an ACL verb`)
      t.type(verb.idempotent, 'boolean')
      t.ok(sentence(verb.doc) && sentence(verb.result.doc), `${name} is documented`)
      for (const parameter of verb.parameters) t.ok(NAME.test(parameter.name) && sentence(parameter.doc), `${name}(${parameter.name}) is documented`)
    }
  })

  t.test('relations name kinds of the registry, and no name means two things', async (t) => {
    const kinds = new Set(rmoKinds.kinds.map((each) => each.kind))
    for (const [name, to] of [...Object.entries(shape.collections), ...Object.entries(shape.references ?? {})]) t.ok(kinds.has(to), `${name} -> ${to}`)
    const names = [...shape.attributes, ...shape.verbs, 'watch', 'unwatch', ...Object.keys(shape.collections), ...Object.keys(shape.references ?? {})]
    t.equal(new Set(names).size, names.length)
    for (const reserved of ['then', 'catch', 'finally', 'toJSON', 'constructor', 'kind']) t.notOk(names.includes(reserved), `${reserved} is not taken`)
  })

  t.test('documents its events', async (t) => {
    t.ok(Object.keys(kind.events).length > 0)
    for (const [name, event] of Object.entries(kind.events)) t.ok(NAME.test(name) && sentence(event.doc), name)
    for (const reserved of ['type', 'atMs']) for (const event of Object.values(kind.events)) t.notOk(Object.hasOwn(event.fields, reserved))
  })

  t.test('observes what it declares, in plain data that travels', async (t) => {
    const observed = kind.observe(local)
    t.same(Object.keys(observed).sort(), [...shape.attributes].sort())
    for (const [name, { type }] of Object.entries(kind.attributes)) t.doesNotThrow(() => type.check(observed[name], at(kind, name)), `${name} fits its type`)
    t.same(structuredClone(observed), observed)
  })

  t.test('answers the common verbs in plain data', async (t) => {
    for (const name of ['info', 'stats', 'dump', 'acls', 'account', 'audit']) {
      const answer: unknown = await kind.operations.get(name)?.run(local, [], authority, home)
      t.type(answer, 'object', name)
      t.same(structuredClone(answer), answer, `${name} is plain`)
    }
    const dump = await kind.operations.get('dump')?.run(local, [], authority, home) as Record<string, unknown>
    t.match(dump, { kind: kind.kind, uuid: kind.observe(local).uuid, name: kind.observe(local).name, version: /^[0-9a-f]{16}$/ })
    for (const name of shape.settable ?? []) t.ok(Object.hasOwn(dump.settings as object, name), `${name} can be assigned, so it is a setting`)
  })

  t.test('takes a patch only from the version it was made from, and only of settings', async (t) => {
    const patch = (change: object, options?: object) => (async () => kind.operations.get('patch')?.run(local, [change, options], authority, home))()
    await t.rejects(patch({ noSuchSetting: 1 }), { code: 'RMO_ERR_READ_ONLY' })
    await t.rejects(patch({}, { version: '0000000000000000' }), { code: 'RMO_ERR_VERSION_CONFLICT' })
    const { version } = await kind.operations.get('dump')?.run(local, [], authority, home) as { version: string }
    t.match(await patch({}, { version }), { version }, 'a change of nothing is done')
  })

  t.test('starts and stops a watch', async (t) => {
    const stop = kind.watch.start(local, kind.watch.options.check({}, at(kind, 'options')), () => {})
    t.doesNotThrow(stop)
    t.doesNotThrow(stop, 'stopping twice is stopping once')
  })
}

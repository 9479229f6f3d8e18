// Secrets on a fabric of three: sealed, shared with members that join, given only where they are named.

import { test } from 'tap'
import type { Test } from 'tap'
import { CodedError, seededRandom, systemClock, systemRandom } from '../../../fabric/base.ts'
import { createMemoryGlobalStore } from '../../../fabric/mod.ts'
import type { GlobalStore } from '../../../fabric/mod.ts'
import { createSecrets, createSecretsClient } from '../../../functions/mod.ts'
import type { NodeSecrets } from '../../../functions/mod.ts'
import { openSecret, readSecret, sealSecret, shareSecret, writeSecret } from '../../../functions/state/secret-record.ts'
import { openObservedNodes } from '../../support/observed-nodes.ts'
import type { ObservedNode, ObservedNodes } from '../../support/observed-nodes.ts'

interface Fabric extends ObservedNodes { readonly store: GlobalStore; of(name: string): NodeSecrets; add(node: ObservedNode, store?: GlobalStore): NodeSecrets }
const reader = { name: 'hot', secrets: ['key'] }

function open(t: Test, names: readonly string[]): Fabric {
  const fabric = openObservedNodes(names)
  const store = createMemoryGlobalStore({ clock: systemClock })
  const all = new Map<string, NodeSecrets>()
  const add = (node: ObservedNode, through: GlobalStore = store): NodeSecrets => {
    const made = createSecrets({ store: through, membership: node.membership, sealing: node.sealing, clock: systemClock, random: systemRandom, usedBy: (secret) => secret === 'key' ? ['hot'] : [], warn: () => {} })
    made.serve(node.registry)
    all.set(node.name, made)
    return made
  }
  for (const node of fabric.nodes) add(node)
  t.teardown(() => { for (const one of all.values()) one.close(); fabric.close() })
  return { ...fabric, store, add, of: (name) => { const found = all.get(name); if (found === undefined) throw new Error(name); return found } }
}
/** Resolves when the stored record is sealed to `count` nodes. */
async function sealedTo(store: GlobalStore, name: string, count: number): Promise<number> {
  const control = new AbortController()
  const { revision } = await store.range('secret/')
  const size = async (): Promise<number> => Object.keys(readSecret((await store.get(`secret/${name}`))?.value ?? new Uint8Array())?.sealedTo ?? {}).length
  const watch = store.watch('secret/', { after: revision, signal: control.signal })[Symbol.asyncIterator]()
  for (let n = await size(); ; n = await size()) {
    if (n >= count) { control.abort(); return n }
    await watch.next()
  }
}

test('set through a shell, read where it is named, listed without its value', async (t) => {
  const { nodes, of, store } = open(t, ['alpha', 'beta', 'gamma'])
  const shell = createSecretsClient({ peer: nodes[0]!.shell(), callOptions: () => ({}) })
  t.match(await shell.set('key', 'correct horse'), { name: 'key', by: 'local:0', sealedTo: ['alpha', 'beta', 'gamma'], usedBy: ['hot'] })
  for (const name of ['alpha', 'beta', 'gamma']) t.equal(await of(name).get(reader, 'key'), 'correct horse')
  const [row] = await shell.list()
  t.same(Object.keys(row ?? {}).sort(), ['by', 'name', 'sealedTo', 'updatedAtMs', 'usedBy'])
  t.notMatch(Buffer.from((await store.get('secret/key'))?.value ?? []).toString('latin1'), /correct|horse/)
  await t.rejects(of('alpha').get({ name: 'other', secrets: [] }, 'key'), { code: 'FUNCTIONS_ERR_SECRET_UNKNOWN' }, 'not named')
  await t.rejects(of('alpha').get({ name: 'hot', secrets: ['none'] }, 'none'), { code: 'FUNCTIONS_ERR_SECRET_UNKNOWN' }, 'not set')
  await shell.set('key', 'another horse')
  t.equal(await of('gamma').get(reader, 'key'), 'another horse', 'the next read has the new value')
  await shell.remove('key')
  await t.rejects(of('beta').get(reader, 'key'), { code: 'FUNCTIONS_ERR_SECRET_UNKNOWN' })
  t.same(await shell.list(), [])
})

test('a member that joins is sealed to by those who can, one that is dead only when it comes back', async (t) => {
  const fabric = open(t, ['alpha', 'beta'])
  fabric.change('beta', 'dead')
  await fabric.of('alpha').set('key', 'correct horse', 'local:0')
  t.equal(await sealedTo(fabric.store, 'key', 1), 1)
  await t.rejects(fabric.of('beta').get(reader, 'key'), { code: 'FUNCTIONS_ERR_SECRET_SEALED', retryable: true })
  fabric.change('beta', 'alive')
  await sealedTo(fabric.store, 'key', 2)
  t.equal(await fabric.of('beta').get(reader, 'key'), 'correct horse')
  fabric.change('alpha', 'dead')
  fabric.join('gamma', (node) => fabric.add(node))
  await sealedTo(fabric.store, 'key', 3)
  t.equal(await fabric.of('gamma').get(reader, 'key'), 'correct horse', 'also when the node that set it is gone')
  t.equal((await fabric.store.get('secret/key'))?.version, 3, 'each join cost one write')
})

test('a record that lacks a member which is up already is shared when it is seen', async (t) => {
  const { nodes, store, of } = open(t, ['alpha', 'beta'])
  const [alpha] = nodes
  await Promise.all([of('alpha').ready, of('beta').ready])
  const record = sealSecret({ name: 'key', value: 'correct horse', nodes: [alpha!.id], by: 'local:0', updatedAtMs: 1, sealing: alpha!.sealing, random: systemRandom })
  await store.transact({ then: [{ do: 'put', key: 'secret/key', value: writeSecret(record) }] })
  await sealedTo(store, 'key', 2)
  t.equal(await of('beta').get(reader, 'key'), 'correct horse')
})

test('every line is redacted on every node, from the moment the secret is set', async (t) => {
  const { of, add, nodes, store } = open(t, ['alpha', 'beta'])
  await of('alpha').set('key', 'correct horse', 'local:0')
  t.equal(of('alpha').redactor.text('a correct horse'), 'a [secret key]')
  t.equal(await of('beta').get(reader, 'key'), 'correct horse')
  t.equal(of('beta').redactor.text('a correct horse'), 'a [secret key]')
  const restarted = createSecrets({ store, membership: nodes[0]!.membership, sealing: nodes[0]!.sealing, clock: systemClock, random: seededRandom(1), usedBy: () => [], warn: () => {} })
  await restarted.ready
  t.equal(restarted.redactor.text('a correct horse'), 'a [secret key]', 'after a restart too')
  restarted.close()
  t.ok(add)
})

test('while the store does not answer, the last known value is given', async (t) => {
  const fabric = open(t, ['alpha'])
  await fabric.of('alpha').set('key', 'correct horse', 'local:0')
  let cut = false
  const line: GlobalStore = {
    ...fabric.store, range: (...args) => fabric.store.range(...args), transact: (...args) => fabric.store.transact(...args), watch: (...args) => fabric.store.watch(...args),
    get: (...args) => cut ? Promise.reject(new CodedError('away', { code: 'FABRIC_ERR_STORE_UNREACHABLE' })) : fabric.store.get(...args),
  }
  const [alpha] = fabric.nodes
  const secrets = createSecrets({ store: line, membership: alpha!.membership, sealing: alpha!.sealing, clock: systemClock, random: seededRandom(1), usedBy: () => [], warn: () => {} })
  t.teardown(() => secrets.close())
  await secrets.ready
  cut = true
  t.equal(await secrets.get(reader, 'key'), 'correct horse')
  await t.rejects(secrets.get({ name: 'hot', secrets: ['none'] }, 'none'), { code: 'FABRIC_ERR_STORE_UNREACHABLE' })
})

test('names and values are checked, and a refusal never shows the value', async (t) => {
  const { of, nodes } = open(t, ['alpha'])
  for (const [name, value] of [['', 'long enough'], ['a b', 'long enough'], ['../x', 'long enough'], ['key', 'abc'], ['key', 'x'.repeat(4_097)]] as const) {
    const error = await refusal(of('alpha').set(name, value, 'local:0'))
    t.equal(error.code, 'FUNCTIONS_ERR_SECRET_INVALID', name)
    t.notOk(error.message.includes(value))
  }
  t.notMatch((await refusal(nodes[0]!.shell().call('functions.secret.set', { name: 'key', value: 12345678 }))).message, '12345678')
})

test('records: hostile bytes, boxes under another name, boxes that were changed', (t) => {
  const [a, b] = openNodes(t)
  const record = sealSecret({ name: 'key', value: 'correct horse', nodes: [a.id], by: 'x', updatedAtMs: 1, sealing: a.sealing, random: systemRandom })
  t.equal(openSecret('key', record, a.id, a.sealing), 'correct horse')
  t.equal(openSecret('other', record, a.id, a.sealing), undefined, 'a record that was copied under another name')
  t.equal(openSecret('key', record, b.id, b.sealing), undefined)
  const shared = shareSecret(record, a.id, [b.id, 'not a node'], a.sealing)
  t.equal(shared === undefined ? undefined : openSecret('key', shared, b.id, b.sealing), 'correct horse')
  t.equal(shareSecret(record, b.id, [b.id], b.sealing), undefined, 'who cannot open it cannot share it')
  const box = Buffer.from(record.box, 'base64')
  for (let at = 0; at < box.length; at += 5) {
    const changed = Buffer.from(box)
    changed[at]! ^= 1
    t.equal(openSecret('key', { ...record, box: changed.toString('base64') }, a.id, a.sealing), undefined)
  }
  t.same(readSecret(writeSecret(record)), record)
  for (const bytes of ['', 'null', '{}', '[]', '{"box":1}', '\u0000', '{"box":"","sealedTo":null,"updatedAtMs":1,"by":""}']) t.equal(readSecret(Buffer.from(bytes)), undefined)
  t.end()
})
const refusal = (work: Promise<unknown>): Promise<Error & { readonly code?: string }> => work.then(() => { throw new Error('not refused') }, (error: Error) => error)

function openNodes(t: Test): readonly [ObservedNode, ObservedNode] {
  const { nodes, close } = openObservedNodes(['alpha', 'beta'])
  t.teardown(close)
  return [nodes[0]!, nodes[1]!]
}

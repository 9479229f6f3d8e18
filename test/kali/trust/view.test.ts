// Records of trust, the view of them and the book: what whoever writes to the store can and cannot do to it.

import { test } from 'tap'
import { LIMITS, seededRandom, systemClock } from '../../../fabric/base.ts'
import { foundChain } from '../../../fabric/identity/certificate.ts'
import { generateKeys } from '../../../fabric/identity/keys.ts'
import { createCertifiedSigner, createMemoryGlobalStore, createMemoryStore } from '../../../fabric/mod.ts'
import type { GlobalStore, LocalStore } from '../../../fabric/mod.ts'
import { createTrustBook } from '../../../kali/trust/book.ts'
import type { TrustBook } from '../../../kali/trust/book.ts'
import { readRecord, roleKey, SETTINGS_KEY, userKey, writeRecord } from '../../../kali/trust/records.ts'
import { createTrustView } from '../../../kali/trust/view.ts'
import type { NodeTrustView, TrustChange } from '../../../kali/trust/view.ts'

const random = seededRandom(7)
const fabric = generateKeys(random)
const makeSigner = (of = fabric) => { const keys = generateKeys(random); return createCertifiedSigner({ keys, fabric: () => ({ id: of.id, chain: foundChain(of, keys.id) }) }) }
const signer = makeSigner(), other = makeSigner(), stranger = makeSigner(generateKeys(random))
const alice = { name: 'alice', dn: 'uid=alice', groups: ['ops'], epoch: 0, state: 'active', lastLoginMs: 1 } as const

interface Lab { readonly store: GlobalStore; readonly local: LocalStore; readonly view: NodeTrustView; readonly book: TrustBook; readonly warnings: string[]; put(key: string, value: Uint8Array): Promise<void>; remove(key: string): Promise<void> }

async function openLab(t: { teardown(after: () => Promise<void>): unknown }, { store = createMemoryGlobalStore({ clock: systemClock, random }), local = createMemoryStore() }: { readonly store?: GlobalStore; readonly local?: LocalStore } = {}): Promise<Lab> {
  const warnings: string[] = []
  const view = createTrustView({ store, localStore: local, signer, clock: systemClock, log: { warn: (_message, fields) => { warnings.push(String(fields?.['reason'])) } } })
  view.start()
  t.teardown(() => view.stop())
  await view.ready
  const seen = async (write: Promise<{ readonly revision: number }>): Promise<void> => view.until((await write).revision)
  return {
    store, local, view, warnings, book: createTrustBook({ store, view, signer, clock: systemClock }),
    put: (key, value) => seen(store.transact({ then: [{ do: 'put', key, value }] })),
    remove: (key) => seen(store.transact({ then: [{ do: 'delete', key }] })),
  }
}

test('a record is believed under its own key, whole, from a member, and not otherwise', (t) => {
  const bytes = writeRecord('user', alice, signer), text = Buffer.from(bytes).toString()
  t.same(readRecord('user', userKey('alice'), bytes, other).record, alice)
  const bad: readonly (readonly [string, Uint8Array, string?])[] = [
    ['another key', bytes, userKey('bob')], ['a node of another fabric', writeRecord('user', alice, stranger)],
    ['altered', Buffer.from(text.replace('"epoch":0', '"epoch":1'))], ['a further field', Buffer.from(text.replace('{', '{"admin":true,'))],
    ['cut short', bytes.subarray(0, -4)], ['nothing', new Uint8Array()], ['no JSON', Buffer.from('alice')], ['huge', Buffer.alloc(LIMITS.trustRecordBytesMax + 1, 32)],
    ['another signer\'s name', Buffer.from(text.replace(signer.node, other.node))],
  ]
  for (const [name, value, key = userKey('alice')] of bad) t.throws(() => readRecord('user', key, value, signer), { code: 'KALI_ERR_TRUST_UNSIGNED' }, name)
  t.throws(() => readRecord('role', roleKey('alice'), bytes, signer), { code: 'KALI_ERR_TRUST_UNSIGNED' }, 'another kind')
  t.throws(() => writeRecord('user', { ...alice, name: 'Alice' }, signer), { code: 'KALI_ERR_TRUST_INVALID' })
  t.throws(() => writeRecord('settings', { tokenEpoch: 0, tokenLifeMs: LIMITS.tokenLifeMsMax + 1 }, signer), { code: 'KALI_ERR_TRUST_INVALID' })
  t.end()
})

test('logins, roles and revocations are seen as they are written', async (t) => {
  const { view, book } = await openLab(t)
  const changes: TrustChange[] = []
  view.onChange((change) => changes.push(change))
  t.equal(view.user('alice'), undefined)
  t.same(view.role('reader'), ['*:read', '*:watch', 'function:run'])
  const before = view.version
  await book.login({ name: 'alice', dn: 'uid=alice', groups: ['ops'] })
  t.ok(view.version > before)
  t.same(view.user('alice'), { groups: ['ops'], roles: [], revoked: false })
  await book.setRole({ name: 'operator', groups: ['ops'], users: [], patterns: ['vm:start'] })
  await book.setRole({ name: 'mine', groups: [], users: ['alice'], patterns: ['vm:read'] })
  t.same(view.user('alice')?.roles, ['operator', 'mine'])
  t.same(view.role('operator'), ['vm:start'], 'a record stands for the built-in one')
  await book.removeRole('operator')
  t.same(view.role('operator'), ['*:operate', '*:read', '*:update', '*:watch', 'function:invoke', 'function:run'])
  await book.revokeUser('alice')
  t.same(view.user('alice'), { groups: ['ops'], roles: ['mine'], revoked: true })
  await t.rejects(book.login({ name: 'alice', dn: '', groups: [] }), { code: 'KALI_ERR_USER_REVOKED' })
  await book.restoreUser('alice')
  t.match(await book.login({ name: 'alice', dn: 'uid=alice', groups: ['staff'] }), { epoch: 1, groups: ['staff'] }, 'the epoch stays raised')
  await book.revokeNode({ node: other.node, name: 'beta', atMs: 1, by: 'local:0', reason: 'lost' })
  t.match(view.revokedNode(other.node), { name: 'beta' })
  await book.readmitNode(other.node)
  t.equal(view.revokedNode(other.node), undefined)
  t.same([...new Set(changes.map(({ kind }) => kind))].sort(), ['revoked', 'role', 'user'])
})

test('changes at the same time are all there afterwards', async (t) => {
  const { view, book } = await openLab(t)
  await book.login({ name: 'alice', dn: '', groups: [] })
  await Promise.all([book.changeSettings((now) => ({ ...now, tokenEpoch: now.tokenEpoch + 1 })), book.changeSettings((now) => ({ ...now, tokenEpoch: now.tokenEpoch + 1 })), book.revokeUser('alice'), book.revokeUser('alice')])
  t.equal(view.settings().tokenEpoch, 2)
  t.equal(view.userRecord('alice')?.epoch, 2)
})

test('who writes to the store around the fabric gives nobody anything, and takes back no revocation', async (t) => {
  const { view, book, put, remove, warnings, store } = await openLab(t)
  await book.login({ name: 'alice', dn: 'uid=alice', groups: ['ops'] })
  const active = (await store.get(userKey('alice')))?.value ?? new Uint8Array()
  await book.revokeUser('alice')
  await book.changeSettings((now) => ({ ...now, tokenEpoch: 1 }))
  const settings = writeRecord('settings', { tokenEpoch: 0, tokenLifeMs: LIMITS.tokenLifeMsMax }, signer)

  await put(userKey('alice'), active)
  await put(userKey('mallory'), writeRecord('user', { ...alice, name: 'mallory' }, stranger))
  await put(userKey('eve'), writeRecord('user', alice, signer))
  await put(roleKey('admin'), Buffer.from('{"name":"admin","groups":[],"users":["alice"],"patterns":["*:*"]}'))
  await put(SETTINGS_KEY, settings)
  await remove(userKey('alice'))
  await remove(SETTINGS_KEY)
  t.same(view.user('alice'), { groups: ['ops'], roles: [], revoked: true })
  t.equal(view.user('mallory'), undefined)
  t.equal(view.user('eve'), undefined)
  t.equal(view.settings().tokenEpoch, 1)
  t.equal(warnings.length, 7, 'each is told')
  t.match(await book.changeSettings((now) => now), { tokenEpoch: 1 }, 'what is written next goes on from what was seen')
  await t.rejects(book.login({ name: 'alice', dn: '', groups: [] }), { code: 'KALI_ERR_USER_REVOKED' })
})

test('what a node signs after it was revoked is not taken in; what it signed before stays', async (t) => {
  const { view, put, book } = await openLab(t)
  await put(userKey('alice'), writeRecord('user', alice, other))
  await book.revokeNode({ node: other.node, name: 'beta', atMs: 1, by: 'local:0', reason: 'lost' })
  await put(roleKey('admin'), writeRecord('role', { name: 'admin', groups: [], users: ['alice'], patterns: ['*:*'] }, other))
  t.ok(view.user('alice'))
  t.same(view.user('alice')?.roles, [])
})

test('a node that starts while the store is away knows what it knew', async (t) => {
  const first = await openLab(t)
  await first.book.login({ name: 'alice', dn: '', groups: ['ops'] })
  await first.book.login({ name: 'bob', dn: '', groups: [] })
  await first.book.revokeUser('bob')
  await first.book.revokeNode({ node: other.node, name: 'beta', atMs: 1, by: 'local:0', reason: 'lost' })
  await first.book.setRole({ name: 'mine', groups: ['ops'], users: [], patterns: ['vm:read'] })
  await first.view.stop()

  const away: Pick<GlobalStore, 'range' | 'watch'> = { range: () => Promise.reject(new Error('away')), async *watch() { throw new Error('away') } }
  const start = (local: LocalStore): NodeTrustView => {
    const view = createTrustView({ store: away, localStore: local, signer, clock: systemClock, log: { warn() {} } })
    t.teardown(() => view.stop())
    view.start()
    return view
  }
  const view = start(first.local)
  t.ok(view.known)
  t.same(view.user('alice'), { groups: ['ops'], roles: ['mine'], revoked: false })
  t.equal(view.user('bob')?.revoked, true)
  t.ok(view.revokedNode(other.node))
  t.notOk(start(createMemoryStore()).known, 'one that never knew anything lets nobody in')
  await first.local.write([{ key: `trust-copy/${userKey('bob')}`, value: '99 {"forged":true}' }])
  t.equal(start(first.local).user('bob'), undefined, 'what lies in the copy is judged too')
})

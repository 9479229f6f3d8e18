// Where a fabric's store is, among nodes of this process: found, remembered, followed when it moves, with nothing lost.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { systemClock, systemRandom } from '../../../fabric/base.ts'
import { FABRIC } from '../../../fabric/errors-table.ts'
import { openGlobalStore } from '../../../fabric/mod.ts'
import type { FabricStore, RpcPeer } from '../../../fabric/mod.ts'
import { createRpcPeer } from '../../../fabric/rpc/peer.ts'
import { createRegistry } from '../../../fabric/rpc/registry.ts'
import { createChannelPair } from '../../../fabric/transport/memory-channel.ts'
import { etcdAbsent, startEtcd } from '../../support/etcd.ts'
import { failure } from '../../support/rpc-pair.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (value: Uint8Array | undefined): string | undefined => value && new TextDecoder().decode(value)
const idOf = (name: string): string => Buffer.from(name).toString('hex').padEnd(64, '0')
const FABRIC_ID = 'f'.repeat(64)

interface Node { readonly store: FabricStore; readonly data: string; stop(): Promise<void>; shell(): RpcPeer }

/** A fabric of nodes by name, the first of which founded it. */
function createFabric(t: Test) {
  const root = mkdtempSync(join(tmpdir(), 'kumoi-stores-'))
  const registries = new Map<string, ReturnType<typeof createRegistry>>()
  const nodes = new Map<string, Node>()
  let founder = ''
  const log = { info() {}, warn() {}, error() {}, debug() {} }
  t.teardown(async () => {
    for (const node of nodes.values()) await node.stop()
    rmSync(root, { recursive: true, force: true })
  })
  const connect = (to: string, caller: Parameters<typeof createRpcPeer>[0]['caller'], principal?: string): RpcPeer => {
    const registry = registries.get(to)
    if (registry === undefined) throw FABRIC.UNREACHABLE({ node: idOf(to), reason: 'it is not there' })
    const [here, there] = createChannelPair()
    const server = createRpcPeer({ channel: there, clock: systemClock, registry, caller, ...(principal === undefined ? {} : { principal }) })
    t.teardown(() => server.close())
    return createRpcPeer({ channel: here, clock: systemClock, registry: createRegistry(), caller: { via: 'link', node: idOf(to), name: to } })
  }
  return {
    async start(name: string, wish?: string): Promise<Node> {
      if (founder === '') founder = name
      const registry = createRegistry()
      const peers = new Map<string, RpcPeer>()
      const data = join(root, name)
      mkdirSync(data, { recursive: true })
      const store = await openGlobalStore({
        data, self: idOf(name), fabricId: FABRIC_ID, founder: idOf(founder), clock: systemClock, random: systemRandom, registry, log: log as never,
        members: () => [...new Set([name, ...registries.keys()])].map((each) => ({ id: idOf(each), name: each, state: 'alive' })),
        peer(id) {
          const to = Buffer.from(id, 'hex').toString().replaceAll('\0', '')
          const present = peers.get(to)
          if (present !== undefined && !present.closed && registries.has(to)) return present
          const made = connect(to, { via: 'link', node: idOf(name), name })
          peers.set(to, made)
          return made
        },
        ...(wish === undefined ? {} : { wish }),
      })
      registries.set(name, registry)
      const node: Node = {
        store, data,
        shell: () => connect(name, { via: 'socket', uid: 0 }, 'local:0'),
        async stop() {
          registries.delete(name)
          nodes.delete(name)
          await store.close()
          for (const peer of peers.values()) peer.close()
        },
      }
      nodes.set(name, node)
      return node
    },
  }
}

const put = (node: Node, key: string, value: string, lease?: string): ReturnType<FabricStore['transact']> => node.store.transact({ then: [{ do: 'put', key, value: bytes(value), ...(lease === undefined ? {} : { lease }) }] })
const read = async (node: Node, key: string): Promise<string | undefined> => text((await node.store.get(key))?.value)

t.test('the founder keeps it, the others find it, all come back to it', async (t) => {
  const fabric = createFabric(t)
  const alpha = await fabric.start('alpha')
  const beta = await fabric.start('beta')
  await put(beta, 'a', '1')
  t.equal(await read(alpha, 'a'), '1')
  t.match(await beta.store.status(), { description: 'embedded at alpha', kind: 'embedded', keys: 1, reachable: true })
  await alpha.stop()
  t.match(await failure(beta.store.get('a', { timeoutMs: 100 })), { code: 'FABRIC_ERR_STORE_UNREACHABLE' })
  t.match(await beta.store.status(), { reachable: false })
  const reading = read(beta, 'a')
  const back = await fabric.start('alpha')
  t.equal(await reading, '1', 'a read waits for it')
  t.equal(await read(back, 'a'), '1')
})

t.test('a node that does not know where it is asks until somebody says it', async (t) => {
  const fabric = createFabric(t)
  const alpha = await fabric.start('alpha')
  await put(alpha, 'a', '1')
  await alpha.stop()
  const beta = await fabric.start('beta')
  t.match(await failure(beta.store.revision({ timeoutMs: 50 })), { code: 'FABRIC_ERR_STORE_UNREACHABLE', outcome: 'not-started' })
  const reading = read(beta, 'a')
  await fabric.start('alpha')
  t.equal(await reading, '1')
})

t.test('it moves to another node under load: no acknowledged write is lost, revisions only grow, all follow', async (t) => {
  const fabric = createFabric(t)
  const [alpha, beta, gamma] = [await fabric.start('alpha'), await fabric.start('beta'), await fabric.start('gamma')]
  const lease = await gamma.store.grant(60_000)
  await put(gamma, 'held', 'gamma', lease.id)
  const written = new Map<string, string>()
  let revision = 0
  let going = true
  const writer = async (node: Node, name: string): Promise<void> => {
    for (let i = 0; going; i++) {
      const key = `${name}/${i % 5}`
      const answer = await put(node, key, String(i))
      t.ok(answer.revision > 0 && answer.succeeded)
      revision = Math.max(revision, answer.revision)
      written.set(key, String(i))
    }
  }
  const writers = [writer(alpha, 'a'), writer(beta, 'b'), writer(gamma, 'g')]
  const watching = failure((async () => { for await (const _ of gamma.store.watch('a/')) { /* until the move */ } })())
  await gamma.store.revision()
  const stale = await gamma.store.get('held')
  const { keys, to, switched } = await beta.store.copy('node:beta', { keep: false })
  t.same([to, switched, keys > 5], ['embedded at beta', true, true])
  t.match(await watching, { code: 'FABRIC_ERR_STORE_COMPACTED' }, 'watches begin anew')
  going = false
  await Promise.all(writers)
  for (const [key, value] of written) for (const node of [alpha, beta, gamma]) t.equal(await read(node, key), value, key)
  for (const node of [alpha, beta, gamma]) t.match(await node.store.status(), { description: 'embedded at beta', reachable: true })
  t.ok(await gamma.store.revision() >= revision)
  t.ok(await lease.keepAlive() > 0, 'a lease is the same one there')
  t.equal((await gamma.store.transact({ when: [{ key: 'held', field: 'modRevision', is: '=', than: stale?.modRevision ?? 0 }], then: [] })).succeeded, false, 'a revision of before is none of now')
  t.match(await failure((async () => { for await (const _ of gamma.store.watch('', { after: stale?.modRevision ?? 0 })) { /* never */ } })()), { code: 'FABRIC_ERR_STORE_COMPACTED' })
  await lease.revoke()
  t.equal(await read(alpha, 'held'), undefined)

  await gamma.stop()
  await alpha.stop()
  const again = await fabric.start('gamma')
  t.equal(await read(again, 'a/0'), written.get('a/0'), 'it remembers where, without the founder')
  const founder = await fabric.start('alpha')
  t.equal(await read(founder, 'a/0'), written.get('a/0'))
})

t.test('a node that was away during two moves hears of them', async (t) => {
  const fabric = createFabric(t)
  const [alpha, beta] = [await fabric.start('alpha'), await fabric.start('beta')]
  await put(alpha, 'a', '1')
  await beta.stop()
  const gamma = await fabric.start('gamma')
  await alpha.store.copy('node:gamma', { keep: false })
  await put(gamma, 'a', '2')
  await gamma.store.copy('node:alpha', { keep: false })
  await put(gamma, 'a', '3')
  await gamma.stop()
  const back = await fabric.start('beta')
  t.equal(await read(back, 'a'), '3')
  t.match(await back.store.status(), { description: 'embedded at alpha' })
})

t.test('a copy on the side changes nothing, and what cannot be copied to is refused', async (t) => {
  const fabric = createFabric(t)
  const [alpha, beta] = [await fabric.start('alpha'), await fabric.start('beta')]
  await put(alpha, 'a', '1')
  t.match(await alpha.store.copy('node:beta', { keep: true }), { keys: 1, switched: false })
  await put(beta, 'a', '2')
  t.equal(await read(alpha, 'a'), '2')
  t.match(await alpha.store.status(), { description: 'embedded at alpha' })
  for (const to of ['node:alpha', 'node:nobody', 'node:']) t.match(await failure(alpha.store.copy(to, { keep: false })), { code: 'FABRIC_ERR_STORE_INVALID' }, to)
  for (const to of ['http://x', 'etcd://']) t.match(await failure(alpha.store.copy(to, { keep: false })), { code: 'FABRIC_ERR_STORE_URL' }, to)
  t.match(await failure(alpha.store.copy('etcd://127.0.0.1:1', { keep: false })), { code: 'FABRIC_ERR_STORE_UNREACHABLE' })
  await put(alpha, 'a', '3')
  t.equal(await read(beta, 'a'), '3', 'after a copy that failed the old one goes on')
  const [one, two] = await Promise.allSettled([alpha.store.copy('node:beta', { keep: false }), beta.store.copy('node:beta', { keep: false })])
  t.same([one.status, two.status].toSorted(), ['fulfilled', 'rejected'], 'one at a time')
  t.equal(await read(alpha, 'a'), '3')
})

t.test('shells ask the node, and only the administrator moves it', async (t) => {
  const fabric = createFabric(t)
  const alpha = await fabric.start('alpha')
  const shell = alpha.shell()
  t.match(await shell.call('node.store.status', null), { kind: 'embedded', reachable: true })
  t.match(await failure(shell.call('node.store.copy', ['node:alpha', false], { principal: 'local:0/tenant' })), { code: 'FABRIC_ERR_LOCAL_ONLY' })
  t.match(await failure(shell.call('node.store.copy', ['node:alpha', false])), { code: 'FABRIC_ERR_STORE_INVALID' })
  t.match(await failure(shell.call('store.where', null)), { code: 'FABRIC_ERR_STORE_MEMBERS_ONLY' })
  t.match(await failure(shell.call('store.host', [5])), { code: 'FABRIC_ERR_STORE_MEMBERS_ONLY' })
})

t.test('a founder whose store has gone, or whose memory is damaged, does not begin an empty one', async (t) => {
  const fabric = createFabric(t)
  const alpha = await fabric.start('alpha')
  await put(alpha, 'a', '1')
  await alpha.stop()
  const file = join(alpha.data, 'store.json')
  const whole = readFileSync(file)
  writeFileSync(file, '{"era":')
  t.match(await failure(fabric.start('alpha')), { code: 'FABRIC_ERR_STORE_FAILED' })
  writeFileSync(file, whole)
  rmSync(join(alpha.data, 'global-store'), { recursive: true })
  t.match(await failure(fabric.start('alpha')), { code: 'FABRIC_ERR_STORE_FAILED' })
})

t.test('etcd: from the start, or later; the others learn of it', { skip: etcdAbsent }, async (t) => {
  const etcd = await startEtcd(t, 1)
  const fabric = createFabric(t)
  const alpha = await fabric.start('alpha', etcd.url)
  const beta = await fabric.start('beta')
  await put(alpha, 'a', '1')
  t.equal(await read(beta, 'a'), '1')
  t.match(await beta.store.status(), { kind: 'etcd', keys: 1 })
  await alpha.stop()
  t.equal(await read(beta, 'a'), '1', 'the founder is not needed')
  t.match(await failure(fabric.start('gamma', 'etcd://127.0.0.1:1')), { code: 'FABRIC_ERR_STORE_URL' })
  const back = await fabric.start('alpha')
  await beta.store.copy('node:beta', { keep: false })
  await put(back, 'a', '2')
  t.equal(await read(beta, 'a'), '2')
  await back.store.copy(etcd.url, { keep: false })
  t.equal(await read(beta, 'a'), '2')
  t.match(await beta.store.status(), { kind: 'etcd', keys: 1 })
})

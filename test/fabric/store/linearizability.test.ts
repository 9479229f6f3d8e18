// Recorded histories of concurrent clients of the embedded store are linearizable, with connections cut and its process
// killed. And the checker sees what is wrong when something is.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { seededRandom, systemClock, systemRandom } from '../../../fabric/base.ts'
import { FABRIC } from '../../../fabric/errors-table.ts'
import type { GlobalStore, RpcPeer } from '../../../fabric/mod.ts'
import { createRpcPeer } from '../../../fabric/rpc/peer.ts'
import { createRegistry } from '../../../fabric/rpc/registry.ts'
import { createStoreClient } from '../../../fabric/store/client.ts'
import { openEmbeddedStore } from '../../../fabric/store/embedded.ts'
import { connectLocal } from '../../../fabric/transport/local.ts'
import { notLinearizable, recordHistory } from '../../support/linearizability.ts'
import type { Call } from '../../support/linearizability.ts'
import { linkTo } from '../../support/store-link.ts'

const SEED = 20_261_122
const KEYS = ['x', 'y', 'z']

function directory(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'kumoi-linear-'))
  t.teardown(() => rmSync(made, { recursive: true, force: true }))
  return made
}

const call = (client: number, beganAt: number, endedAt: number, what: Call['call']): Call => ({ key: 'k', client, beganAt, endedAt, call: what })

t.test('the checker', async (t) => {
  const put = (value: string): Call['call'] => ({ do: 'put', value })
  const get = (found: string | undefined): Call['call'] => ({ do: 'get', found })
  const swap = (from: string | undefined, to: string, succeeded: boolean | undefined): Call['call'] => ({ do: 'swap', from, to, succeeded })
  const good: Readonly<Record<string, readonly Call[]>> = {
    'one after another': [call(0, 1, 2, put('a')), call(0, 3, 4, get('a')), call(0, 5, 6, { do: 'delete' }), call(0, 7, 8, get(undefined))],
    'a read beside a write may see either': [call(0, 1, 6, put('a')), call(1, 2, 3, get(undefined)), call(1, 4, 5, get('a'))],
    'an unknown write happened': [call(0, 1, Infinity, put('a')), call(1, 5, 6, get('a'))],
    'an unknown write never happened': [call(0, 1, Infinity, put('a')), call(1, 5, 6, get(undefined))],
    'an unknown write happened late': [call(0, 1, Infinity, put('a')), call(1, 2, 3, put('b')), call(1, 5, 6, get('b')), call(1, 7, 8, get('a'))],
    'one of two swaps': [call(0, 1, 4, swap(undefined, 'a', true)), call(1, 2, 3, swap(undefined, 'b', false)), call(1, 5, 6, get('a'))],
  }
  const bad: Readonly<Record<string, readonly Call[]>> = {
    'a stale read': [call(0, 1, 2, put('a')), call(0, 3, 4, put('b')), call(1, 5, 6, get('a'))],
    'a read that goes back': [call(0, 1, 8, put('a')), call(1, 2, 3, get('a')), call(1, 4, 5, get(undefined))],
    'a lost write': [call(0, 1, 2, put('a')), call(1, 3, 4, get(undefined))],
    'both swaps': [call(0, 1, 4, swap(undefined, 'a', true)), call(1, 2, 3, swap(undefined, 'b', true))],
    'an unknown write that comes and goes': [call(0, 1, Infinity, put('a')), call(1, 2, 3, get('a')), call(1, 4, 5, get(undefined))],
  }
  for (const [name, history] of Object.entries(good)) t.equal(notLinearizable(history), undefined, name)
  for (const [name, history] of Object.entries(bad)) t.ok(notLinearizable(history), name)
})

t.test('embedded, with connections cut at random', async (t) => {
  const engine = await openEmbeddedStore({ directory: join(directory(t), 'store'), description: 'embedded at alpha', clock: systemClock, random: systemRandom })
  t.teardown(() => engine.close())
  const random = seededRandom(SEED)
  const links = Array.from({ length: 6 }, () => linkTo(engine, systemClock))
  const clients = links.map((link, at) => createStoreClient({ description: 'embedded at alpha', era: 0, clock: systemClock, random: seededRandom(at), peer: async () => link.peer() }))
  t.teardown(() => { for (const link of links) link.cut() })
  const history = await recordHistory({ clients: [engine, ...clients], keys: KEYS, calls: 150, random, onCall: () => { if (random.next() < 0.05) links[random.int(links.length)]?.cut() } })
  t.ok(history.some(({ endedAt }) => endedAt === Infinity), 'some outcomes are unknown')
  t.equal(notLinearizable(history), undefined, `seed ${SEED}`)
})

t.test('a store that answers reads from a cache is found out', async (t) => {
  const engine = await openEmbeddedStore({ directory: join(directory(t), 'store'), description: 'embedded at alpha', clock: systemClock, random: systemRandom })
  t.teardown(() => engine.close())
  const cache = new Map<string, ReturnType<GlobalStore['get']>>()
  const stale = new Proxy(engine, { get: (target, name) => name === 'get' ? (key: string) => { const kept = cache.get(key) ?? target.get(key); cache.set(key, kept); if (cache.size > 2) cache.clear(); return kept } : (target as never)[name] }) as GlobalStore
  const sound = { get: engine.get.bind(engine), transact: engine.transact.bind(engine) } as GlobalStore
  const broken = { get: stale.get, transact: engine.transact.bind(engine) } as GlobalStore
  t.ok(notLinearizable(await recordHistory({ clients: [sound, broken, broken], keys: KEYS, calls: 60, random: seededRandom(SEED) })))
})

t.test('embedded, its process killed again and again', async (t) => {
  const place = directory(t)
  const socket = join(place, 's')
  let child: ChildProcess | undefined
  const start = (): Promise<void> => new Promise((ready, failed) => {
    const started = spawn(process.execPath, [join(import.meta.dirname, '../../support/store-child.ts'), join(place, 'store'), socket], { stdio: ['ignore', 'pipe', 'inherit'], env: { PATH: process.env['PATH'] ?? '' } })
    child = started
    started.stdout.once('data', () => ready())
    started.once('error', failed)
  })
  const kill = async (): Promise<void> => {
    const killed = child
    if (killed === undefined || killed.signalCode !== null) return
    const gone = new Promise((done) => killed.once('exit', done))
    killed.kill('SIGKILL')
    await gone
  }
  await start()
  const peers: RpcPeer[] = []
  t.teardown(async () => {
    for (const peer of peers) peer.close()
    await kill()
  })
  const clients = Array.from({ length: 5 }, (_, at) => {
    let present: RpcPeer | undefined
    return createStoreClient({
      description: 'embedded at child', era: 0, clock: systemClock, random: seededRandom(at),
      async peer() {
        if (present !== undefined && !present.closed) return present
        const channel = await connectLocal(socket, systemClock).catch((error: Error) => { throw FABRIC.UNREACHABLE({ node: 'a'.repeat(64), reason: error.message }) })
        present = createRpcPeer({ channel, caller: { via: 'link', node: 'a'.repeat(64), name: 'alpha' }, registry: createRegistry(), clock: systemClock })
        peers.push(present)
        return present
      },
    })
  })
  let kills = 0
  let restarting: Promise<void> | undefined
  const history = await recordHistory({
    clients, keys: KEYS, calls: 120, random: seededRandom(SEED),
    onCall(count) { if (count >= 100 + kills * 150 && kills < 3 && restarting === undefined) { kills++; restarting = kill().then(start).finally(() => { restarting = undefined }) } },
  })
  await restarting
  t.equal(kills, 3)
  const ends = await Promise.all(KEYS.map(async (key): Promise<Call> => { const entry = await clients[0]?.get(key); return { key, client: 9, beganAt: 1e9, endedAt: 1e9 + 1, call: { do: 'get', found: entry && new TextDecoder().decode(entry.value) } } }))
  t.equal(notLinearizable([...history, ...ends]), undefined, `seed ${SEED}`)
})

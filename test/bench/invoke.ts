// A part of functions-invoke, for whoever works on calls: the same over nodes that have no store, no deploys and no observation.
// One call at a time to the other node, and 32 callers at once; beside Moleculer over NATS, whose actions run in the
// server process itself.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectLocal, createRegistry, createRpcPeer, systemClock } from '../../fabric/mod.ts'
import { createCallsClient, decodeValue, encodeValue } from '../../functions/mod.ts'
import type { CallsClient } from '../../functions/mod.ts'
import { alternate, high, low, standalone, timed, withScope } from './figure.ts'
import type { Bench, Figure, Scope } from './figure.ts'
import type { InvokeNodeArgument } from './invoke-node.ts'
import { forkPeer } from './peers/child.ts'
import { hasNats, NATS_ABSENT, openMoleculerNats } from './peers/moleculer-nats.ts'

const CALLERS = 32
const CALLS = 400
const RATE_CALLS = 6_000
const WARM_MS = 1.5
const PER_SECOND = 5_000
const ROUNDS = 5

async function openNodes(scope: Scope): Promise<CallsClient> {
  const directory = await mkdtemp(join(tmpdir(), 'kumoi-bench-invoke-'))
  scope.defer(() => rm(directory, { recursive: true, force: true }))
  const start = (name: string, join_?: string) => forkPeer<{ readonly socket: string; readonly id: string }>(scope, '../invoke-node.ts', { data: join(directory, name), name, ...(join_ === undefined ? {} : { join: join_ }) } satisfies InvokeNodeArgument)
  const shell = async (socket: string) => {
    const peer = createRpcPeer({ channel: await connectLocal(socket, systemClock), caller: { via: 'socket', uid: 0 }, registry: createRegistry(), clock: systemClock })
    scope.defer(() => peer.close())
    return peer
  }
  const first = await start('alpha')
  const peer = await shell(first.first.socket)
  await start('beta', await peer.call('node.ticket', { lifetimeMs: null }) as string)
  const client = createCallsClient({ peer, callOptions: () => ({}), codec: { encode: (value) => encodeValue(value), decode: (bytes) => decodeValue(bytes) } })
  for (;;) {
    if (await client.invoke('bench', 1, { target: 'node:beta' }).then(() => true, () => false)) return client
    await new Promise((resolve) => { setTimeout(resolve, 50) })
  }
}

/** Calls a second of `CALLERS` that each call again when answered. */
async function rate(call: (n: number) => Promise<unknown>): Promise<number[]> {
  let next = 0
  const startMs = performance.now()
  await Promise.all(Array.from({ length: CALLERS }, async () => {
    for (let n = next++; n < RATE_CALLS; n = next++) if (await call(n) !== n + 1) throw new Error('wrong answer')
  }))
  return [RATE_CALLS / (performance.now() - startMs) * 1_000]
}

export const bench: Bench = {
  name: 'invoke',
  run: () => withScope(async (scope): Promise<Figure[]> => {
    const kumoi = await openNodes(scope)
    const moleculer = hasNats() ? await openMoleculerNats(scope, 2) : undefined
    const one = await alternate(ROUNDS, {
      kumoi: () => timed(CALLS, (n) => kumoi.invoke('bench', n, { target: 'node:beta' })),
      moleculer: async () => (moleculer === undefined ? [] : timed(CALLS, (n) => moleculer.callFirst(n))),
    })
    const many = await alternate(ROUNDS, {
      kumoi: () => rate((n) => kumoi.invoke('bench', n)),
      moleculer: async () => (moleculer === undefined ? [] : rate((n) => moleculer.call(n))),
    })
    const warm = low(one.kumoi), calls = high(many.kumoi)
    const peer = (spread: typeof warm) => [moleculer === undefined ? { name: 'Moleculer over NATS', absent: NATS_ABSENT } : { name: 'Moleculer over NATS', ...spread }]
    return [
      { name: 'invoke-warm', what: 'warm invoke by name, on another node of this machine', toReach: `p50 <= ${WARM_MS} ms`, unit: 'ms', ...warm, peers: peer(low(one.moleculer)), reached: warm.p50 <= WARM_MS, why: 'not profiled' },
      {
        name: 'invoke-rate', what: `sustained invokes over 2 nodes on this machine, ${CALLERS} callers`, toReach: `>= ${PER_SECOND.toLocaleString('en-US')}/s`, unit: 'calls/s', ...calls, peers: peer(high(many.moleculer)), reached: calls.p50 >= PER_SECOND,
        note: 'callers in one shell process; Moleculer runs the action in its server process, Kumoi in a sandbox', why: 'five processes share two cores (6,500 and more when nothing else runs); a quarter of the time goes to system calls of the sockets',
      },
    ]
  }),
}

if (import.meta.main) await standalone(bench)

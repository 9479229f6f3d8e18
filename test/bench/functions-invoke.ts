// Calls of a deployed function by name over two whole nodes: one at a time to the other node, the first one after a deploy,
// and 32 callers at once; beside Moleculer over NATS, whose actions run in the server process itself.

import type { DataCenter } from '../../kali/mod.ts'
import { openFabric } from './fabric.ts'
import { alternate, high, low, standalone, timed, withScope } from './figure.ts'
import type { Bench, Figure, Peer, Scope, Spread } from './figure.ts'
import { bundler } from './functions.ts'
import type { Build } from './functions.ts'
import { hasNats, NATS_ABSENT, openMoleculerNats } from './peers/moleculer-nats.ts'

const CALLERS = 32
const CALLS = 400
const RATE_CALLS = 6_000
const ROUNDS = 5
const DEPLOYS = 30
const WARM_MS = 1.5
const FIRST_MS = 10
const PER_SECOND = 5_000
const OTHER = { target: 'node:beta' } as const

const source = (name: string, added: number): string => `
import { defineFunction } from 'kumoi'
export default defineFunction({ name: '${name}', limits: { concurrency: 256, queue: 1024 }, run: (_, n: number) => n + ${added} })
`

/** Calls a second of `CALLERS` that each call again when answered. */
async function rate(call: (n: number) => Promise<unknown>): Promise<number[]> {
  let next = 0
  const startMs = performance.now()
  await Promise.all(Array.from({ length: CALLERS }, async () => {
    for (let n = next++; n < RATE_CALLS; n = next++) if (await call(n) !== n + 1) throw new Error('wrong answer')
  }))
  return [RATE_CALLS / (performance.now() - startMs) * 1_000]
}

/** The first call of each of `DEPLOYS` versions, on the node that was not asked to deploy it; and a call of each right after it. */
async function firstCalls(dc: DataCenter, build: Build): Promise<{ readonly first: number[]; readonly second: number[] }> {
  const first: number[] = [], second: number[] = []
  for (let version = 0; version < DEPLOYS; version++) {
    const { ready } = await dc.functions.deploy(await build(source('first', version)))
    if (ready.length !== 2) throw new Error(`ready on ${ready.join(', ')} only`)
    for (const times of [first, second]) {
      times.push(...await timed(1, async () => { if (await dc.functions.invoke('first', 1, OTHER) !== 1 + version) throw new Error('wrong answer') }))
    }
  }
  return { first, second }
}

async function openKumoi(scope: Scope): Promise<{ readonly dc: DataCenter; readonly build: Build }> {
  const [{ dc }, build] = await Promise.all([openFabric(scope, ['alpha', 'beta']), bundler(scope)])
  await dc.functions.deploy(await build(source('bench', 1)))
  return { dc, build }
}

export const bench: Bench = {
  name: 'functions-invoke',
  run: () => withScope(async (scope): Promise<Figure[]> => {
    const { dc, build } = await openKumoi(scope)
    const moleculer = hasNats() ? await openMoleculerNats(scope, 2) : undefined
    const one = await alternate(ROUNDS, {
      kumoi: () => timed(CALLS, (n) => dc.functions.invoke('bench', n, OTHER)),
      moleculer: async () => (moleculer === undefined ? [] : timed(CALLS, (n) => moleculer.callFirst(n))),
    })
    const many = await alternate(ROUNDS, {
      kumoi: () => rate((n) => dc.functions.invoke('bench', n)),
      moleculer: async () => (moleculer === undefined ? [] : rate((n) => moleculer.call(n))),
    })
    // Last: thirty versions leave as many isolates behind, which make the other figures worse.
    const { first, second } = await firstCalls(dc, build)
    const warm = low(one.kumoi), fresh = low(first), calls = high(many.kumoi)
    const peer = (spread: Spread): Peer[] => [moleculer === undefined ? { name: 'Moleculer over NATS', absent: NATS_ABSENT } : { name: 'Moleculer over NATS', ...spread }]
    return [
      {
        name: 'functions-warm', what: 'warm invoke by name, on another node of this machine', toReach: `p50 <= ${WARM_MS} ms`, unit: 'ms', ...warm, peers: peer(low(one.moleculer)), reached: warm.p50 <= WARM_MS,
        note: 'shell to its node, node to node, sandbox, and back', why: 'five processes share two cores with whatever else runs',
      },
      {
        name: 'functions-first', what: 'first invoke after deploy, blob already local, on another node', toReach: `p50 <= ${FIRST_MS} ms`, unit: 'ms', ...fresh, peers: [], reached: fresh.p50 <= FIRST_MS,
        note: `the call after it ${low(second).p50.toFixed(1)} ms`, why: 'two cores shared with whatever else runs: it is the call after it, without a link to make',
      },
      {
        name: 'functions-rate', what: `sustained invokes over 2 nodes on this machine, ${CALLERS} callers`, toReach: `>= ${PER_SECOND.toLocaleString('en-US')}/s`, unit: 'calls/s', ...calls, peers: peer(high(many.moleculer)), reached: calls.p50 >= PER_SECOND,
        note: 'callers in one shell process; Moleculer runs the action in its server process, Kumoi in a sandbox',
        why: 'a call takes 340 to 400 us of processor time over five processes, a third of it system calls of their sockets: two cores must be free for it',
      },
    ]
  }),
}

if (import.meta.main) await standalone(bench)

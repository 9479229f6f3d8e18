// Asynchronous calls on virtual time, from a seed: workers crash at every step (before a write, after it and before its answer),
// others take over. No acknowledged call is lost, none begins after it was deleted, no dead letter is invented.
//
//   node test/sim/async-calls.test.ts            SEED=17 for one seed

import t from 'tap'
import { LIMITS, seededRandom } from '../../fabric/base.ts'
import type { Random } from '../../fabric/base.ts'
import { createMemoryGlobalStore } from '../../fabric/mod.ts'
import type { GlobalStore, StoreTransaction } from '../../fabric/mod.ts'
import { SimClock } from '../../fabric/sim-clock.ts'
import type { CallAuthority, Catalog, InvokeOutcome } from '../../functions/deployed.ts'
import { AsyncCalls } from '../../functions/invoke/async-calls.ts'
import { Idempotency } from '../../functions/invoke/idempotency.ts'
import { encodeValue, decodeValue } from '../../functions/value/mod.ts'
import { manifestOf } from '../support/invoke-nodes.ts'

const NODES = 3
const CALLS = 24
const STEPS_MAX = 20_000
const turns = async (): Promise<void> => { for (let i = 0; i < 6; i++) await new Promise<void>((resolve) => { setImmediate(resolve) }) }
const never = <T>(): Promise<T> => new Promise<T>(() => {})

/** A process: what it sends after its crash goes nowhere, and nothing reaches it. */
interface Life { dead: boolean; left: number }

function through(store: GlobalStore, life: Life, random: Random, noted: (transaction: StoreTransaction) => void): GlobalStore {
  const crashes = (): boolean => { if (--life.left > 0) return false; life.dead = true; return true }
  const alive = async <T>(work: () => Promise<T>): Promise<T> => {
    if (life.dead) return never()
    const value = await work()
    return life.dead ? never() : value
  }
  return {
    description: store.description,
    get: (...args) => alive(() => store.get(...args)), range: (...args) => alive(() => store.range(...args)), revision: (...args) => alive(() => store.revision(...args)), close: async () => {},
    async *watch(...args) { for await (const batch of store.watch(...args)) { if (life.dead) { await never() } yield batch } },
    async grant(...args) {
      const lease = await alive(() => store.grant(...args))
      return { id: lease.id, lifetimeMs: lease.lifetimeMs, keepAlive: () => alive(() => lease.keepAlive()), revoke: () => alive(() => lease.revoke()) }
    },
    async transact(transaction, ...rest) {
      if (life.dead) return never()
      const crash = crashes()
      if (crash && random.next() < 0.5) return never()
      const answer = await store.transact(transaction, ...rest)
      if (answer.succeeded) noted(transaction)
      return life.dead ? never() : answer
    },
  }
}

async function run(seed: number): Promise<{ readonly lost: readonly number[]; readonly late: readonly number[]; readonly dead: number; readonly crashes: number; readonly begun: number }> {
  const random = seededRandom(seed)
  const clock = new SimClock()
  const store = createMemoryGlobalStore({ clock, random })
  const attempts = 4
  const manifest = manifestOf('f', 'a'.repeat(64), { retry: { attempts, backoffMs: 100 } })
  const record = { by: 'x', node: 'x', atMs: 0, signature: '', name: 'f', aliases: { stable: { version: manifest.version } }, history: [], paused: false, generation: 1 }
  const catalog: Catalog = {
    get: () => ({ record, manifest, versions: new Map() }), list: () => [], resolve: () => ({ name: 'f', alias: 'stable', manifest, deployer: 'x' }), version: () => undefined,
    code: () => never(), sourceMap: async () => undefined, onChange: () => () => {},
  }
  const deleted = new Set<string>()
  const keyOfCall = new Map<number, string>()
  const done = new Set<number>(), late: number[] = []
  const failures = new Map<number, number>()
  const acknowledged = new Set<number>()
  let crashes = 0, begun = 0
  const noted = ({ then }: StoreTransaction): void => { for (const operation of then) if (operation.do === 'delete' && operation.key.startsWith('call/')) deleted.add(operation.key) }
  const nodes = Array.from({ length: NODES }, (_, n) => ({ id: String(n + 1).repeat(64), life: { dead: true, left: 0 } as Life, calls: undefined as AsyncCalls | undefined }))

  const start = (node: typeof nodes[0]): void => {
    const life = node.life = { dead: false, left: 1 + random.int(25) }
    const seen = through(store, life, random, noted)
    // A dead process has no timers either.
    const own = { nowMs: () => clock.nowMs(), wallMs: () => clock.wallMs(), after: (ms: number, then: () => void) => clock.after(ms, () => { if (!life.dead) then() }) }
    const idempotency = new Idempotency({ store: seen, clock: own, random, self: node, alive: () => true })
    node.calls = new AsyncCalls({
      store: seen, catalog, clock: own, random, self: { id: node.id, name: node.id.slice(0, 1) }, idempotency, nodes: () => nodes.filter((each) => !each.life.dead), subscribers: () => [],
      observer: { called: () => {}, line: () => {}, count: () => {} },
      async attempt(request, _authority: CallAuthority): Promise<InvokeOutcome> {
        const [n] = decodeValue(request.payload) as [number]
        begun++
        if (deleted.has(keyOfCall.get(n) ?? '?')) late.push(n)
        await new Promise<void>((resolve) => { own.after(random.int(3_000), resolve) })
        if (life.dead) return never()
        if (random.next() < 0.3) {
          failures.set(n, (failures.get(n) ?? 0) + 1)
          return { status: 'error', error: { code: 'X', message: 'failed' }, mayHaveRun: true }
        }
        done.add(n)
        return { status: 'value', value: encodeValue([n]), call: undefined as never }
      },
    })
    node.calls.start()
  }
  for (const node of nodes) start(node)

  let asked = 0
  const authority: CallAuthority = { principal: 'x', trace: '0'.repeat(16), hop: 0, signal: new AbortController().signal, remainingMs: () => 1e6 }
  for (let step = 0; step < STEPS_MAX; step++) {
    await turns()
    for (const node of nodes) if (node.life.dead && random.next() < 0.05) { crashes++; start(node) }
    if (asked < CALLS && random.next() < 0.3) {
      const node = nodes[random.int(NODES)]
      const n = asked++
      // Told to nobody when its node crashes: such a call may be there or not.
      if (node !== undefined && !node.life.dead) void node.calls?.enqueue({ reference: 'f', payload: encodeValue([n]), cause: { type: 'call' } }, authority).then((id) => { acknowledged.add(n); keyOfCall.set(n, `call/f/${id}`) }, () => {})
    }
    if (asked >= CALLS && (await store.range('call/')).entries.length === 0) break
    clock.advance(Math.min(500, Math.max(1, (clock.nextDueMs ?? clock.nowMs()) - clock.nowMs())))
  }
  const dead = (await store.range('dead/')).entries
  const buried = new Set(dead.map(({ key }) => key.slice('dead/'.length)))
  const lost = [...acknowledged].filter((n) => !done.has(n) && !buried.has((keyOfCall.get(n) ?? '').slice('call/'.length)))
  for (const node of nodes) node.life.dead = true
  return { lost, late, dead: dead.length, crashes, begun }
}

const only = process.env['SEED']
const seeds = only === undefined ? Array.from({ length: 25 }, (_, i) => i + 1) : [Number(only)]
t.test('no acknowledged call is lost, none begins after it was deleted', async (t) => {
  let crashes = 0, begun = 0
  for (const seed of seeds) {
    const result = await run(seed)
    crashes += result.crashes
    begun += result.begun
    if (result.lost.length > 0 || result.late.length > 0) t.fail(`SEED=${seed}: lost ${result.lost.join(' ')}, late ${result.late.join(' ')}`)
  }
  t.ok(crashes > seeds.length && begun > seeds.length * CALLS / 2, `${crashes} crashes, ${begun} attempts, lease ${LIMITS.asyncLeaseMs} ms`)
})

// Singletons on virtual time: nodes that hold functions under leases in one store, tick, and act on objects of each other,
// while holders are killed, stopped and woken (SIGSTOP, SIGCONT), cut off from the store, slowed down and shut down. One
// seed is one run.
//
//   seed -> fault at the present holder -> what was admitted, in order of time -> invariants:
//     an epoch acts from one life of one node only; no effect of an older epoch is admitted after one of a newer;
//     after a fault that ends a lease somebody else acts within lease + margins
//
// The code under test is the real one (functions/trigger); its only worlds are a clock and a store, and both of a node
// can be stopped: while it is, nothing of it runs, and when it is woken everything that had come meanwhile runs at once.

import { createHash } from 'node:crypto'
import { seededRandom } from '../../fabric/base.ts'
import type { Clock, NodeId, Random, Timer } from '../../fabric/base.ts'
import { createMemoryGlobalStore } from '../../fabric/mod.ts'
import type { GlobalStore, StoreBatch, StoreLease } from '../../fabric/mod.ts'
import { SimClock } from '../../fabric/sim-clock.ts'
import { startHolders, startTriggers } from '../../functions/mod.ts'
import type { DeployedFunction, InvokeOutcome, NodeHolders, ResolvedFunction, Triggers } from '../../functions/mod.ts'

export interface SingletonsOptions {
  readonly nodes?: number
  readonly functions?: number
  /** Forced failovers to see. */
  readonly failovers?: number
  /** On purpose wrong: effects are not checked where they land; a new holder acts at once and answers about epochs keep for ever. */
  readonly broken?: 'no check' | 'no settling'
}
export interface SingletonsRun {
  readonly seed: number
  readonly failovers: number
  readonly faults: Readonly<Record<string, number>>
  readonly effects: number
  readonly refused: number
  /** Longest time from the end of a holder to the first run of the next one. */
  readonly slowestMs: number
  readonly virtualMs: number
  readonly violations: readonly string[]
  readonly traceHash: string
  readonly trace: readonly string[]
}

const LEASE_MS = 2_000
const EVERY_MS = 1_000
/** Staggers, settling, the tick, and slow answers, over the lease itself. */
const REPLACED_MS = LEASE_MS + 2_500

type Work = () => void

/** One life of a node's process: what runs, and when. */
class Life {
  readonly id: NodeId
  readonly name: string
  readonly clock: Clock
  state: 'running' | 'stopped' | 'dead' = 'running'
  /** The store cannot be reached. */
  cut = false
  skewMs = 0
  readonly #waiting: Work[] = []
  readonly #world: SimClock

  constructor(id: NodeId, life: number, world: SimClock) {
    this.id = id
    this.name = `${id}.${life}`
    this.#world = world
    this.clock = {
      nowMs: () => world.nowMs(),
      wallMs: () => world.wallMs() + this.skewMs,
      after: (delayMs, callback): Timer => {
        let live = true
        const timer = world.after(delayMs, () => this.run(() => { if (live) callback() }))
        return { cancel: () => { live = false; timer.cancel() } }
      },
    }
  }

  /** Now, or when it is woken, in order; never once it is dead. */
  run(work: Work): void {
    if (this.state === 'running') work()
    else if (this.state === 'stopped') this.#waiting.push(work)
  }

  wake(): void {
    if (this.state !== 'stopped') return
    this.state = 'running'
    for (const work of this.#waiting.splice(0)) this.#world.after(0, () => this.run(work))
  }
}

interface Node { life: Life; lives: number; holders: NodeHolders; triggers: Triggers }
interface Effect { readonly name: string; readonly epoch: number; readonly by: string; readonly home: string; readonly atMs: number }

export async function runSingletons(seed: number, options: SingletonsOptions = {}): Promise<SingletonsRun> {
  const { nodes: nodesCount = 3, functions: functionsCount = 4, failovers: wanted = 50, broken } = options
  const world = new SimClock()
  const random = seededRandom(seed)
  const store = createMemoryGlobalStore({ clock: world, random: seededRandom(seed + 1) })
  const trace: string[] = []
  const violations: string[] = []
  const effects: Effect[] = []
  /** First run of the newest epoch that ran: who acts is known by it also while the objects that it acts on are on a dead node. */
  const reigns = new Map<string, { readonly epoch: number; readonly atMs: number }>()
  const faults: Record<string, number> = {}
  let refused = 0
  let latencyMs = 20
  const note = (text: string): void => { trace.push(`${Math.round(world.nowMs())} ${text}`) }

  // ---------------------------------------------------------------- functions

  const names = Array.from({ length: functionsCount }, (_, i) => `keeper-${i}`)
  const deployed = names.map((name): DeployedFunction => ({
    record: { name, paused: false } as DeployedFunction['record'],
    manifest: { name, version: name, singleton: true, target: 'any', triggers: [{ type: 'every', everyMs: EVERY_MS }], limits: { timeoutMs: 10_000 }, retry: { attempts: 3 } } as unknown as DeployedFunction['manifest'],
    versions: new Map(),
  }))
  const byName = new Map(deployed.map((one) => [one.record.name, one]))
  const catalog = {
    list: () => deployed,
    get: (name: string) => byName.get(name),
    resolve: (name: string): ResolvedFunction => ({ name, alias: 'stable', manifest: byName.get(name)?.manifest as ResolvedFunction['manifest'], deployer: 'local:0' }),
    onChange: () => () => {},
  }

  // ---------------------------------------------------------------- nodes

  const nodes: Node[] = []
  const ids = Array.from({ length: nodesCount }, (_, i) => `node${i}` as NodeId)
  const observer = { called() {}, line() {}, count() {} }
  const log = { info() {}, warn() {} }

  /** A verb of an object at `home`, asked by a function in `epoch`: the fence, then the effect. */
  const act = (from: Life, home: Node, name: string, epoch: number): Promise<void> => new Promise((resolve) => {
    const { life, holders } = home
    const answer = (): void => { world.after(delay(random, 10), () => from.run(resolve)) }
    // One that is dead never answers; whoever asked gives up.
    world.after(1_500, () => from.run(resolve))
    world.after(delay(random, 10), () => life.run(() => {
      const admitted = (): void => {
        effects.push({ name, epoch, by: from.name, home: life.name, atMs: world.nowMs() })
        answer()
      }
      if (broken === 'no check') admitted()
      else holders.check(name, epoch).then(admitted, () => { refused++; answer() })
    }))
  })
  /** What a function does in a run: some effects one after the other, deaf to being told to stop. */
  const runFunction = async (life: Life, name: string, epoch: number): Promise<InvokeOutcome> => {
    if ((reigns.get(name)?.epoch ?? 0) < epoch) reigns.set(name, { epoch, atMs: world.nowMs() })
    for (let left = 1 + random.int(4); left > 0; left--) {
      await act(life, nodes[random.int(nodes.length)] as Node, name, epoch)
      if (random.int(3) === 0) await new Promise<void>((resolve) => life.clock.after(random.int(800), resolve))
    }
    return { status: 'value', value: new Uint8Array(), call: {} as never }
  }
  const start = (id: NodeId, lives: number): Node => {
    const life = new Life(id, lives, world)
    const seen = storeOf(store, life, world, random, () => latencyMs)
    const holders = startHolders({ store: seen, clock: life.clock, self: id, nodes: () => ids, log, leaseMs: LEASE_MS, ...(broken === 'no settling' ? { settleMs: 0, answerMs: 60_000 } : {}) })
    const own = random.int(1e9)
    const triggers = startTriggers({
      store: seen, clock: life.clock, random: seededRandom(own), catalog, holders, observer, log, self: id,
      source: { onLocalEvent: () => () => {} }, mayWatch: async () => true,
      invoker: {
        invoke: async () => { throw new Error('not a singleton') }, invokeAll: async () => [], enqueue: async () => '', filterHere: async () => { throw new Error('no filters') },
        runHere: (resolved, _request, _authority, { epoch = 0 }) => runFunction(life, resolved.name, epoch),
      },
    })
    return { life, lives, holders, triggers }
  }
  const restart = (index: number): void => {
    const before = nodes[index] as Node
    before.life.state = 'dead'
    nodes[index] = start(before.life.id, before.lives + 1)
    note(`${nodes[index]?.life.name} starts`)
  }
  for (const id of ids) nodes.push(start(id, 0))

  // ---------------------------------------------------------------- faults

  const pass = (ms: number): Promise<void> => world.settle(ms)
  const holderOf = async (name: string): Promise<{ readonly index: number; readonly epoch: number } | undefined> => {
    const entry = await store.get(`holder/${name}`)
    if (entry === undefined) return undefined
    const { node } = JSON.parse(new TextDecoder().decode(entry.value)) as { node: string }
    return { index: ids.indexOf(node as NodeId), epoch: entry.createRevision }
  }
  type Fault = (node: Node, index: number) => { readonly ends: boolean; heal(): void }
  const FAULTS: Readonly<Record<string, Fault>> = {
    kill: ({ life }, index) => { life.state = 'dead'; return { ends: true, heal: () => restart(index) } },
    stop: ({ life }) => { life.state = 'stopped'; return { ends: true, heal: () => life.wake() } },
    cut: ({ life }) => { life.cut = true; return { ends: true, heal: () => { life.cut = false } } },
    down: ({ life, triggers }, index) => { void triggers.stop(); return { ends: true, heal: () => { life.state = 'dead'; restart(index) } } },
    'short stop': ({ life }) => { life.state = 'stopped'; return { ends: false, heal: () => life.wake() } },
    slow: () => { latencyMs = 700; return { ends: false, heal: () => { latencyMs = 20 } } },
    skew: ({ life }) => { life.skewMs = (random.int(2) * 2 - 1) * 3_600_000; return { ends: false, heal() {} } },
  }
  const kinds = ['kill', 'stop', 'stop', 'cut', 'down', 'short stop', 'slow', 'skew']
  let failovers = 0
  let slowestMs = 0

  await pass(LEASE_MS)
  while (failovers < wanted && violations.length < 5) {
    await pass(random.int(1_500))
    const name = names[random.int(names.length)] as string
    const held = await holderOf(name)
    if (held === undefined) { await pass(500); continue }
    const kind = kinds[random.int(kinds.length)] as string
    const node = nodes[held.index] as Node
    const sinceMs = world.nowMs()
    note(`${kind} ${node.life.name}, holder of ${name} in ${held.epoch}`)
    const { ends, heal } = (FAULTS[kind] as Fault)(node, held.index)
    faults[kind] = (faults[kind] ?? 0) + 1
    // Answers may be slow at the same time.
    const alsoSlow = ends && random.int(4) === 0
    if (alsoSlow) latencyMs = 350
    const next = () => (reigns.get(name)?.epoch ?? 0) > held.epoch ? reigns.get(name) : undefined
    if (ends) {
      // Woken at a bad moment: around the end of the lease, or long after.
      const healAfterMs = random.int(3) === 0 ? LEASE_MS - 300 + random.int(900) : LEASE_MS + random.int(3 * LEASE_MS)
      let healed = false
      for (const limitMs = sinceMs + REPLACED_MS; next() === undefined && world.nowMs() < limitMs;) {
        if (!healed && world.nowMs() - sinceMs >= healAfterMs) { healed = true; heal() }
        if (healed && (await holderOf(name))?.epoch === held.epoch && world.nowMs() - sinceMs > LEASE_MS + 1_500) break
        await pass(50)
      }
      if (!healed) { await pass(random.int(500)); heal() }
      const first = next()
      if (first !== undefined) {
        failovers++
        slowestMs = Math.max(slowestMs, first.atMs - sinceMs)
      } else if ((await holderOf(name))?.epoch !== held.epoch) violations.push(`${name}: nobody acts ${Math.round(world.nowMs() - sinceMs)} ms after the end of ${node.life.name}`)
      if (alsoSlow) latencyMs = 20
    } else {
      await pass(kind === 'short stop' ? random.int(LEASE_MS) : random.int(2 * LEASE_MS))
      heal()
    }
    await pass(random.int(1_000))
  }
  await pass(LEASE_MS * 3)
  for (const { triggers } of nodes) void triggers.stop()
  await pass(LEASE_MS * 2)

  // ---------------------------------------------------------------- what must hold

  const newest = new Map<string, Effect>()
  const actor = new Map<string, Effect>()
  for (const effect of effects) {
    const { name, epoch, by } = effect
    const before = newest.get(name)
    if (before !== undefined && epoch < before.epoch) violations.push(`${say(effect)} after ${say(before)}`)
    else newest.set(name, effect)
    const first = actor.get(`${name}#${epoch}`)
    if (first !== undefined && first.by !== by) violations.push(`${say(effect)} and ${say(first)} in one epoch`)
    actor.set(`${name}#${epoch}`, first ?? effect)
  }
  for (const effect of effects) trace.push(say(effect))
  return {
    seed, failovers, faults, effects: effects.length, refused, slowestMs: Math.round(slowestMs), virtualMs: Math.round(world.nowMs()), violations: violations.slice(0, 10),
    traceHash: createHash('sha256').update(trace.join('\n')).digest('hex').slice(0, 16), trace,
  }
}

const say = ({ name, epoch, by, home, atMs }: Effect): string => `${name} in ${epoch} by ${by} at ${home} (${Math.round(atMs)} ms)`

/** Mostly quick, now and then not. */
const delay = (random: Random, typicalMs: number): number => random.int(10) === 0 ? random.int(typicalMs * 20) : random.int(typicalMs)

/** The store as one life of a node reaches it: with delays both ways, lost answers, and nothing while it is stopped. */
function storeOf(store: GlobalStore, life: Life, world: SimClock, random: Random, latencyMs: () => number): GlobalStore {
  const lag = (): number => random.int(8) === 0 ? random.int(latencyMs() * 2) : random.int(Math.max(1, latencyMs() / 4))
  const ask = <T>(work: () => Promise<T>, timeoutMs = 60_000): Promise<T> => new Promise((resolve, reject) => {
    const late = world.after(timeoutMs, () => life.run(() => reject(Object.assign(new Error('no answer'), { code: 'FABRIC_ERR_STORE_UNREACHABLE', retryable: true }))))
    world.after(lag(), () => {
      // What was sent before its death still arrives.
      if (life.cut) return
      work().then((answer) => () => resolve(answer), (error: unknown) => () => reject(error)).then((settle) => {
        if (!life.cut) world.after(lag(), () => life.run(() => { late.cancel(); settle() }))
      }, () => {})
    })
  })
  const leaseOf = (lease: StoreLease): StoreLease => ({ id: lease.id, lifetimeMs: lease.lifetimeMs, keepAlive: () => ask(() => lease.keepAlive()), revoke: () => ask(() => lease.revoke()) })
  return {
    description: 'simulated',
    get: (key, options) => ask(() => store.get(key), options?.timeoutMs),
    range: (prefix, options) => ask(() => store.range(prefix, options?.limit === undefined ? {} : { limit: options.limit })),
    transact: (transaction, options) => ask(() => store.transact(transaction), options?.timeoutMs),
    revision: (options) => ask(() => store.revision(), options?.timeoutMs),
    grant: (lifetimeMs, options) => ask(() => store.grant(lifetimeMs), options?.timeoutMs).then(leaseOf),
    close: async () => {},
    async *watch(prefix, options): AsyncGenerator<StoreBatch> {
      for await (const batch of store.watch(prefix, options)) {
        // In order; what came while it was cut off comes when it is not any more.
        await new Promise<void>((resolve) => {
          const arrive = (): void => { if (life.cut) world.after(100, arrive); else life.run(resolve) }
          world.after(lag(), arrive)
        })
        yield batch
      }
    },
  }
}

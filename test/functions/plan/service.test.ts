// The relay between a caller and a member that both break the rules: whatever either sends, the run ends, each
// element has one outcome, and nothing stays behind.

import { test } from 'tap'
import { LIMITS, systemClock, systemRandom } from '../../../fabric/base.ts'
import { createRpcPeer } from '../../../fabric/rpc/peer.ts'
import { createRegistry } from '../../../fabric/rpc/registry.ts'
import type { RpcPeer } from '../../../fabric/rpc/contract.ts'
import { createChannelPair } from '../../../fabric/transport/memory-channel.ts'
import type { Capabilities, Job, JobResult } from '../../../functions/contract.ts'
import { RateBook } from '../../../functions/plan/chunking.ts'
import { registerFunctions } from '../../../functions/plan/service.ts'
import { encodeValue } from '../../../functions/value/mod.ts'
import { sha256 } from '../../support/sandbox.ts'

const RELAY = 'a'.repeat(64)
const MEMBER = 'b'.repeat(64)
const NO_BYTES = new Uint8Array(0)
const CODE = sha256(NO_BYTES)
const limits = { timeoutMs: 1_000, heapLimitMiB: 64, cpuTimeMs: 1_000, resultBytes: 1e6, hostCalls: 10, concurrency: 4, fresh: false }
const fn = { code: CODE, environment: CODE, name: 'f' }
const request = { source: { type: 'range', from: 0, to: 10, step: 1 }, stages: [{ verb: 'map', ...fn }], terminal: { verb: 'collect' }, limits, inline: {}, retries: null }

type Chunk = readonly [tag: string, id: number, from: number, count: number]
type Answer = (chunk: Chunk) => readonly (readonly unknown[])[]
const sevens = (count: number): Uint8Array => encodeValue(Array.from({ length: count }, () => 7))
const good = ([, id, from, count]: Chunk, ms: number = 1): readonly unknown[] => ['done', id, [[from, count, count, sevens(count)]], ms, false]

interface World { readonly shell: RpcPeer; listeners(): number; executing(): number; readonly rates: RateBook }

/** A relay; data runs on the member alone when it has one, else in the relay's own (made up) sandbox. */
function world(run: (job: Job) => Promise<JobResult>, answer?: Answer): World {
  const registry = createRegistry()
  const theirs = createRegistry()
  let executing = 0
  theirs.stream('functions.execute', async (_body, _context, stream) => {
    executing++
    try {
      await stream.write(['ready', 2])
      for (let message = await stream.read(); message !== undefined; message = await stream.read()) {
        const fields = message as Chunk
        // Not awaited, as a member does that does not care whether it is read.
        if (fields[0] === 'chunk') for (const told of answer!(fields)) stream.write(told).catch(() => {})
      }
      return null
    } finally {
      executing--
    }
  })
  const link = createChannelPair()
  const member = createRpcPeer({ channel: link[0], clock: systemClock, registry, caller: { via: 'link', node: MEMBER, name: 'b' } })
  createRpcPeer({ channel: link[1], clock: systemClock, registry: theirs, caller: { via: 'link', node: RELAY, name: 'a' } })
  let listeners = 0
  const rates = new RateBook()
  const never = (): Promise<never> => Promise.reject(new Error('not here'))
  const capabilities: Capabilities = { shapes: [], resolve: async () => [], refresh: async (references) => references, invoke: never, invokeEncoded: never }
  registerFunctions({
    registry, rates, capabilities, cores: 2, clock: systemClock, random: systemRandom, self: RELAY,
    sandbox: { run, warm: async () => {}, stats: () => ({ cells: [], quarantined: [] }), close: async () => {} },
    blobs: { peek: () => NO_BYTES, get: async () => NO_BYTES, put: () => {} },
    nodes: () => [{ id: answer === undefined ? RELAY : MEMBER, name: 'n', load: 0 }],
    nameOf: (id) => id.slice(0, 1), peer: () => member,
    onMemberGone: () => { listeners++; return () => { listeners-- } },
  })
  const door = createChannelPair()
  createRpcPeer({ channel: door[1], clock: systemClock, registry, caller: { via: 'socket', uid: 0 }, principal: 'local:0' })
  const shell = createRpcPeer({ channel: door[0], clock: systemClock, registry: createRegistry(), caller: { via: 'socket', uid: 0 } })
  return { shell, rates, listeners: () => listeners, executing: () => executing }
}
const runs = (job: Job): Promise<JobResult> =>
  Promise.resolve({ runs: [{ from: job.baseIndex, count: job.input.count, outputs: job.input.count, values: sevens(job.input.count) }], cpuMs: 1, wallMs: 1, decided: false })

/** Statuses by element, and the code that the stream ended with; fails when an element has two outcomes. */
async function drive({ shell }: World, body: unknown, sends: readonly unknown[] = []): Promise<{ readonly outcomes: ReadonlyMap<number, string>; readonly code: string | undefined }> {
  const stream = shell.open('functions.run', body, { timeoutMs: 5_000 })
  for (const message of sends) stream.write(message).catch(() => {})
  const outcomes = new Map<number, string>()
  try {
    for (let message = await stream.read(); message !== undefined; message = await stream.read()) {
      const [tag, , , told] = message as readonly [string, unknown, unknown, readonly (readonly [number, number, unknown])[]]
      if (tag !== 'runs') continue
      for (const [from, count, what] of told) {
        for (let i = from; i < from + count; i++) {
          if (outcomes.has(i)) throw new Error(`element ${i} has two outcomes`)
          outcomes.set(i, typeof what === 'number' ? 'value' : (what as { status: string }).status)
        }
      }
    }
    return { outcomes, code: undefined }
  } catch (error) {
    return { outcomes, code: (error as { code?: string }).code }
  }
}
const all = (outcomes: ReadonlyMap<number, string>, status: string): boolean => outcomes.size === 10 && [...outcomes.values()].every((each) => each === status)
const turn = (): Promise<void> => new Promise((done) => setImmediate(done))

test('a caller that breaks the rules fails its own run, typed', async (t) => {
  const items = { ...request, source: { type: 'items' } }
  const wrong: Readonly<Record<string, readonly [body: unknown, sends: readonly unknown[]]>> = {
    'items out of order': [items, [['items', 5, 1, sevens(1)]]],
    'items on a range': [request, [['items', 0, 3, sevens(3)]]],
    'items after the end': [items, [['items', 0, 1, sevens(1)], ['end'], ['items', 1, 1, sevens(1)]]],
    'no items': [items, [['items', 0, 0, sevens(0)]]],
    'an unknown tag': [request, [['boo']]],
    'no message': [request, [5]],
    'a range without end': [{ ...request, source: { type: 'range', from: -1e308, to: 1e308, step: 1e-300 } }, []],
    'not a number of milliseconds': [{ ...request, limits: { ...limits, timeoutMs: NaN } }, []],
  }
  for (const [what, [body, sends]] of Object.entries(wrong)) {
    const made = world((job) => new Promise((resolve) => setImmediate(() => resolve(runs(job)))))
    t.match(await drive(made, body, sends), { code: 'FUNCTIONS_ERR_BAD_MESSAGE' }, what)
    await turn()
    t.equal(made.listeners(), 0, `${what}: nothing stays`)
  }
})

test('limits above what a node allows are lowered', async (t) => {
  const asked: Job[] = []
  const made = world((job) => { asked.push(job); return runs(job) })
  t.ok(all((await drive(made, { ...request, limits: { timeoutMs: 1e300, heapLimitMiB: 1e300, cpuTimeMs: 1e300, resultBytes: 1e300, hostCalls: 1e300, concurrency: 1e300, fresh: false } })).outcomes, 'value'))
  t.ok(asked.every(({ limits: own }) => own.timeoutMs <= LIMITS.callTimeoutMsMax && own.cpuTimeMs <= LIMITS.cpuTimeMsMax && own.resultBytes <= LIMITS.resultBytesMax && own.heapLimitMiB <= LIMITS.cellResidentMiBMax))
})

test('a member that answers garbage costs the elements it was given, and is told to stop', async (t) => {
  const garbage: Readonly<Record<string, readonly [answer: Answer, status: string]>> = {
    'no list of runs': [([, id]) => [['done', id, 'x', 1, false]], 'unreachable'],
    'a time that is no number': [(chunk) => [good(chunk, NaN)], 'unreachable'],
    'an unknown tag': [() => [['boo']], 'unreachable'],
    'other elements': [([, id]) => [['done', id, [[77, 1, 1, sevens(1)]], 1, false]], 'error'],
    'everything twice': [(chunk) => [good(chunk), good(chunk)], 'value'],
    'chunks it was not given': [(chunk) => [['done', 999, [], 1, false], ['busy', 998], good(chunk)], 'value'],
    'a console flood before each answer': [(chunk) => [...Array.from({ length: 3_000 }, () => ['console', 'log', 'z']), good(chunk)], 'value'],
  }
  for (const [what, [answer, status]] of Object.entries(garbage)) {
    const made = world(runs, answer)
    const { outcomes } = await drive(made, request)
    t.ok(all(outcomes, status), `${what}: ${[...outcomes.values()].join()}`)
    for (let i = 0; i < 20 && made.executing() > 0; i++) await turn()
    t.equal(made.executing(), 0, `${what}: its session has ended`)
    t.equal(made.listeners(), 0)
  }
})

test('a partial result that cannot be read fails its chunk, and the run ends', async (t) => {
  const reduce = { ...request, terminal: { verb: 'reduce', ...fn } }
  for (const [outputs, values] of [[1, Uint8Array.of(255)], [5, sevens(5)], [1, sevens(2)]] as const) {
    const remote = await drive(world(runs, ([, id, from, count]) => [['done', id, [[from, count, outputs, values]], 1, false]]), reduce)
    t.ok(all(remote.outcomes, 'error'), 'of a member')
    const local = await drive(world((job) => Promise.resolve({ runs: [{ from: job.baseIndex, count: job.input.count, outputs, values }], cpuMs: 1, wallMs: 1, decided: false })), reduce)
    t.ok(all(local.outcomes, 'error'), 'of a cell')
  }
})

test('an input that the caller stops sending ends in a timeout, not in an answer', async (t) => {
  const cut = await drive(world(runs), { ...request, source: { type: 'items' } }, [['items', 0, 1, sevens(1)]])
  t.same([...cut.outcomes], [[0, 'value']])
  t.equal(cut.code, 'FUNCTIONS_ERR_RUN_TIMEOUT')
})

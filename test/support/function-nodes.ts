// Nodes in one process with real cells and made-up machines, for functions that call out of their sandboxes: relays, executors and
// host calls are the node's own, connections are in memory, one machine a node.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LIMITS, systemClock, systemRandom } from '../../fabric/base.ts'
import { createRpcPeer } from '../../fabric/rpc/peer.ts'
import { createRegistry } from '../../fabric/rpc/registry.ts'
import type { RpcPeer } from '../../fabric/rpc/contract.ts'
import { createChannelPair } from '../../fabric/transport/memory-channel.ts'
import { buildBundle } from '../../functions/bundle/build.ts'
import { REFERENCE } from '../../functions/contract.ts'
import type { Capabilities, ConsoleLine, Job, KindShape, ReferenceRecord, RunLimits, Sandbox } from '../../functions/contract.ts'
import type { CallScope, Invocation } from '../../functions/deployed.ts'
import { CallBudget } from '../../functions/plan/call-budget.ts'
import { RateBook } from '../../functions/plan/chunking.ts'
import type { HostCalls } from '../../functions/plan/host-calls.ts'
import { registerFunctions } from '../../functions/plan/service.ts'
import { cellPrincipal, functionPrincipal } from '../../functions/principal.ts'
import { createSandbox } from '../../functions/sandbox/sandbox.ts'
import { decodeValue, encodeValue } from '../../functions/value/mod.ts'
import { outcomes, sha256, type Seen } from './sandbox.ts'

const machineShape: KindShape = { kind: 'PhysicalMachine', plural: 'pms', attributes: ['cores'], verbs: ['exec', 'sleep'], collections: { vms: 'VM' } }
const vmShape: KindShape = { kind: 'VM', plural: 'vms', attributes: ['cpuRatio'], verbs: ['stop'], collections: {} }
const EMPTY = sha256('')
const NO_BYTES = new Uint8Array(0)

export interface FunctionNode {
  readonly id: string
  readonly name: string
  readonly sandbox: Sandbox
  readonly hostCalls: HostCalls
  /** A shell's connection. */
  readonly shell: RpcPeer
  /** Jobs that its sandbox was given. */
  readonly jobs: Job[]
  readonly lines: ConsoleLine[]
}
export interface InvokeSettings { readonly payload?: unknown; readonly payloads?: readonly unknown[]; readonly limits?: Partial<RunLimits>; readonly budget?: number; readonly signal?: AbortSignal; readonly scopeOf?: (element: number) => CallScope | undefined; readonly principal?: string; readonly hop?: number }
export interface FunctionNodes {
  readonly nodes: readonly FunctionNode[]
  /** Text of a file that exports a definition -> its program, which every node has. */
  deploy(text: string): Promise<string>
  /** One call for each payload, as elements of one job on the first node. */
  invoke(version: string, settings?: InvokeSettings): Promise<{ readonly seen: Seen[]; readonly budget: CallBudget }>
  /** Verbs called on machines: "n0 exec". */
  readonly called: string[]
  close(): Promise<void>
}

export const deployedLimits: RunLimits = { timeoutMs: 20_000, heapLimitMiB: 64, cpuTimeMs: 10_000, resultBytes: 4e6, hostCalls: 10_000, concurrency: 64, fresh: false }

export async function openFunctionNodes(count: number, options: { readonly workers?: number } = {}): Promise<FunctionNodes> {
  const directory = mkdtempSync(join(tmpdir(), 'kumoi-context-'))
  const ids = Array.from({ length: count }, (_, n) => String(n).repeat(64))
  const machines = ids.map((home, n): ReferenceRecord => ({ kind: 'PhysicalMachine', uuid: `00000000-0000-8000-8000-00000000000${n}`, home, name: `n${n}`, attributes: { cores: n + 1 } }))
  const vmsOf = (n: number): ReferenceRecord[] => [1, 2, 3].map((k) => ({ kind: 'VM', uuid: `00000000-0000-8000-8000-0000000009${n}${k}`, home: ids[n]!, name: `vm${n}${k}`, attributes: { cpuRatio: k / 3.1 } }))
  const called: string[] = []
  const blobs = new Map<string, Uint8Array>([[EMPTY, NO_BYTES]])
  const bundles = new Map<string, Uint8Array>()
  const capabilities: Capabilities = {
    shapes: [machineShape, vmShape],
    resolve: async (kind) => (kind === 'VM' ? ids.flatMap((_, n) => vmsOf(n)) : machines),
    refresh: async (references) => references.map((reference) => [...machines, ...ids.flatMap((_, n) => vmsOf(n))].find(({ uuid }) => uuid === reference.uuid) ?? { error: { code: 'RMO_ERR_GONE', message: 'gone' } }),
    invoke: () => Promise.reject(new Error('not here')),
    async invokeEncoded(target, verb, args, authority) {
      const n = ids.indexOf(target.home)
      if (verb === 'vms') return encodeValue(vmsOf(n).map((record) => ({ [REFERENCE]: record })))
      called.push(`n${n} ${verb}`)
      if (verb === 'sleep') await new Promise<void>((resolve, reject) => { authority.signal.addEventListener('abort', () => { called.push(`n${n} aborted`); reject(authority.signal.reason) }, { once: true }) })
      return encodeValue({ verb, args: decodeValue(args, { profile: 'args' }), principal: authority.principal })
    },
  }
  const registries = ids.map(() => createRegistry())
  const peers = new Map<string, RpcPeer>()
  for (let a = 0; a < count; a++) {
    for (let b = a + 1; b < count; b++) {
      const link = createChannelPair()
      peers.set(`${a}>${b}`, createRpcPeer({ channel: link[0], clock: systemClock, registry: registries[a]!, caller: { via: 'link', node: ids[b]!, name: `n${b}` } }))
      peers.set(`${b}>${a}`, createRpcPeer({ channel: link[1], clock: systemClock, registry: registries[b]!, caller: { via: 'link', node: ids[a]!, name: `n${a}` } }))
    }
  }
  const nodes = await Promise.all(ids.map(async (id, n): Promise<FunctionNode> => {
    const cells = await createSandbox({ cacheDirectory: directory, shapes: capabilities.shapes, packageDirectories: [import.meta.dirname], workers: options.workers ?? 1, spareCells: 0 })
    const jobs: Job[] = []
    const sandbox: Sandbox = { run: (job, hooks, signal) => { jobs.push(job); return cells.run(job, hooks, signal) }, warm: (principal) => cells.warm(principal), stats: () => cells.stats(), close: () => cells.close() }
    const own = new Map<string, Uint8Array>([[EMPTY, NO_BYTES]])
    const { hostCalls } = registerFunctions({
      registry: registries[n]!, sandbox, capabilities, cores: 1, clock: systemClock, random: systemRandom, self: id, rates: new RateBook(),
      blobs: { peek: (hash) => own.get(hash), get: async (hash) => own.get(hash), put: (hash, bytes) => { own.set(hash, bytes) } },
      nodes: () => ids.map((each, k) => ({ id: each, name: `n${k}`, load: 0 })),
      nameOf: (of) => `n${ids.indexOf(of)}`, peer: (to) => peers.get(`${n}>${ids.indexOf(to)}`)!, onMemberGone: () => () => {},
    })
    const door = createChannelPair()
    createRpcPeer({ channel: door[1], clock: systemClock, registry: registries[n]!, caller: { via: 'socket', uid: 0 }, principal: 'local:0' })
    const shell = createRpcPeer({ channel: door[0], clock: systemClock, registry: createRegistry(), caller: { via: 'socket', uid: 0 } })
    return { id, name: `n${n}`, sandbox, hostCalls, shell, jobs, lines: [] }
  }))

  return {
    nodes, called,
    async deploy(text) {
      const file = join(directory, `f${bundles.size}.js`)
      writeFileSync(file, text)
      const { script } = await buildBundle({ file, packageRoot: join(import.meta.dirname, '../..'), types: 'skip' })
      const version = sha256(script)
      bundles.set(version, script)
      blobs.set(version, script)
      return version
    },
    async invoke(version, { payload, payloads = [payload], limits, budget = LIMITS.callBudget, signal = new AbortController().signal, scopeOf, principal: as, hop = 1 } = {}) {
      const node = nodes[0]!
      const principal = as ?? functionPrincipal({ name: 'tested', version, deployer: 'local:0' })
      const trace = '0123456789abcdef'
      const items = payloads.map((each, n): Invocation => ({ what: 'run', payload: each, call: { id: String(n).padStart(16, '0'), name: 'tested', alias: 'stable', version, trace, traceparent: '', node: 'n0', attempt: 1, epoch: null, cause: { type: 'call' }, deadlineMs: limits?.timeoutMs ?? deployedLimits.timeoutMs } }))
      const job: Job = {
        principal: cellPrincipal(principal), trace, stages: [{ verb: 'map', code: version, environment: EMPTY, name: 'tested' }], terminal: { verb: 'collect' }, baseIndex: 0,
        input: { type: 'items', count: items.length, bytes: encodeValue(items) }, limits: { ...deployedLimits, ...limits },
        blob: (hash) => blobs.get(hash)!,
      }
      const shared = new CallBudget(budget)
      const scope = (element: number): CallScope | undefined => (element < 0 || element >= items.length ? undefined : { name: 'tested', version, alias: 'stable', callId: items[element]!.call.id, trace, deployer: 'local:0', budget, secrets: [], rights: [] })
      const endMs = systemClock.nowMs() + job.limits.timeoutMs
      const result = await node.sandbox.run(job, {
        hostCall: (call, callSignal) => node.hostCalls.answer(call, {
          authority: { principal, trace, hop, signal, remainingMs: () => endMs - systemClock.nowMs() }, scope: scopeOf ?? scope, remainingMs: () => Math.max(1, endMs - systemClock.nowMs()),
          limits: job.limits, depth: 0, budget: () => shared, program: (hash) => (hash === version ? blobs.get(hash) : undefined), console: (line) => { node.lines.push(line) },
        }, callSignal),
        console: (line) => { node.lines.push(line) },
      }, signal)
      return { seen: outcomes(result), budget: shared }
    },
    async close() {
      await Promise.all(nodes.map(({ sandbox }) => sandbox.close()))
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** Deploys a function of that body and calls it: what each call gave. */
export async function runBody(on: FunctionNodes, body: string, settings: InvokeSettings = {}, before = ''): Promise<unknown[]> {
  const version = await on.deploy(`import { defineFunction, range } from 'kumoi'\n${before}\nexport default defineFunction({ name: 'tested', async run({ pms, from, log, call, emit, state, fn }, payload) { ${body} } })\n`)
  return (await on.invoke(version, settings)).seen.map((each) => (each.status === 'value' ? each.value : { status: each.status, code: each.code, message: each.message }))
}

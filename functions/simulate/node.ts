// The node of a simulation, as far as functions go: the parts of a real one (calls, triggers, state, d-verbs) put together
// over a store in memory, a virtual clock and a sandbox in this process. Nothing here decides anything by itself.
//
//   deploy(bundle) -> describe -> manifest -> catalog -> triggers -> invoke -> sandbox -> host calls -> the world's objects
//
// What a real fabric needs many nodes for is granted: this one holds every singleton, in one epoch, for the whole run.

import { createHash } from 'node:crypto'
import { LIMITS } from '../../fabric/base.ts'
import type { Clock, Hash, NodeId, Random } from '../../fabric/base.ts'
import { createMemoryGlobalStore } from '../../fabric/mod.ts'
import type { RpcRegistry } from '../../fabric/mod.ts'
import { describeBundle } from '../bundle/describe.ts'
import { manifestOf } from '../bundle/manifest.ts'
import { atOriginal, originalStack } from '../bundle/positions.ts'
import type { ManifestChecks } from '../bundle/manifest.ts'
import { CatalogView } from '../catalog/view.ts'
import type { Capabilities, HostCall, Job, JobHooks, ReferenceRecord, Sandbox } from '../contract.ts'
import type { BuiltBundle } from '../deployed-api.ts'
import type { CallAuthority, Catalog, FunctionManifest, Invoker, Observer, SystemCalls } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { createInvoke } from '../invoke/start.ts'
import { RateBook } from '../plan/chunking.ts'
import { registerFunctions } from '../plan/service.ts'
import { functionPrincipal } from '../principal.ts'
import type { Kept, KeptInput, Known, VirtualSandbox } from '../sandbox/virtual-start.ts'
import { createState } from '../state/state.ts'
import { cronProblem } from '../trigger/cron.ts'
import { startEventTriggers } from '../trigger/events.ts'
import type { EventSource, EventTriggersOptions } from '../trigger/events.ts'
import { holderKey } from '../trigger/fence.ts'
import { startTimers } from '../trigger/timers.ts'
import { registerTopics, subscribersOf } from '../trigger/topics.ts'
import { encodeArray } from '../value/mod.ts'

export interface SimulatedNodeOptions {
  readonly clock: Clock
  readonly random: Random
  readonly self: { readonly id: NodeId; readonly name: string }
  /** Principal of who would deploy. */
  readonly deployer: string
  readonly sandbox: VirtualSandbox
  readonly capabilities: Capabilities
  readonly events: EventSource
  readonly mayWatch: EventTriggersOptions['mayWatch']
  /** Elements of a job by number; undefined: they travel as bytes. */
  readonly keptElements: (references: readonly ReferenceRecord[]) => readonly Kept[] | undefined
  readonly known: Pick<Known, 'revision' | 'answered'> & { answer(call: HostCall, principal: string): Kept | undefined }
  readonly checks: Omit<ManifestChecks, 'cron'>
  readonly observer: Observer
  /** A call of a function to something of the node ("emit", "state.put"), with its first argument. */
  readonly onSystemCall: (verb: string, argument: unknown) => void
  readonly warn: (text: string, details: Readonly<Record<string, unknown>>) => void
}

export interface SimulatedNode {
  /** Throws DEFINITION_INVALID, what the file threw, or a SANDBOX_ error. */
  deploy(bundle: BuiltBundle): Promise<FunctionManifest>
  /** Rights of a deployed version, for the gate. */
  versionOf(name: string, version: string): FunctionManifest | undefined
  /** Calls by name, as the machine's own parts make them. */
  readonly invoker: Pick<Invoker, 'invoke'>
  /** Where they run, for jobs that are no function. */
  readonly sandbox: Pick<Sandbox, 'run'>
  /** Triggers begin. */
  start(): void
  /** A call from outside, made at least once. */
  enqueue(name: string, payload: unknown): Promise<void>
  /** What state is kept: keys of all functions. */
  stateKeys(): Promise<number>
  stop(): Promise<void>
}

const ALIAS = 'stable'
const sha256 = (bytes: Uint8Array): Hash => createHash('sha256').update(bytes).digest('hex')
const decoder = new TextDecoder()
const NO_BYTES = new Uint8Array(0)
const ignore = (): void => {}

/** Nobody else is there to be served. */
const NO_REGISTRY = { method: ignore, stream: ignore, event: ignore } as unknown as RpcRegistry

export async function createSimulatedNode(options: SimulatedNodeOptions): Promise<SimulatedNode> {
  const { clock, random, self, deployer, observer, warn } = options
  const view = new CatalogView()
  const listeners = new Set<(name: string) => void>()
  const scripts = new Map<Hash, Uint8Array>()
  const maps = new Map<Hash, string>()
  const principals = new Map<Hash, string>()
  const epochs = new Map<string, number>()
  const store = createMemoryGlobalStore({ clock, random })
  const unreachable = async (): Promise<never> => { throw FUNCTIONS.NODE_GONE({ node: 'another node', why: 'the simulation has one node' }) }

  const catalog: Catalog = {
    get: (name) => view.get(name),
    list: () => view.list(),
    resolve: (reference, draw) => view.resolve(reference, draw),
    version: (name, prefix) => view.version(name, prefix),
    async code(version) {
      const script = scripts.get(version)
      if (script === undefined) throw FUNCTIONS.FUNCTION_CODE_MISSING({ name: version.slice(0, 12), version, asked: 0 })
      return script
    },
    sourceMap: async (version) => maps.get(version),
    onChange(listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },
  }
  const holders = {
    holder: (name: string) => { const epoch = epochs.get(name); return epoch === undefined ? undefined : { node: self.id, epoch } },
    mine: (name: string) => epochs.get(name),
    check: async () => {},
    onChange: () => ignore,
  }

  const { known } = options
  const knowns = new Map<string, Known>()
  /** One for each function. */
  const knownTo = (principal: string): Known => {
    const present = knowns.get(principal)
    if (present !== undefined) return present
    const made: Known = { answer: (call) => known.answer(call, principal), revision: known.revision, answered: known.answered }
    knowns.set(principal, made)
    return made
  }
  const sandbox: Sandbox = {
    run(job: Job, hooks: JobHooks, signal: AbortSignal) {
      const principal = principals.get(job.stages[0]?.code ?? '')
      return options.sandbox.run(job, principal === undefined ? hooks : { ...hooks, known: knownTo(principal) }, signal)
    },
    warm: async () => {},
    stats: () => ({ cells: [], quarantined: [] }),
    close: async () => {},
  }
  const blobs = new Map<Hash, Uint8Array>()
  const nodes = [{ ...self, load: 0, cpuRatio: 0 }]
  const { hostCalls } = registerFunctions({
    registry: NO_REGISTRY, sandbox, capabilities: options.capabilities, cores: 1, clock, random, rates: new RateBook(), self: self.id,
    blobs: { peek: (hash) => blobs.get(hash), get: async (hash) => blobs.get(hash), put: (hash, bytes) => { blobs.set(hash, bytes) } },
    nodes: () => nodes, nameOf: () => self.name, peer: unreachable, onMemberGone: () => ignore,
    referenceInput(references) {
      const kept = options.keptElements(references)
      const input: KeptInput | undefined = kept === undefined ? undefined : { type: 'items', count: references.length, bytes: NO_BYTES, kept }
      return input
    },
  })
  const invoke = createInvoke({
    registry: NO_REGISTRY, store, sandbox, catalog, holders, observer, clock, random, self, lanes: 1, nodes: () => nodes, peer: unreachable, hostCalls, originalStack,
    subscribers: (topic, by) => subscribersOf(catalog, topic, by).map(({ manifest }) => manifest.name),
  })
  const told: SystemCalls = {
    register: (verb, call) => hostCalls.register(verb, (args, scope, by, nested) => {
      options.onSystemCall(verb, args[0])
      return call(args, scope, by, nested)
    }),
  }
  createState({ store }).register(told)
  registerTopics({ systemCalls: told, emit: (topic, payload, from, by) => invoke.asyncCalls.emit(topic, payload, from, by) })
  hostCalls.register('secret.get', async ([name]) => { throw FUNCTIONS.SECRET_UNKNOWN({ name: 'a simulated function', secret: String(name) }) })
  let stopTriggers: () => void = ignore
  const authority = (timeoutMs: number): CallAuthority => {
    const endsAtMs = clock.nowMs() + timeoutMs
    return { principal: deployer, trace: Buffer.from(random.bytes(8)).toString('hex'), hop: 0, signal: new AbortController().signal, remainingMs: () => Math.max(0, endsAtMs - clock.nowMs()) }
  }

  return {
    async deploy({ script, sourceMap, packages, files }) {
      const version = sha256(script)
      const description = await describeBundle(sandbox, script, deployer, new AbortController().signal).catch((error: unknown) => { throw atOriginal(error, decoder.decode(sourceMap)) })
      const manifest = manifestOf(description, { version, bytes: script.length, sourceMap: sha256(sourceMap), packages, files }, { ...options.checks, cron: cronProblem })
      const { name } = manifest
      const signed = { by: deployer, node: self.id, atMs: Math.round(clock.wallMs()), signature: '' }
      scripts.set(version, script)
      blobs.set(version, script)
      maps.set(version, decoder.decode(sourceMap))
      principals.set(version, functionPrincipal({ name, version, deployer }))
      const held = await store.transact({ then: [{ do: 'put', key: holderKey(name), value: NO_BYTES }, { do: 'get', key: holderKey(name) }] })
      epochs.set(name, held.entries[1]?.createRevision ?? 1)
      view.set(name, {
        manifest, versions: new Map([[version, { ...signed, manifest }]]),
        record: { ...signed, name, aliases: { [ALIAS]: { version } }, history: [], paused: false, generation: 1 },
      }, new Map())
      for (const listener of [...listeners]) listener(name)
      return manifest
    },
    versionOf: (name, version) => view.version(name, version)?.manifest,
    invoker: invoke.invoker,
    sandbox,
    start() {
      invoke.start()
      const triggers = { clock, random, catalog, observer, log: { warn } }
      const timers = startTimers({ ...triggers, store, holders, invoker: invoke.invoker })
      const events = startEventTriggers({ ...triggers, source: options.events, self: self.id, invoker: invoke.invoker, mayWatch: options.mayWatch })
      stopTriggers = () => { timers.stop(); events.stop() }
    },
    async enqueue(name, payload) { await invoke.invoker.enqueue({ reference: name, payload: encodeArray([payload]), cause: { type: 'call' } }, authority(view.get(name)?.manifest.limits.timeoutMs ?? 1)) },
    async stateKeys() { return (await store.range('state/', { limit: LIMITS.storeRangeMax })).entries.length },
    async stop() {
      stopTriggers()
      await invoke.stop()
      await store.close()
    },
  }
}

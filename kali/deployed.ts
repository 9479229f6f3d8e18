// Puts the parts of deployed functions together on a node, in two steps: what the gate asks (which versions there are,
// with which rights, who holds which singleton) stands before any object is served; what runs them comes after the sandbox.
//
//   global store -> catalog, holders -> rules of the gate ... sandbox -> state, secrets, invoke, triggers, catalog's methods
//
// Stopped in reverse: no new ticks, then no new asynchronous calls, then the catalog.

import { availableParallelism } from 'node:os'
import { LIMITS, systemClock, systemRandom } from '../fabric/base.ts'
import type { NodeId } from '../fabric/base.ts'
import type { CallContext, FabricNode, FabricStore, LocalStore, Member } from '../fabric/mod.ts'
import {
  cellPrincipal, createCatalog, createInvoke, createObservation, createSecrets, createState, cronProblem, describeBundle, firedPrefix, functionPrincipal, keysPrefix,
  manifestOf, originalStack, findVersion, registerCatalog, registerTopics, startHolders, startTriggers, subscribersOf,
} from '../functions/mod.ts'
import type { Admission, Admit, Catalog, CatalogMember, FunctionManifest, FunctionService, Invoker, NodeCatalog, NodeHolders, Observation, ResolvedFunction, Sandbox } from '../functions/mod.ts'
import { createFunctionRules, createLocalEvents, kindProblem, rightProblem } from '../rmo/mod.ts'
import type { FunctionRules, FunctionUse, LocalObjects, NodeCapabilities } from '../rmo/mod.ts'
import { kumoiKinds } from './kinds/index.ts'
import { seeMembers } from './members-seen.ts'

export interface DeployedBase {
  readonly catalog: NodeCatalog
  readonly holders: NodeHolders
  /** What the gate asks about functions. */
  readonly rules: FunctionRules
  stop(): Promise<void>
}

const alive = (fabric: FabricNode): readonly Member[] => fabric.membership.members().filter(({ state }) => state === 'alive')
/** Code is asked of suspects too: on a busy machine all others may be, and all be there. */
const live = (fabric: FabricNode): readonly CatalogMember[] => fabric.membership.members().filter(({ state }) => state === 'alive' || state === 'suspect').map(({ id, name, state }) => ({ id, name, doubted: state === 'suspect' }))

/** What is deployed and who holds it, followed from here on. */
export function startDeployedBase({ fabric, store, localStore }: { readonly fabric: FabricNode; readonly store: FabricStore; readonly localStore: LocalStore }): DeployedBase {
  const { id: self, log } = fabric
  const catalog = createCatalog({
    store, localStore, signer: fabric.signer, blobs: fabric.blobs, self, log, clock: systemClock, random: systemRandom,
    members: () => live(fabric), peer: (node) => fabric.peer(node),
    onMembers: (listener) => fabric.membership.onEvent(({ type }) => { if (type !== 'updated') listener() }),
  })
  const holders = startHolders({ store, clock: systemClock, self, log, nodes: () => alive(fabric).map(({ id }) => id) })
  /** A call may be ahead of the watch: the store knows. Only the first part of a version travels, so what the function has is looked through. */
  const ahead = async (name: string, version: string): Promise<FunctionManifest | undefined> =>
    (await findVersion({ store, signer: fabric.signer }, name, version).catch(() => undefined))?.manifest
  const rules = createFunctionRules({
    kinds: kumoiKinds,
    versionOf: (name, version) => catalog.version(name, version)?.manifest ?? ahead(name, version),
    fence: (name, epoch) => holders.check(name, epoch),
  })
  catalog.start()
  return {
    catalog, holders, rules,
    async stop() {
      await holders.stop()
      await catalog.stop()
    },
  }
}

export interface DeployedOptions extends Pick<DeployedBase, 'catalog' | 'holders' | 'rules'> {
  readonly fabric: FabricNode
  readonly store: FabricStore
  readonly capabilities: NodeCapabilities
  readonly objects: LocalObjects
  readonly sandbox: Sandbox
  readonly functions: FunctionService
  /** Who may deploy, redrive, keep secrets (rmo/acl/rights.ts). */
  readonly admit: Admit
  /** What this node refuses to run. */
  readonly admission: Admission
  /** Whether somebody's functions run no more. */
  readonly cutOff: (principal: string) => boolean
  /** Told of each call of a deployed function that ran here. */
  readonly used: (use: FunctionUse) => void
}
export interface Deployed {
  readonly invoker: Invoker
  readonly catalog: Catalog
  readonly observation: Observation
  /** Begins to carry out asynchronous calls and triggers; call when the node serves. */
  start(): void
  stop(): Promise<void>
}

export function createDeployed({ fabric, store, capabilities, objects, sandbox, functions, admit, admission, cutOff, used, catalog, holders, rules }: DeployedOptions): Deployed {
  const { id: self, registry, log, membership } = fabric
  const { hostCalls } = functions
  const selfName = membership.self.name
  const peer = (node: NodeId): ReturnType<FabricNode['peer']> => fabric.peer(node)
  const nameOf = (node: NodeId): string => membership.member(node)?.name ?? node.slice(0, 8)
  let storeReachable = true

  const secrets = createSecrets({
    store, membership, sealing: fabric.sealing, clock: systemClock, random: systemRandom,
    usedBy: (secret) => catalog.list().filter(({ manifest }) => manifest.secrets.includes(secret)).map(({ manifest }) => manifest.name),
    warn: (message, reason) => log.warn(message, { reason }),
  })
  const observation = createObservation({
    registry, membership, peer, clock: systemClock, random: systemRandom, redaction: secrets.redactor,
    names: () => catalog.list().map(({ manifest }) => manifest.name),
    functions: () => catalog.list().map(({ manifest, versions }) => ({ name: manifest.name, ...invoke.runner.load(versions.keys()), warm: invoke.runner.warm(manifest.version), broken: invoke.runner.broken(manifest.version) })),
    node: () => {
      const { cells, quarantined } = sandbox.stats()
      void store.revision({ timeoutMs: LIMITS.storeCallTimeoutMs }).then(() => { storeReachable = true }, () => { storeReachable = false })
      return {
        cells: cells.length, cellMemoryMiB: cells.reduce((sum, { residentMiB }) => sum + residentMiB, 0), quarantined: quarantined.length, storeReachable,
        members: tally(membership.members().map(({ state }) => state)), objects: tally(kumoiKinds.kinds.flatMap(({ kind }) => objects.list(kind).map(() => kind))),
      }
    },
  })
  const unsubscribe = catalog.onChange((name) => { if (catalog.get(name) === undefined) observation.forget(name) })
  const observer: Observation = {
    ...observation,
    called(call, outcome) {
      observation.called(call, outcome)
      used({ name: call.name, deployer: catalog.get(call.name)?.versions.get(call.version)?.by, cpuMs: call.cpuMs, failed: outcome.status !== 'value' })
    },
  }
  const state = createState({ store })
  const members = seeMembers(membership, systemClock)
  const invoke = createInvoke({
    registry, store, sandbox, catalog, holders, observer, clock: systemClock, random: systemRandom, self: { id: self, name: selfName }, lanes: availableParallelism(),
    nodes: () => members.list(), peer, hostCalls,
    subscribers: (topic, deployer) => subscribersOf(catalog, topic, deployer).map(({ manifest }) => manifest.name),
    admit, admission, cutOff, originalStack, redact: (error) => secrets.redactor.error(error),
    // A call may come before this node's catalog has followed the deploy.
    fetchVersion: (name, version) => findVersion({ store, signer: fabric.signer }, name, version).catch(() => undefined),
  })

  state.register(hostCalls)
  secrets.register(hostCalls)
  secrets.serve(registry, admit)
  registerTopics({ systemCalls: hostCalls, emit: (topic, payload, options, authority) => invoke.asyncCalls.emit(topic, payload, options, authority) })
  registerCatalog({
    admit, registry, catalog, store, signer: fabric.signer, blobs: fabric.blobs, clock: systemClock, holders, peer, nameOf, members: () => alive(fabric),
    ownedPrefixes: (name) => [`state/${name}/`, `state-keys/${name}`, `call/${name}/`, `dead/${name}/`, keysPrefix(name), firedPrefix(name)],
    describe: async ({ script, ...source }, context: CallContext) => manifestOf(
      await describeBundle(sandbox, script, cellPrincipal(functionPrincipal({ name: 'describe', version: source.version, deployer: context.principal })), context.signal),
      { ...source, bytes: script.byteLength },
      { cron: cronProblem, right: (right) => (/^(function|topic):/.test(right) ? undefined : rightProblem(right, kumoiKinds)), kind: (name) => kindProblem(name, kumoiKinds) }),
    warm: (manifest, _script, signal) => invoke.runner.warmUp({ name: manifest.name, alias: 'stable', manifest, deployer: catalog.get(manifest.name)?.versions.get(manifest.version)?.by ?? '' }, signal),
  })

  const events = createLocalEvents({ objects, kinds: kumoiKinds, clock: systemClock, onError: (error) => log.warn('an event could not be told to functions', { reason: String(error) }) })
  /** Watching is reading: the rights of the function, and what its deployer may read of this object. */
  const mayWatch = async ({ name, manifest, deployer }: ResolvedFunction, { kind, uuid }: { readonly kind: string; readonly uuid: string }): Promise<boolean> => {
    const principal = functionPrincipal({ name, version: manifest.version, deployer })
    if (await rules.unreadable(kind, principal) !== undefined) return false
    const object = capabilities.objectHere({ kind, uuid, home: self })
    // Gone by now: it was its last event.
    if (object === undefined) return true
    const authority = { principal, trace: '', hop: 0, signal: new AbortController().signal, remainingMs: () => LIMITS.callTimeoutMs }
    return capabilities.pass(capabilities.find({ kind, uuid, home: self }), 'info', 'read', authority).then(() => true, () => false)
  }
  let triggers: ReturnType<typeof startTriggers> | undefined
  return {
    invoker: invoke.invoker, catalog, observation,
    start() {
      invoke.start()
      triggers = startTriggers({
        store, clock: systemClock, random: systemRandom, catalog, holders, invoker: invoke.invoker, observer: observation, log, self,
        source: events, mayWatch,
      })
    },
    async stop() {
      await triggers?.stop()
      events.stop()
      await invoke.stop()
      members.stop()
      unsubscribe()
      secrets.close()
      observation.close()
    },
  }
}

function tally(values: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1
  return counts
}

// A whole node: the fabric, the objects of this machine, and the functions service, started in order
// and stopped in reverse. The only place where the layers are put together.

import { availableParallelism } from 'node:os'
import { openGlobalStore, openLocalStore, startFabricNode, systemClock, systemRandom } from '../fabric/mod.ts'
import type { FabricNode, RpcPeer } from '../fabric/mod.ts'
import { createSandbox, RateBook, registerFunctions } from '../functions/mod.ts'
import type { Authority, FunctionService, Sandbox } from '../functions/mod.ts'
import { aclPolicy, createCapabilities, createGate, createLedger, createLocalObjects, createMachine, createValueCodec, createWatches, localPolicy, registerByteStreams, registerRmo, startAccounting } from '../rmo/mod.ts'
import type { FunctionRules, Ledger, LocalObjects, Machine, NodeCapabilities, WatchesOptions } from '../rmo/mod.ts'
import { LIMITS, uuidOfNode } from '../fabric/base.ts'
import type { NodeInfo, RunningNode, StartNodeOptions } from './contract.ts'
import { blobsPath, cachePath, dataDir, localPrincipal, socketPath, storePath } from './data-dir.ts'
import { createDeployed, startDeployedBase } from './deployed.ts'
import type { Deployed } from './deployed.ts'
import { AGENT } from './agent/steps.ts'
import { createCloud, startCloudBase } from './cloud-node.ts'
import { createGlobalAccess } from './kinds/home/access.ts'
import { kumoiKinds } from './kinds/index.ts'
import { TIMINGS } from './lease/timings.ts'
import { driverOf, startHosts } from './hosts.ts'
import type { Hosts } from './hosts.ts'
import type { HttpDoor } from './http.ts'
import { httpToken } from './http-token.ts'

/** Agents of member nodes carry out intents on one another's machines (migrations); no shell can call itself one. */
const AGENT_RIGHTS = ['read', 'create', 'operate', 'update', 'delete'] as const
/** How often this node's own load goes into gossip. */
const LOAD_INTERVAL_MS = 2_000

export async function startNode(options: StartNodeOptions): Promise<RunningNode> {
  const data = dataDir(options.data)
  const stopped = Promise.withResolvers<void>()
  const stoppers: (() => void | Promise<void>)[] = []
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => stopping ??= (async () => {
    for (const stopper of stoppers.reverse()) await stopper()
    stopped.resolve()
  })()

  try {
    const fabric = await startFabricNode({
      data, blobs: blobsPath(data), socket: socketPath(data), principal: localPrincipal(), onLog: options.onLog ?? (() => {}),
      clock: systemClock, random: systemRandom, stop,
      ...(options.name === undefined ? {} : { name: options.name }),
      ...(options.listen === undefined ? {} : { listen: options.listen }),
      ...(options.join === undefined ? {} : { join: options.join }),
    })
    stoppers.push(() => fabric.stop())
    let hosts: Hosts | undefined
    const machine = createMachine({ self: () => fabric.membership.self, data, clock: systemClock, related: (kind) => hosts?.related(kind) ?? [] })
    stoppers.push(() => machine.stop())
    const localStore = await openLocalStore(storePath(data))
    const ownLedger = createLedger({
      store: localStore, clock: systemClock,
      failed: (error) => fabric.log.warn('the ledger could not be written', { reason: String(error) }),
    })
    stoppers.push(() => ownLedger.close())
    const store = await openGlobalStore({
      data, self: fabric.id, fabricId: fabric.info().fabric, founder: fabric.founder, registry: fabric.registry, clock: systemClock, random: systemRandom, log: fabric.log,
      members: () => fabric.membership.members(), peer: (node) => fabric.peer(node),
      ...(options.store === undefined ? {} : { wish: options.store }),
    })
    stoppers.push(() => store.close())
    const base = startDeployedBase({ fabric, store, localStore })
    stoppers.push(() => base.stop())
    const objects = createLocalObjects({ forwardsMax: LIMITS.movedForwardsMax })
    objects.add({ kind: 'PhysicalMachine', uuid: uuidOfNode(fabric.id), local: machine })
    const cloudBase = startCloudBase({ fabric, store, data, timings: TIMINGS[options.highAvailability ?? 'fast'], simulated: driverOf(options.hypervisor) === 'memory' })
    stoppers.push(() => cloudBase.stop())
    const access = createGlobalAccess({ view: cloudBase.view, book: cloudBase.book, kinds: kumoiKinds, clock: systemClock })
    const ledger = access.ledger(ownLedger)
    const capabilities = serveObjects(fabric, objects, ledger, (otherwise) => access.policy(base.rules.policy(otherwise)), base.rules)
    stoppers.push(startAccounting({ kinds: kumoiKinds, objects, ledger, clock: systemClock }))
    hosts = await startHosts({ fabric, capabilities, objects, store: localStore, ledger, data, hypervisor: options.hypervisor ?? { driver: 'none' }, guardOf: cloudBase.guardOf })
    stoppers.push(hosts.stop)
    const sandbox = await createSandbox({ cacheDirectory: cachePath(data), shapes: capabilities.shapes, packageDirectories: [data, process.cwd()] })
    stoppers.push(() => sandbox.close())
    const functions = serveFunctions(fabric, capabilities, sandbox)
    stoppers.push(gossipLoad(fabric, machine, sandbox))
    const deployed = createDeployed({ fabric, store, capabilities, objects, sandbox, functions, catalog: base.catalog, holders: base.holders, rules: base.rules })
    stoppers.push(() => deployed.stop())
    const cloud = createCloud({ base: cloudBase, fabric, objects, capabilities, hosts: hosts.hosts, sandbox, invoker: deployed.invoker, data })
    stoppers.push(() => cloud.stop())
    const door = options.http === undefined ? undefined : await openHttp(fabric, deployed, data, options.http)
    if (door !== undefined) stoppers.push(() => door.close())
    // Last, so that nobody is served by a half-made node.
    await fabric.open()
    deployed.start()
    cloud.start()
    void sandbox.warm(localPrincipal()).catch((error: unknown) => fabric.log.warn('the first cell did not start', { reason: String(error) }))
    return { info: infoOf(fabric), socket: socketPath(data), stop, stopped: stopped.promise }
  } catch (error) {
    await stop().catch(() => {})
    throw error
  }
}

function infoOf(fabric: FabricNode): NodeInfo { return fabric.info() }

/** Opens calls to other members on behalf of an authority. */
const parentOf = ({ principal, trace, hop, signal, remainingMs }: Authority): Authority => ({ principal, trace, hop, signal, remainingMs })

async function openHttp(fabric: FabricNode, { invoker, catalog, observation }: Deployed, data: string, listen: string): Promise<HttpDoor> {
  const { openHttpDoor } = await import('./http.ts')
  const door = await openHttpDoor({
    listen, token: await httpToken(data, systemRandom), principal: localPrincipal(), invoker, catalog, metrics: (parent) => observation.metrics(parent),
    nodeName: () => fabric.membership.self.name, clock: systemClock, random: systemRandom,
  })
  fabric.tellDoor('http', door.url)
  fabric.log.info('http', { url: door.url })
  return door
}

function serveObjects(fabric: FabricNode, objects: LocalObjects, ledger: Ledger, policy: FunctionRules['policy'], rules: Pick<FunctionRules, 'unreadable'>): NodeCapabilities {
  const codec = createValueCodec()
  const openPeer: WatchesOptions['openPeer'] = (node, method, body, authority) => {
    const open = (peer: RpcPeer): ReturnType<RpcPeer['open']> => peer.open(method, body, { parent: parentOf(authority) })
    const peer = fabric.peer(node)
    return peer instanceof Promise ? peer.then(open) : open(peer)
  }
  const capabilities = createCapabilities({
    self: fabric.id,
    members: () => fabric.membership.members(),
    callPeer: async (node, method, body, authority) => (await fabric.peer(node)).call(method, body, { parent: parentOf(authority) }),
    objects,
    gate: createGate({ policy: policy(aclPolicy((of) => ledger.rules(of), localPolicy({ grants: { [AGENT]: AGENT_RIGHTS } }))), clock: systemClock, log: (record) => fabric.log.info('gate', { ...record }) }),
    unreadable: (kind, principal) => rules.unreadable(kind, principal),
    codec,
    openPeer,
    ledger, clock: systemClock, random: systemRandom, kinds: kumoiKinds,
  })
  const watches = createWatches({ capabilities, openPeer, onMembership: (listener) => fabric.membership.onEvent(listener), clock: systemClock })
  registerRmo({ registry: fabric.registry, capabilities, watches, codec })
  registerByteStreams({ registry: fabric.registry, capabilities, openPeer })
  return capabilities
}

function serveFunctions(fabric: FabricNode, capabilities: NodeCapabilities, sandbox: Sandbox): FunctionService {
  const { membership } = fabric
  return registerFunctions({
    registry: fabric.registry, sandbox, capabilities, blobs: fabric.blobs,
    cores: availableParallelism(), clock: systemClock, random: systemRandom, rates: new RateBook(), self: fabric.id,
    nodes: () => membership.members().filter(({ state }) => state === 'alive').map(({ id, name, load }) => ({ id, name, load: load.cpuRatio })),
    nameOf: (id) => membership.member(id)?.name ?? id.slice(0, 8),
    peer: (node) => fabric.peer(node),
    onMemberGone: (gone) => membership.onEvent(({ type, member }) => { if (type === 'died' || type === 'left') gone(member.id) }),
  })
}

function gossipLoad(fabric: FabricNode, machine: Machine, sandbox: Sandbox): () => void {
  let timer = systemClock.after(LOAD_INTERVAL_MS, tick, { background: true })
  function tick(): void {
    const queued = sandbox.stats().cells.reduce((sum, cell) => sum + cell.queued, 0)
    fabric.membership.setLoad({ cpuRatio: machine.attributes().cpuRatio, queued })
    timer = systemClock.after(LOAD_INTERVAL_MS, tick, { background: true })
  }
  return () => timer.cancel()
}

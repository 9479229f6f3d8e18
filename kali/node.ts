// A whole node: the fabric, the objects of this machine, and the functions service, started in order
// and stopped in reverse. The only place where the layers are put together.

import { availableParallelism } from 'node:os'
import { openGlobalStore, openLocalStore, startFabricNode, systemClock, systemRandom } from '../fabric/mod.ts'
import type { FabricNode, Log, RpcPeer } from '../fabric/mod.ts'
import { admitBy, createAdmission, createSandbox, RateBook, registerFunctions } from '../functions/mod.ts'
import type { Authority, FunctionService, Sandbox } from '../functions/mod.ts'
import { createAccessPolicy, createAuditLog, createCapabilities, createGate, createLedger, createLocalObjects, createMachine, createValueCodec, createWatches, registerByteStreams, registerRmo, startAccounts } from '../rmo/mod.ts'
import type { AuditLog, FunctionRules, Ledger, LocalObjects, Machine, NodeCapabilities, Policy, WatchesOptions } from '../rmo/mod.ts'
import { LIMITS, uuidOfNode } from '../fabric/base.ts'
import type { NodeInfo, RunningNode, StartNodeOptions } from './contract.ts'
import { blobsPath, cachePath, dataDir, localPrincipal, socketPath, storePath } from './data-dir.ts'
import { createDeployed, startDeployedBase } from './deployed.ts'
import type { Deployed } from './deployed.ts'
import { serveAccounts } from './account-node.ts'
import { serveAcl } from './acl-service.ts'
import { AGENT } from './agent/steps.ts'
import { auditNodeMethods, createNodeAudit, recordRefusals } from './audit-node.ts'
import { createCloud, startCloudBase } from './cloud-node.ts'
import { createGlobalAccess } from './kinds/home/access.ts'
import { createAncestors, GLOBAL } from './kinds/home/ancestors.ts'
import { kumoiKinds } from './kinds/index.ts'
import type { NodeCloudView } from './cloud/view.ts'
import { systemBootClock } from './lease/boot-clock.ts'
import { TIMINGS } from './lease/timings.ts'
import { createMethodDoor, guardDoors } from './method-rights.ts'
import { driverOf, startHosts } from './hosts.ts'
import type { Hosts } from './hosts.ts'
import type { HttpDoor } from './http.ts'
import { httpToken } from './http-token.ts'
import { Stopping } from './stopping.ts'
import { userOf } from './cloud/owners.ts'
import { startTrust, startTrustBase } from './trust-node.ts'
import type { Trust, TrustBase } from './trust-node.ts'
import type { Directory } from './trust/directory.ts'

/** Agents of member nodes carry out intents on one another's machines (migrations); no shell can call itself one. */
const AGENT_RIGHTS = ['read', 'create', 'operate', 'update', 'delete'] as const
/** How often this node's own load goes into gossip. */
const LOAD_INTERVAL_MS = 2_000

/** What a test puts in the place of a part. */
export interface NodeParts { readonly directory?: Directory }

export async function startNode(options: StartNodeOptions, { directory }: NodeParts = {}): Promise<RunningNode> {
  const data = dataDir(options.data)
  const stopped = Promise.withResolvers<void>()
  let log: Log | undefined
  const parts = new Stopping({ clock: systemClock, warn: (message, fields) => log?.warn(message, fields) })
  const stop = (): Promise<void> => parts.stop().then(stopped.resolve)

  try {
    const fabric = await startFabricNode({
      data, blobs: blobsPath(data), socket: socketPath(data), principal: localPrincipal(), onLog: options.onLog ?? (() => {}),
      clock: systemClock, random: systemRandom, stop,
      ...(options.name === undefined ? {} : { name: options.name }),
      ...(options.listen === undefined ? {} : { listen: options.listen }),
      ...(options.join === undefined ? {} : { join: options.join }),
    })
    log = fabric.log
    parts.add('fabric', () => fabric.stop())
    let hosts: Hosts | undefined
    const machine = createMachine({ self: () => fabric.membership.self, data, clock: systemClock, related: (kind) => hosts?.related(kind) ?? [] })
    parts.add('machine', () => machine.stop())
    const localStore = await openLocalStore(storePath(data))
    const auditLog = createAuditLog({
      store: localStore, clock: systemClock, node: fabric.id, signer: fabric.signer,
      failed: (error) => fabric.log.warn('the audit log could not be written: no privileged act is begun until it can', { reason: String(error) }),
    })
    const ownLedger = createLedger({
      store: localStore, clock: systemClock, log: auditLog,
      failed: (error) => fabric.log.warn('the ledger could not be written', { reason: String(error) }),
    })
    parts.add('ledger', () => ownLedger.close())
    const store = await openGlobalStore({
      data, self: fabric.id, fabricId: fabric.info().fabric, founder: fabric.founder, registry: fabric.registry, clock: systemClock, random: systemRandom, log: fabric.log,
      members: () => fabric.membership.members(), peer: (node) => fabric.peer(node),
      ...(options.store === undefined ? {} : { wish: options.store }),
    })
    parts.add('global store', () => store.close())
    const base = startDeployedBase({ fabric, store, localStore })
    parts.add('catalog and holders', () => base.stop())
    const trustBase = startTrustBase({ fabric, store, localStore })
    parts.add('users and roles', () => trustBase.stop())
    const objects = createLocalObjects({ forwardsMax: LIMITS.movedForwardsMax })
    objects.add({ kind: 'PhysicalMachine', uuid: uuidOfNode(fabric.id), local: machine })
    const cloudBase = startCloudBase({ fabric, store, data, timings: TIMINGS[options.highAvailability ?? 'fast'], simulated: driverOf(options.hypervisor) === 'memory', groupsOf: (user) => trustBase.view.user(user)?.groups ?? [] })
    parts.add('lease and view of the cloud', () => cloudBase.stop())
    const access = createGlobalAccess({ view: cloudBase.view, book: cloudBase.book, kinds: kumoiKinds, clock: systemClock })
    const ledger = access.ledger(ownLedger)
    const ancestors = createAncestors({ view: cloudBase.view, objects })
    const accessPolicy = createAccessPolicy({
      kinds: kumoiKinds, rulesOf: (of) => ledger.rules(of), ancestors, trust: trustBase.view, grants: { [AGENT]: AGENT_RIGHTS }, global: GLOBAL,
    })
    const may = access.may((principal, right) => accessPolicy.may(principal, right))
    const policy = access.policy(base.rules.policy((request) => accessPolicy.judge(request)))
    const capabilities = serveObjects(fabric, objects, ledger, policy, base.rules)
    serveAcl({ registry: fabric.registry, capabilities, policy, may, ancestors, ledger, trust: trustBase.view, global: GLOBAL, peer: (node) => fabric.peer(node) })
    hosts = await startHosts({ fabric, capabilities, objects, store: localStore, ledger: access.hostLedger(ownLedger), data, hypervisor: options.hypervisor ?? { driver: 'none' }, guardOf: cloudBase.guardOf })
    parts.add('hosts', hosts.stop)
    const accounts = startAccounts({
      store: localStore, objects, ledger, bootNowMs: () => systemBootClock.nowMs(), clock: systemClock, ready: cloudBase.view.ready,
      pooled: (vm) => accountOf(cloudBase.view, vm),
      failed: (error) => fabric.log.warn('the accounts could not be written; they are written again', { reason: String(error) }),
    })
    parts.add('accounts', () => accounts.stop())
    const admission = createAdmission(options.admission ?? {}, fabric.membership.self.name)
    const sandbox = await createSandbox({ admission, cacheDirectory: cachePath(data), shapes: capabilities.shapes, packageDirectories: [data, process.cwd()] })
    parts.add('sandbox', () => sandbox.close())
    tellWalls(fabric, sandbox)
    const functions = serveFunctions(fabric, capabilities, sandbox)
    parts.add('load', gossipLoad(fabric, machine, sandbox))
    const cutOff = (principal: string): boolean => {
      const user = userOf(principal)
      return user !== undefined && trustBase.view.user(user)?.revoked === true
    }
    const deployed = createDeployed({ admission, fabric, store, capabilities, objects, sandbox, functions, admit: admitBy(may), cutOff, used: (use) => accounts.called(use), catalog: base.catalog, holders: base.holders, rules: base.rules })
    parts.add('deployed functions', () => deployed.stop())
    const cloud = createCloud({ base: cloudBase, fabric, objects, capabilities, hosts: hosts.hosts, sandbox, invoker: deployed.invoker, data })
    parts.add('cloud', () => cloud.stop())
    const trust = startTrust({
      base: trustBase, fabric, store, audit: auditLog,
      admit: (what, context) => capabilities.pass(capabilities.find({ ...GLOBAL, home: fabric.id }), what, 'administer', context),
      ...(options.usersSocket === undefined ? {} : { usersSocket: options.usersSocket }),
      ...(directory === undefined ? {} : { directory }),
    })
    parts.add('sessions', () => trust.stop())
    serveAccounts({ fabric, store, accounts, may, clock: systemClock })
    const audit = createNodeAudit({ fabric, log: auditLog, store: localStore, objects, capabilities, policy: accessPolicy })
    parts.add('checkpoints of the audit', () => audit.stop())
    auditNodeMethods(fabric, auditLog)
    const door = options.http === undefined ? undefined : await openHttp({ fabric, deployed, data, listen: options.http, options, trustBase, trust, audit: auditLog, door: createMethodDoor(may) })
    if (door !== undefined) parts.add('http door', () => door.close())
    // Last, so that nobody is served by a half-made node.
    await fabric.open(recordRefusals(guardDoors(trust.doors, createMethodDoor(may)), fabric, auditLog))
    // Its door is open: it may have been told to stop already.
    if (!parts.begun) {
      deployed.start()
      cloud.start()
      audit.start()
      void sandbox.warm(localPrincipal()).catch((error: unknown) => fabric.log.warn('the first cell did not start', { reason: String(error) }))
    }
    return { info: infoOf(fabric), socket: socketPath(data), stop, stopped: stopped.promise }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Whose a VM of the cloud is, and in which pool. */
function accountOf(view: Pick<NodeCloudView, 'intent' | 'pool'>, vm: string): { readonly account: string; readonly pool: string } | undefined {
  const intent = view.intent(vm)
  return intent === undefined ? undefined : { account: intent.account, pool: view.pool(intent.pool)?.name ?? '' }
}

function infoOf(fabric: FabricNode): NodeInfo { return fabric.info() }

/** Opens calls to other members on behalf of an authority. */
const parentOf = ({ principal, trace, hop, signal, remainingMs }: Authority): Authority => ({ principal, trace, hop, signal, remainingMs })

interface HttpParts {
  readonly fabric: FabricNode
  readonly deployed: Deployed
  readonly data: string
  readonly listen: string
  readonly options: Pick<StartNodeOptions, 'httpTls' | 'httpPlain'>
  readonly trustBase: TrustBase
  readonly trust: Trust
  readonly audit: AuditLog
  readonly door: ReturnType<typeof createMethodDoor>
}

async function openHttp({ fabric, deployed: { invoker, catalog, observation }, data, listen, options: { httpTls, httpPlain }, trustBase: { judge, view }, trust: { sessions }, audit, door: mayCall }: HttpParts): Promise<HttpDoor> {
  const [{ openHttpDoor }, { createHttpUsers }] = await Promise.all([import('./http.ts'), import('./http-user.ts')])
  const door = await openHttpDoor({
    listen, ...(httpTls === undefined ? {} : { tls: httpTls }), ...(httpPlain === undefined ? {} : { plain: httpPlain }),
    users: createHttpUsers({ judge, known: () => view.known, spend: (claims) => sessions.spend(claims), audit, clock: systemClock }),
    refuse: (method, principal) => fabric.cutOff() ?? mayCall(method, principal), warn: (message, fields) => fabric.log.warn(message, fields),
    token: await httpToken(data, systemRandom), principal: localPrincipal(), invoker, catalog, metrics: (parent) => observation.metrics(parent),
    nodeName: () => fabric.membership.self.name, clock: systemClock, random: systemRandom,
  })
  fabric.tellDoor('http', door.url)
  fabric.log.info('http', { url: door.url })
  return door
}

function serveObjects(fabric: FabricNode, objects: LocalObjects, ledger: Ledger, policy: Policy, rules: Pick<FunctionRules, 'unreadable'>): NodeCapabilities {
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
    gate: createGate({ policy, clock: systemClock, log: (record) => fabric.log.info('gate', { ...record }) }),
    unreadable: (kind, principal) => rules.unreadable(kind, principal),
    codec,
    openPeer,
    ledger, clock: systemClock, random: systemRandom, kinds: kumoiKinds,
  })
  const watches = createWatches({ capabilities, openPeer, onMembership: (listener) => fabric.membership.onEvent(listener), clock: systemClock })
  registerRmo({ registry: fabric.registry, capabilities, watches, codec })
  registerByteStreams({ registry: fabric.registry, capabilities, openPeer, clock: systemClock })
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

/** What this machine lacks to confine shipped code is said once in the log, and to whoever asks the node. */
function tellWalls(fabric: FabricNode, sandbox: Sandbox): void {
  const { walls = [] } = sandbox.stats()
  fabric.tellCells(Object.fromEntries(walls.map(({ wall, state, how }) => [wall, state === 'up' ? how : `absent: ${how}`])))
  for (const { wall, state, how } of walls) if (state === 'absent') fabric.log.info(`cells: no wall of ${wall}`, { reason: how })
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

// A node of the fabric: identity, transport, membership, connections, blobs, and the local door.
// Knows no virtual machine and runs no user code. Started in the order below, stopped in reverse.
//
//   identity -> transport (listen) -> join or found -> membership -> [layers above register methods] -> open()

import { existsSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { createBlobStore } from './blob/store.ts'
import type { BlobStore } from './blob/store.ts'
import { serveBlobs } from './blob/transfer.ts'
import type { Clock, Random } from './clock.ts'
import { FABRIC } from './errors-table.ts'
import { errorCode } from './errors.ts'
import type { CodedError } from './errors.ts'
import type { NodeId } from './id.ts'
import { createSealing } from './identity/sealing.ts'
import type { Sealing } from './identity/sealing.ts'
import { createRevocations } from './identity/revocation.ts'
import type { RevokedNode } from './identity/revocation.ts'
import { createCertifiedSigner } from './identity/signing.ts'
import type { CertifiedSigner } from './identity/signing.ts'
import { openIdentity } from './identity/store.ts'
import { LIMITS } from './limits.ts'
import { createLog } from './log.ts'
import type { Log } from './log.ts'
import { createMembership } from './membership/driver.ts'
import type { Membership } from './membership/contract.ts'
import { isLocalAdministrator, serveNode } from './node-service.ts'
import { Peers } from './peers.ts'
import type { Caller, FrameChannel, RpcPeer, RpcRegistry } from './rpc/contract.ts'
import { createRpcPeer } from './rpc/peer.ts'
import { createRegistry } from './rpc/registry.ts'
import { createStanding } from './standing.ts'
import type { Transport } from './transport/contract.ts'
import { createHyperswarmTransport } from './transport/hyperswarm.ts'
import { connectLocal, listenLocal } from './transport/local.ts'
import { VERSION } from './version.ts'

export interface FabricNodeOptions {
  readonly data: string
  /** Directory of the blob store. */
  readonly blobs: string
  /** Path of the local door. */
  readonly socket: string
  /** Principal of whoever comes through the local door. */
  readonly principal: string
  readonly name?: string
  /** "host" or "host:port". */
  readonly listen?: string
  /** Ticket of the fabric to join. */
  readonly join?: string
  readonly clock: Clock
  readonly random: Random
  /** Takes the node's log, a JSON line at a time. */
  readonly onLog: (line: string) => void
  /** Stops the whole node, this part included; asked for by 'node.down'. */
  readonly stop: () => Promise<void>
}

export interface NodeInfo {
  readonly id: NodeId
  readonly name: string
  readonly fabric: NodeId
  readonly version: string
  readonly pid: number
  readonly data: string
  readonly addresses: readonly string[]
  readonly startedAtMs: number
  /** How it came into its fabric when it started. */
  readonly origin: 'founded' | 'joined' | 'returned'
  /** Further places where programs knock, by kind: { http: "http://127.0.0.1:8080" }. */
  readonly doors: Readonly<Record<string, string>>
  /** What stands around shipped code on this machine, and what does not: { user: "one of its own for each cell", ... }. */
  readonly cells?: Readonly<Record<string, string>>
  /** Why the members speak with it no more, if so. */
  readonly revoked?: { readonly code: string; readonly message: string }
}

export interface FabricNode {
  readonly id: NodeId
  readonly membership: Membership
  readonly registry: RpcRegistry
  readonly blobs: BlobStore
  readonly log: Log
  /** Node whose directory holds the fabric's own key: first of every member's certificate chain. */
  readonly founder: NodeId
  /** Ed25519 signature by this node's key. */
  sign(message: Uint8Array): Uint8Array
  /** Signs what must still be believed when this node has left, and judges what others signed so. */
  readonly signer: CertifiedSigner
  /** Boxes for other nodes, and opens those for this one. */
  readonly sealing: Sealing
  /** A connection to a member; rejects with FABRIC_ERR_UNREACHABLE. */
  peer(node: NodeId): RpcPeer | Promise<RpcPeer>
  info(): NodeInfo
  /** Who is cut off from now on, all of them: links end, hellos are refused, also after a restart of this node. */
  setRevoked(list: readonly RevokedNode[]): void
  /** Why this node's members speak with it no more, if so. */
  cutOff(): CodedError | undefined
  /** A ticket, for one key only when `subject` is given. */
  ticket(options: { readonly lifetimeMs?: number; readonly subject?: NodeId }): string
  /** A door that a layer above has opened, for info(). */
  tellDoor(kind: string, url: string): void
  tellCells(walls: Readonly<Record<string, string>>): void
  /** Opens the local doors; call when every method is registered. */
  open(options?: OpenDoorsOptions): Promise<void>
  /** Leaves the fabric cleanly and stops. */
  stop(): Promise<void>
}

/** One connection through a local door. `caller` is its own object: calls that it makes carry it. */
export interface LocalConnection {
  readonly caller: Caller
  /** 'own': mode 0600, the machine's administrator until he shows otherwise. 'users': whoever may reach the socket. */
  readonly door: 'own' | 'users'
  close(reason: Error): void
  onClose(closed: () => void): void
}
/** Who a connection is at this moment, and what it may call. */
export interface Visitor {
  principal(): string
  refuse(method: string, principal: string): (Error & { readonly code: string }) | undefined
}
export interface OpenDoorsOptions {
  /** Left out: whoever comes through the own door is FabricNodeOptions.principal. */
  readonly admit?: (connection: LocalConnection) => Visitor
  /** Who may make tickets and stop the node ('node.ticket', 'node.down'); left out: the machine's administrator. */
  readonly administers?: (method: string, principal: string) => boolean
  /** A second door, for other users of the machine; needs `admit`. */
  readonly users?: { readonly path: string; readonly connectionsMax: number }
}

const NOBODY = 'nobody'
const DEFAULT_NAME = 'node'
/** Letters, digits, dot, dash, underscore: fits tables, prompts and certificates. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/

export async function startFabricNode(options: FabricNodeOptions): Promise<FabricNode> {
  const { data, clock, random } = options
  await refuseSecondNode(options)
  const identity = await openIdentity(data, { random })
  const name = options.name ?? identity.fabric?.name ?? DEFAULT_NAME
  if (!NAME.test(name)) throw FABRIC.NAME_INVALID({ name })
  const startedAtMs = clock.wallMs()
  const log = createLog(name, options.onLog)

  const revocations = createRevocations(() => identity.fabric?.chain[0]?.subject)
  revocations.replace(identity.fabric?.revoked ?? [])
  let membership: ReturnType<typeof createMembership> | undefined
  const transport = createHyperswarmTransport({
    identity, name, version: VERSION, listen: listenAddress(options.listen ?? identity.fabric?.host), clock, random,
    nameHolder: (wanted, id) => membership?.nameHolder(wanted, id), revocations,
  })
  const returning = identity.fabric !== undefined
  if (options.join !== undefined) await transport.join(options.join)
  const founding = identity.fabric === undefined
  if (founding) await identity.found()

  const registry = createRegistry({ onFault: (event, error) => log.warn('an event handler threw', { event, reason: String(error) }) })
  const peers = new Peers({ transport, registry, clock, membership: () => membership })
  try {
    await transport.start()
  } catch (error) {
    if (founding) await identity.unfound()
    throw error
  }
  if (options.listen !== undefined) await identity.remember({ host: listenAddress(options.listen).host })
  const members = createMembership({ transport, clock, random, self: { name, version: VERSION, startedAtMs }, expelled: (id) => id !== identity.keys.id && revocations.refusal(id) !== undefined })
  const standing = createStanding({ self: identity.keys.id, revocations, transport, told: (by, why) => log.warn('a member refuses this node', { by, reason: why.message }) })
  membership = members
  members.onEvent(({ type, member }) => log.info(`member ${type}`, { member: member.name, id: member.id, incarnation: member.incarnation }))
  members.start((identity.fabric?.members ?? []).filter(({ id }) => revocations.refusal(id) === undefined))

  let blobs: BlobStore
  try {
    await refuseUnwelcome(transport, identity.fabric?.members ?? [])
    blobs = await createBlobStore({ directory: options.blobs, clock, warn: (message, error) => log.warn(message, { reason: String(error) }) })
  } catch (error) {
    members.stop()
    await transport.close()
    throw error
  }
  serveBlobs(registry, blobs, name)

  const doors: Record<string, string> = {}
  let cells: NodeInfo['cells']
  const info = (): NodeInfo => ({ id: transport.id, name, fabric: identity.fabric?.id ?? '', version: VERSION, pid: process.pid, data, addresses: transport.addresses(), startedAtMs, origin: founding ? 'founded' : returning ? 'returned' : 'joined', doors: { ...doors }, ...(cells === undefined ? {} : { cells }), ...revokedNow() })
  const revokedNow = (): Pick<NodeInfo, 'revoked'> => {
    const why = standing.cutOff()
    return why === undefined ? {} : { revoked: { code: why.code, message: why.message } }
  }
  serveNode({ registry, membership: members, info, ticket: (lifetimeMs) => transport.makeTicket({ lifetimeMs }), stop: options.stop, clock, administers: (method, principal) => administers(method, principal) })

  let administers = isLocalAdministrator
  const shells = new Set<RpcPeer>()
  const local: Awaited<ReturnType<typeof listenLocal>>[] = []
  const welcome = (door: LocalConnection['door'], admit: OpenDoorsOptions['admit']) => (channel: FrameChannel, caller: Caller & { via: 'socket' }): void => {
    let visitor: Visitor | undefined
    const peer = createRpcPeer({
      channel, caller, registry, clock,
      principal: () => (admit === undefined ? options.principal : visitor?.principal() ?? NOBODY),
      refuse: (method: string, principal: string) => standing.refuse(method) ?? visitor?.refuse(method, principal),
    })
    shells.add(peer)
    peer.onClose(() => shells.delete(peer))
    visitor = admit?.({ caller, door, close: (reason) => peer.close(reason), onClose: (closed) => peer.onClose(() => closed()) })
  }
  return {
    id: transport.id, membership: members, registry, blobs, log, info,
    tellDoor(kind, url) { doors[kind] = url },
    tellCells(walls) { cells = walls },
    setRevoked(list) {
      const { added, removed } = revocations.replace(list)
      transport.revised(removed)
      for (const node of added) members.expel(node)
      if (added.length + removed.length === 0) return
      log.info('revoked nodes', { added, removed })
      identity.remember({ revoked: revocations.list() }).catch((error: unknown) => log.warn('the revoked nodes could not be written down', { reason: String(error) }))
    },
    cutOff: () => standing.cutOff(),
    ticket: (wanted) => transport.makeTicket(wanted),
    founder: identity.fabric?.chain[0]?.subject ?? transport.id,
    sign: (message) => identity.keys.sign(message),
    signer: createCertifiedSigner({ keys: identity.keys, fabric: () => identity.fabric, revocations }),
    sealing: createSealing(identity.keys),
    peer: (node) => peers.get(node),
    async open({ admit, users, administers: judged } = {}) {
      administers = judged ?? isLocalAdministrator
      local.push(await listenLocal(options.socket, clock, welcome('own', admit)))
      if (users !== undefined && admit !== undefined) local.push(await listenLocal(users.path, clock, welcome('users', admit), { for: 'everyone', connectionsMax: users.connectionsMax }))
      log.info('up', { id: transport.id, addresses: transport.addresses() })
    },
    async stop() {
      for (const door of local) await door.close()
      await members.leave()
      members.stop()
      await transport.close()
      await blobs.flush()
      log.info('down')
      // Last: a shell that asked for this knows by the end of its connection that it is done.
      for (const shell of shells) shell.close()
    },
  }
}

const TURNED_AWAY: ReadonlySet<string> = new Set([FABRIC.NAME_TAKEN.code, FABRIC.REVOKED.code, FABRIC.REVOKED_ADMISSION.code])

async function refuseSecondNode({ socket, clock }: FabricNodeOptions): Promise<void> {
  if (!existsSync(socket)) return
  const answering = await connectLocal(socket, clock).catch(() => undefined)
  if (answering === undefined) return
  answering.close()
  throw FABRIC.SOCKET_TAKEN({ path: socket })
}

/**
 * A member that comes back under a name which another has by now, or after it was revoked, is turned away by everybody;
 * it is told so here, instead of standing alone. Waits for the first answer of those it remembers, a second at most.
 */
async function refuseUnwelcome(transport: Transport, members: readonly { readonly id: NodeId; readonly addresses: readonly string[] }[]): Promise<void> {
  const asked = members.slice(0, LIMITS.ticketMembers).map(({ id, addresses }) =>
    transport.dial(id, { addresses, timeoutMs: LIMITS.tcpDialTimeoutMs }).then(() => undefined, (error: Error) => {
      if (!TURNED_AWAY.has(errorCode(error.cause) ?? '')) throw error
      return error.cause
    }))
  // Nobody there: the first of its fabric to come back.
  const refusal = await Promise.any(asked).catch(() => undefined)
  if (refusal !== undefined) throw refusal
}

/** Default: the first address of this machine that others can reach, else loopback; any free port. */
function listenAddress(listen: string | undefined): { readonly host: string; readonly port: number } {
  if (listen === undefined) {
    const outside = Object.values(networkInterfaces()).flat().find((entry) => entry?.family === 'IPv4' && !entry.internal)
    return { host: outside?.address ?? '127.0.0.1', port: 0 }
  }
  const [host = '', port = '0'] = listen.split(':')
  const number = Number(port)
  if (host === '' || listen.split(':').length > 2 || !Number.isInteger(number) || number < 0 || number > 65_535) throw FABRIC.LISTEN_INVALID({ listen })
  return { host, port: number }
}

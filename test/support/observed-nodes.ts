// A few nodes in one process for the tests of logs, figures and secrets: real RPC over channels in memory, members that a
// test adds, kills and brings back, each with keys of its own.

import { FABRIC, seededRandom, systemClock } from '../../fabric/base.ts'
import type { Clock, NodeId } from '../../fabric/base.ts'
import { generateKeys } from '../../fabric/identity/keys.ts'
import { createRegistry, createRpcPeer, createSealing } from '../../fabric/mod.ts'
import type { Member, MembershipEvent, RpcPeer, RpcRegistry, Sealing } from '../../fabric/mod.ts'
import { createChannelPair } from '../../fabric/transport/memory-channel.ts'
import type { CallRecord, LogLine } from '../../functions/mod.ts'

export interface ObservedNode {
  readonly id: NodeId
  readonly name: string
  readonly registry: RpcRegistry
  readonly sealing: Sealing
  readonly membership: { readonly self: Member; members(): readonly Member[]; member(id: NodeId): Member | undefined; onEvent(listener: (event: MembershipEvent) => void): () => void }
  peer(node: NodeId): Promise<RpcPeer>
  /** What a shell on this node's socket holds. */
  shell(): RpcPeer
}
export interface ObservedNodes {
  readonly nodes: readonly ObservedNode[]
  /** `ready` is called before the others hear of it. */
  join(name: string, ready: (node: ObservedNode) => void): void
  change(name: string, state: Member['state']): void
  /** Connections to it break, and no new one is made. */
  cut(name: string): void
  mend(name: string): void
  close(): void
}

export function openObservedNodes(names: readonly string[], clock: Clock = systemClock): ObservedNodes {
  const random = seededRandom(4)
  let members: readonly Member[] = []
  const listeners = new Set<(event: MembershipEvent) => void>()
  const nodes: ObservedNode[] = []
  const links = new Map<string, RpcPeer>()
  const peers: RpcPeer[] = []
  const unreachable = new Set<NodeId>()
  const tell = (type: MembershipEvent['type'], member: Member): void => { for (const listener of [...listeners]) listener({ type, member }) }

  const join = (name: string): ObservedNode => {
    const keys = generateKeys(random)
    const { id } = keys
    const self: Member = { id, name, state: 'alive', incarnation: 1, addresses: [], version: '0', startedAtMs: 0, sinceMs: 0, load: { cpuRatio: 0, queued: 0 } }
    members = [...members, self]
    const registry = createRegistry()
    const node: ObservedNode = {
      id, name, registry, sealing: createSealing(keys),
      membership: {
        self, members: () => members, member: (of) => members.find((one) => one.id === of),
        onEvent: (listener) => { listeners.add(listener); return () => listeners.delete(listener) },
      },
      async peer(to) {
        if (unreachable.has(to)) throw FABRIC.UNREACHABLE({ node: to, reason: 'cut' })
        const there = nodes.find((one) => one.id === to)
        const known = links.get(`${id}>${to}`)
        if (known !== undefined && !known.closed) return known
        const pair = createChannelPair()
        const link = createRpcPeer({ channel: pair[0], clock, registry, caller: { via: 'link', node: to, name: there?.name ?? '' } })
        peers.push(link, createRpcPeer({ channel: pair[1], clock, registry: there?.registry ?? createRegistry(), caller: { via: 'link', node: id, name } }))
        links.set(`${id}>${to}`, link)
        return link
      },
      shell() {
        const pair = createChannelPair()
        const shell = createRpcPeer({ channel: pair[0], clock, registry: createRegistry(), caller: { via: 'socket', uid: 0 } })
        peers.push(shell, createRpcPeer({ channel: pair[1], clock, registry, caller: { via: 'socket', uid: 0 }, principal: 'local:0' }))
        return shell
      },
    }
    nodes.push(node)
    return node
  }
  const idOf = (name: string): NodeId => nodes.find((one) => one.name === name)?.id ?? ''
  for (const name of names) join(name)
  // Channels in memory and timers in the background keep no process alive.
  const awake = setInterval(() => {}, 60_000)
  return {
    nodes,
    join(name, ready) {
      const node = join(name)
      ready(node)
      tell('joined', node.membership.self)
    },
    change(name, state) {
      members = members.map((one) => one.name === name ? { ...one, state } : one)
      const member = members.find((one) => one.name === name)
      if (member !== undefined) tell(state === 'dead' ? 'died' : state === 'left' ? 'left' : state === 'alive' ? 'joined' : 'suspected', member)
    },
    cut(name) {
      unreachable.add(idOf(name))
      for (const [way, link] of links) if (way.includes(idOf(name))) link.close()
    },
    mend(name) { unreachable.delete(idOf(name)) },
    close() {
      clearInterval(awake)
      for (const peer of peers) peer.close()
    },
  }
}

export const logLine = (over: Partial<LogLine> = {}): LogLine => ({ atMs: 1_000, name: 'hot', version: 'a'.repeat(64), callId: 'c'.repeat(16), trace: '0123456789abcdef', level: 'info', text: 'hello', ...over })

export const callRecord = (over: Partial<CallRecord> = {}): CallRecord => ({
  callId: 'c'.repeat(16), name: 'hot', alias: 'stable', version: 'a'.repeat(64), trace: '0123456789abcdef', node: 'n', nodeName: 'alpha', cause: 'call', attempt: 1,
  startedAtMs: 0, queuedMs: 0, runMs: 10, cpuMs: 2, cold: false, ...over,
})

// RPC connections to members: one per link, made when the link comes up, dialled on demand.

import type { Clock } from './clock.ts'
import { FABRIC } from './errors-table.ts'
import type { NodeId } from './id.ts'
import type { Membership } from './membership/contract.ts'
import type { RpcPeer, RpcRegistry } from './rpc/contract.ts'
import { linkChannel } from './rpc/link-channel.ts'
import { createRpcPeer } from './rpc/peer.ts'
import type { Link, Transport } from './transport/contract.ts'

export interface PeersOptions {
  readonly transport: Transport
  readonly registry: RpcRegistry
  readonly clock: Clock
  /** For addresses to dial and for names in messages. */
  readonly membership: () => Membership | undefined
}

export class Peers {
  readonly #options: PeersOptions
  readonly #peers = new Map<NodeId, RpcPeer>()
  readonly #links = new Map<NodeId, Link>()
  readonly #dials = new Map<NodeId, Promise<RpcPeer>>()

  constructor(options: PeersOptions) {
    this.#options = options
    options.transport.onLink((link) => { this.#adopt(link) })
  }

  /** The connection to a member: the present one at once, else a new one. Rejects with FABRIC_ERR_UNREACHABLE. */
  get(node: NodeId): RpcPeer | Promise<RpcPeer> {
    const present = this.#peers.get(node)
    if (present !== undefined && !present.closed) return present
    let dial = this.#dials.get(node)
    if (dial === undefined) {
      dial = this.#dial(node).finally(() => this.#dials.delete(node))
      this.#dials.set(node, dial)
    }
    return dial
  }

  async #dial(node: NodeId): Promise<RpcPeer> {
    const member = this.#options.membership()?.member(node)
    if (member === undefined || member.state === 'dead' || member.state === 'left') throw FABRIC.UNREACHABLE({ node, reason: member === undefined ? 'no such member is known' : `the member ${member.name} ${member.state === 'left' ? 'has left' : 'is dead'}` })
    const link = await this.#options.transport.dial(node, { addresses: member.addresses })
    return this.#adopt(link)
  }

  #adopt(link: Link): RpcPeer {
    const { id, name } = link.peer
    const present = this.#peers.get(id)
    if (present !== undefined && !present.closed && this.#links.get(id) === link) return present
    const peer = createRpcPeer({ channel: linkChannel(link), caller: { via: 'link', node: id, name }, registry: this.#options.registry, clock: this.#options.clock })
    this.#peers.set(id, peer)
    this.#links.set(id, link)
    peer.onClose(() => {
      if (this.#peers.get(id) !== peer) return
      this.#peers.delete(id)
      this.#links.delete(id)
    })
    return peer
  }
}

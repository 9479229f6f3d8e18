// A node in its own process, for tests: starts, then does what its parent says. Echoes every frame on 'rpc'
// and 'bulk'. Ends with its parent.
//
// Parent to child: { do: 'ticket' | 'dial' | 'links' | 'close', ... }; child to parent: one answer each, and
// { event: 'found' | 'end', ... } unasked.

import { systemRandom } from '../../fabric/clock.ts'
import { errorCode } from '../../fabric/errors.ts'
import { openIdentity } from '../../fabric/identity/store.ts'
import type { Link } from '../../fabric/transport/contract.ts'
import { transportOf } from './transport-nodes.ts'
import type { ChildArguments, ChildOrder } from './transport-nodes.ts'

async function serve({ dataDir, name, ticket, host = '127.0.0.1', overlay = 'direct' }: ChildArguments): Promise<void> {
  const tell = (message: object): void => { if (process.connected) process.send?.(message) }
  const identity = await openIdentity(dataDir, { random: systemRandom })
  if (ticket === undefined && identity.fabric === undefined) await identity.found()
  const transport = transportOf(identity, name, { listen: { host, port: 0 }, overlay })
  if (ticket !== undefined) await transport.join(ticket)
  const echoed = new Map<string, (frame: Uint8Array) => void>()
  transport.onDiscovered((id) => tell({ event: 'found', id }))
  transport.onLink((link) => {
    link.onClose((why) => tell({ event: 'end', id: link.peer.id, why }))
    for (const lane of ['rpc', 'bulk'] as const) link.onFrame(lane, (frame) => (echoed.get(lane) ?? ((bytes) => link.send(lane, bytes)))(frame))
  })
  await transport.start()

  const echo = (link: Link, lane: 'rpc' | 'bulk', bytes: number): Promise<number> => new Promise((resolve) => {
    echoed.set(lane, (frame) => {
      echoed.delete(lane)
      resolve(frame.byteLength)
    })
    link.send(lane, new Uint8Array(bytes))
  })
  const obey = async (order: ChildOrder): Promise<object> => {
    switch (order.do) {
      case 'ticket': return { ticket: transport.makeTicket() }
      case 'links': return { links: [...transport.links()].map((link) => ({ name: link.peer.name, ...link.describe() })) }
      case 'dial': {
        const link = await transport.dial(order.id, { addresses: order.addresses, timeoutMs: 10_000 })
        return { bytes: [await echo(link, 'rpc', 1_000), await echo(link, 'bulk', 1_000_000)], paths: link.describe() }
      }
      case 'close':
        await transport.close()
        process.disconnect()
        return {}
    }
  }
  process.on('message', (order: ChildOrder) => { void obey(order).then(tell, (error: Error) => tell({ error: error.message, code: errorCode(error) })) })
  process.on('disconnect', () => process.exit(0))
  tell({ id: transport.id, addresses: transport.addresses() })
}

const argument = process.argv[2]
if (argument !== undefined && process.send !== undefined) await serve(JSON.parse(argument) as ChildArguments)

// A node in its own process: joins, starts, tells its parent, echoes every frame. Ends with its parent.

import { systemRandom } from '../../fabric/clock.ts'
import { openIdentity } from '../../fabric/identity/store.ts'
import { transportOf } from './transport-nodes.ts'

const argument = process.argv[2]
if (argument !== undefined && process.send !== undefined) {
  const { dataDir, name, ticket, host = '127.0.0.1', overlay = 'direct' } = JSON.parse(argument) as { dataDir: string; name: string; ticket?: string; host?: string; overlay?: 'direct' | 'full' }
  const identity = await openIdentity(dataDir, { random: systemRandom })
  if (ticket === undefined && identity.fabric === undefined) await identity.found()
  const transport = transportOf(identity, name, { listen: { host, port: 0 }, overlay })
  if (ticket !== undefined) await transport.join(ticket)
  transport.onLink((link) => {
    for (const lane of ['gossip', 'rpc', 'bulk'] as const) link.onFrame(lane, (frame) => link.send(lane, frame))
  })
  await transport.start()
  process.on('message', (message) => {
    if (message === 'ticket') process.send?.({ ticket: transport.makeTicket() })
    if (message === 'close') void transport.close().then(() => process.disconnect())
  })
  process.on('disconnect', () => process.exit(0))
  process.send({ id: transport.id, addresses: transport.addresses() })
}

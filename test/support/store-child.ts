// A process that has an embedded store and serves it on a Unix socket, to be killed at any moment: DIRECTORY SOCKET.
// Says "ready" when it serves.

import { systemClock, systemRandom } from '../../fabric/base.ts'
import { createRpcPeer } from '../../fabric/rpc/peer.ts'
import { createRegistry } from '../../fabric/rpc/registry.ts'
import { openEmbeddedStore } from '../../fabric/store/embedded.ts'
import { serveStore } from '../../fabric/store/service.ts'
import { listenLocal } from '../../fabric/transport/local.ts'

const [directory = '', socket = ''] = process.argv.slice(2)
const engine = await openEmbeddedStore({ directory, description: 'embedded at child', clock: systemClock, random: systemRandom })
const registry = createRegistry()
serveStore({ registry, engine: async () => engine })
// As a member: the socket stands for a link here.
await listenLocal(socket, systemClock, (channel) => { createRpcPeer({ channel, caller: { via: 'link', node: 'b'.repeat(64), name: 'beta' }, registry, clock: systemClock }) })
process.stdout.write('ready\n')

// The real transport, overlay included, against the suite that every transport passes.

import { rm, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemRandom } from '../../../fabric/clock.ts'
import { extendChain } from '../../../fabric/identity/certificate.ts'
import { openIdentity } from '../../../fabric/identity/store.ts'
import type { Identity } from '../../../fabric/identity/store.ts'
import type { HyperswarmTransport } from '../../../fabric/transport/hyperswarm.ts'
import { transportSuite } from '../../conformance/transport.ts'
import { freePort, transportOf, until } from '../../support/transport-nodes.ts'

const dirs: string[] = []
const made: HyperswarmTransport[] = []
// Everybody must know where the founder will be before it starts.
const port = await freePort()
let founder: Promise<Identity> | undefined
transportSuite('hyperswarm', {
  setup: async () => ({
    kill: undefined,
    until: (condition) => until(condition),
    async create(name) {
      const dir = await mkdtemp(join(tmpdir(), 'kumoi-test-'))
      dirs.push(dir)
      const identity = await openIdentity(dir, { random: systemRandom })
      // What join() brings back, without asking: the suite starts its nodes itself.
      founder ??= identity.found().then(() => identity)
      const { keys, fabric } = await founder
      if (fabric === undefined) throw new Error('the founder has no fabric')
      if (keys.id !== identity.keys.id) {
        await identity.adopt({ id: fabric.id, chain: extendChain(fabric.id, fabric.chain, keys, identity.keys.id), bootstraps: [`127.0.0.1:${port}`], members: [] })
      }
      const transport = transportOf(identity, name, { overlay: 'full', listen: { host: '127.0.0.1', port: keys.id === identity.keys.id ? port : 0 } })
      made.push(transport)
      return transport
    },
  }),
  async teardown() {
    await Promise.all(made.splice(0).map((transport) => transport.close()))
    await Promise.all(dirs.splice(0).map((dir) => rm(dir, { recursive: true, force: true })))
    founder = undefined
  },
})

// The real transport against the suite that every transport passes, with and without its overlay.

import { rm, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemRandom } from '../../../fabric/clock.ts'
import { extendChain } from '../../../fabric/identity/certificate.ts'
import { openIdentity } from '../../../fabric/identity/store.ts'
import type { Identity } from '../../../fabric/identity/store.ts'
import type { HyperswarmTransport } from '../../../fabric/transport/hyperswarm.ts'
import { transportSuite } from '../../conformance/transport.ts'
import { transportOf, until } from '../../support/transport-nodes.ts'

for (const overlay of ['direct', 'full'] as const) {
  const dirs: string[] = []
  const made: HyperswarmTransport[] = []
  let founder: Identity | undefined
  transportSuite(`hyperswarm (${overlay})`, {
    setup: async () => ({
      kill: undefined,
      until: (condition) => until(condition),
      async create(name) {
        const dir = await mkdtemp(join(tmpdir(), 'kumoi-test-'))
        dirs.push(dir)
        const identity = await openIdentity(dir, { random: systemRandom })
        // What join() brings back, without asking: the suite starts its nodes itself.
        if (founder?.fabric === undefined) {
          founder = identity
          await founder.found()
        } else {
          const { id, chain } = founder.fabric
          await identity.adopt({ id, chain: extendChain(id, chain, founder.keys, identity.keys.id), bootstraps: made[0]?.addresses() ?? [], members: [] })
        }
        const transport = transportOf(identity, name, { overlay })
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
}

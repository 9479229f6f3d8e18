// The private overlay: discovery without addresses, bootstraps that die and come back, ports that are taken.

import { createServer } from 'node:net'
import { test } from 'tap'
import { systemRandom } from '../../../fabric/clock.ts'
import { openIdentity } from '../../../fabric/identity/store.ts'
import { splitAddress } from '../../../fabric/transport/address.ts'
import { makeDataDir, startFounder, startJoiner, transportOf, until } from '../../support/transport-nodes.ts'

test('members that know no address of each other meet through the overlay', async (t) => {
  const alpha = await startFounder(t, 'alpha', { overlay: 'full' })
  const beta = await startJoiner(t, alpha, 'beta', { overlay: 'full' })
  const gammaIdentity = await openIdentity(await makeDataDir(t), { random: systemRandom })
  const gammaId = gammaIdentity.keys.id
  const found = new Promise<string>((resolve) => beta.onDiscovered((id) => { if (id === gammaId) resolve(id) }))
  const gamma = transportOf(gammaIdentity, 'gamma', { overlay: 'full' })
  t.teardown(() => gamma.close())
  await gamma.join(alpha.makeTicket())
  await gamma.start()
  await found
  const link = await beta.dial(gamma.id, { timeoutMs: 10_000 })
  t.equal(link.peer.name, 'gamma')
  await until(() => link.describe().gossip === 'udx')
  t.same(link.describe(), { gossip: 'udx', rpc: link.describe().rpc, bulk: link.describe().rpc }, 'calls go by one kind of path')
})

test('the founder goes: others admit and start without it; it comes back on its port', async (t) => {
  const dataDir = await makeDataDir(t)
  const identity = await openIdentity(dataDir, { random: systemRandom })
  await identity.found()
  const first = transportOf(identity, 'alpha', { overlay: 'full' })
  await first.start()
  const beta = await startJoiner(t, first, 'beta', { overlay: 'full' })
  await beta.dial(first.id, { addresses: first.addresses() })
  await first.close()
  const gamma = await startJoiner(t, beta, 'gamma', { overlay: 'full' })
  t.equal((await gamma.dial(beta.id, { addresses: beta.addresses() })).peer.name, 'beta')

  const again = transportOf(await openIdentity(dataDir, { random: systemRandom }), 'alpha', { overlay: 'full' })
  t.teardown(() => again.close())
  const remembered = new Promise<string>((resolve) => again.onDiscovered((id, addresses) => { if (addresses.length > 0) resolve(id) }))
  await again.start()
  t.same(again.addresses(), first.addresses(), 'the same port')
  t.equal(await remembered, beta.id, 'it remembers whom it knew')
  t.equal((await again.dial(beta.id)).peer.name, 'beta')
})

test('a port that is taken is refused with its address', async (t) => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => { server.close() })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const identity = await openIdentity(await makeDataDir(t), { random: systemRandom })
  await identity.found()
  await t.rejects(transportOf(identity, 'alpha', { listen: { host: '127.0.0.1', port } }).start(), { code: 'FABRIC_ERR_LISTEN_FAILED' })
  const elsewhere = transportOf(identity, 'alpha', { listen: { host: '192.0.2.1', port: 0 } })
  await t.rejects(elsewhere.start(), { code: 'FABRIC_ERR_LISTEN_FAILED' })
  t.same(splitAddress('no port'), undefined)
})

// References over the real rpc and value codec: shell --socket--> alpha --link--> beta.

import { spawnSync } from 'node:child_process'
import { test } from 'tap'
import { LIMITS, systemClock, systemRandom, uuidOfNode } from '../../fabric/base.ts'
import { createMemoryStore, createRegistry, createRpcPeer } from '../../fabric/mod.ts'
import type { Caller, MembershipEvent, RpcPeer, RpcRegistry } from '../../fabric/mod.ts'
import { createChannelPair } from '../../fabric/transport/memory-channel.ts'
import { METHODS, createCapabilities, createGate, createLedger, createLocalObjects, createMachine, createValueCodec, createWatches, localPolicy, makeReference, readListingStream, registerRmo, rmoKinds } from '../../rmo/mod.ts'
import type { PhysicalMachine, Session } from '../../rmo/mod.ts'
import { member, must, nodeId } from '../support/rmo-fabric.ts'

function connect(registry: RpcRegistry, caller: Caller): RpcPeer {
  const [near, far] = createChannelPair()
  createRpcPeer({ channel: far, clock: systemClock, registry, caller, ...(caller.via === 'socket' ? { principal: 'local:0' } : {}) })
  return createRpcPeer({ channel: near, clock: systemClock, registry: createRegistry(), caller: { via: 'link', node: nodeId(9), name: 'far' } })
}

function setup(t: { teardown(fn: () => void): unknown }) {
  const members = [member(1, 'alpha'), member(2, 'beta')]
  const listeners = new Set<(event: MembershipEvent) => void>()
  const registries = members.map(() => createRegistry())
  const peers: RpcPeer[] = []
  const link = connect(must(registries[1]), { via: 'link', node: nodeId(1), name: 'alpha' })
  peers.push(link)
  members.forEach((self, i) => {
    const machine = createMachine({ self: () => self, data: `/d/${self.name}`, clock: systemClock })
    const objects = createLocalObjects({ forwardsMax: LIMITS.directoryEntriesMax })
    objects.add({ kind: 'PhysicalMachine', uuid: uuidOfNode(self.id), local: machine })
    const capabilities = createCapabilities({
      self: self.id, members: () => members, objects, codec: createValueCodec(), clock: systemClock, random: systemRandom,
      ledger: createLedger({ store: createMemoryStore(), clock: systemClock }),
      gate: createGate({ policy: localPolicy(), log: () => {}, clock: systemClock }),
      callPeer: (_to, method, body, parent) => link.call(method, body, { parent }),
      openPeer: (_to, method, body, parent) => link.open(method, body, { parent }),
    })
    const watches = createWatches({
      capabilities, clock: systemClock,
      openPeer: (_to, method, body, parent) => link.open(method, body, { parent }),
      onMembership: (listener) => { listeners.add(listener); return () => { listeners.delete(listener) } },
    })
    registerRmo({ registry: must(registries[i]), capabilities, watches, codec: createValueCodec() })
    t.teardown(() => machine.stop())
  })
  const shell = connect(must(registries[0]), { via: 'socket', uid: 0 })
  peers.push(shell)
  // Channels in this process hold no handle, and idle connections do not hold a program: the test does.
  const held = setInterval(() => {}, 60_000)
  t.teardown(() => { clearInterval(held); for (const peer of peers) peer.close() })
  const session: Session = {
    peer: shell, kinds: rmoKinds, callOptions: () => ({}), collection: (_kind, records) => records,
    codec: createValueCodec({ reference: (record) => makeReference(record, session) }),
  }
  return { session, link, listeners, members }
}

async function machines({ session }: { readonly session: Session }): Promise<PhysicalMachine[]> {
  const listing = await readListingStream(session.peer.open(METHODS.list, { kind: 'PhysicalMachine', withAttributes: true }), 'PhysicalMachine', session.codec)
  return listing.references.map((record) => makeReference(record, session) as PhysicalMachine)
}

test('a shell lists, reads, runs and watches machines, near and far', async (t) => {
  const wired = setup(t)
  const pms = await machines(wired)
  t.same(pms.map((pm) => pm.name), ['alpha', 'beta'])
  for (const pm of pms) {
    t.type(pm.cpuRatio, 'number')
    t.match(await pm.info(), { name: pm.name, data: `/d/${pm.name}` })
    t.match(await pm.exec('cat', [], { input: 'é' }), { stdout: 'é', code: 0 })
    t.same(await pm.readFile('/proc/self/comm', { encoding: 'bytes' }).then((bytes) => bytes instanceof Uint8Array), true)
    t.ok((await pm.stats()).cores.length > 0)
    const watch = pm.watch({ sampleEveryMs: LIMITS.cpuSampleMs })
    // A busy machine may say that it is busy first.
    let event = await watch.next()
    while (event.value?.type === 'cpuAbove') event = await watch.next()
    t.match(event.value, { type: 'sampled', cpuRatio: Number, atMs: Number })
    t.equal(await pm.unwatch(), 1)
    t.match(await watch.next(), { done: true })
  }
})

test('errors keep their code, details and outcome across two hops', async (t) => {
  const pms = await machines(setup(t))
  for (const pm of pms) {
    await t.rejects(pm.exec('no-such'), { code: 'RMO_ERR_EXEC_NOT_FOUND', details: { file: 'no-such', machine: pm.name }, outcome: 'not-started' })
    await t.rejects(pm.readFile('/etc'), { code: 'RMO_ERR_FILE_FAILED', message: `/etc on ${pm.name} could not be read: it is a directory. Check the path and its permissions there.` })
    await t.rejects(pm.watch({ cpuAboveRatio: 9 }).next(), { code: 'RMO_ERR_ARGUMENT_INVALID' })
    await t.rejects(pm.exec('sleep', ['9'], { timeoutMs: 100 }), { code: 'RMO_ERR_EXEC_TIMEOUT', outcome: 'unknown' })
  }
})

test('a large result comes through, a larger argument does not', async (t) => {
  const beta = must((await machines(setup(t)))[1])
  const { stdout } = await beta.exec('head', ['-c', '3000000', '/dev/zero'], { maxBytes: 4_000_000 })
  t.equal(stdout.length, 3_000_000)
  await t.rejects(beta.exec('cat', [], { input: 'x'.repeat(LIMITS.execInputBytesMax + 1) }), { code: 'RMO_ERR_ARGUMENT_INVALID' })
  t.equal((await beta.exec('wc', ['-c'], { input: 'x'.repeat(LIMITS.execInputBytesMax) })).stdout.trim(), String(LIMITS.execInputBytesMax))
})

test('the end of the shell ends its program', async (t) => {
  const wired = setup(t)
  const beta = must((await machines(wired))[1])
  const mark = `6${process.pid}.5`
  const alive = (): boolean => spawnSync('pgrep', ['-f', `^sleep ${mark}$`]).status === 0
  const running = beta.exec('sleep', [mark])
  running.catch(() => {})
  while (!alive()) await new Promise((resolve) => setImmediate(resolve))
  ;(wired.session.peer as RpcPeer).close()
  await t.rejects(running, { code: /^FABRIC_ERR/ })
  while (alive()) await new Promise((resolve) => setImmediate(resolve))
  t.pass('the program on the far node is gone')
})

import { readdir } from 'node:fs/promises'
import { test } from 'tap'
import { systemRandom } from '../../../fabric/clock.ts'
import { LIMITS } from '../../../fabric/limits.ts'
import { openIdentity } from '../../../fabric/identity/store.ts'
import type { Lane } from '../../../fabric/transport/contract.ts'
import { forkNode, linkEnd, makeDataDir, nextFrame, nextLink, shiftedClock, startFounder, startJoiner, transportOf } from '../../support/transport-nodes.ts'

const LANES: readonly Lane[] = ['gossip', 'rpc', 'bulk']

test('two nodes meet over TCP, frames of every size arrive in order on every lane', async (t) => {
  const alpha = await startFounder(t)
  const beta = await startJoiner(t, alpha, 'beta')
  const accepted = nextLink(alpha)
  const link = await beta.dial(alpha.id, { addresses: alpha.addresses() })
  const other = await accepted
  t.equal(link.peer.name, 'alpha')
  t.same({ ...other.peer }, { id: beta.id, name: 'beta', version: '0.1.0', addresses: beta.addresses() })
  t.same(link.describe().rpc, 'tcp')
  const sizes = [0, 1, 100, LIMITS.recordBytes - 1, LIMITS.recordBytes, LIMITS.recordBytes + 1, LIMITS.frameBytesMax]
  for (const lane of LANES) {
    const received: Uint8Array[] = []
    const all = new Promise<void>((resolve) => other.onFrame(lane, (frame) => { if (received.push(frame) === sizes.length) resolve() }))
    const sent = sizes.map((size) => systemRandom.bytes(size))
    for (const frame of sent) link.send(lane, frame)
    await all
    t.ok(sent.every((frame, index) => Buffer.from(frame).equals(received[index] as Uint8Array)), lane)
  }
  t.equal(await beta.dial(alpha.id), link, 'a second dial gives the present link')
})

test('goodbye is heard as closed, after the frames sent before it, and a new dial makes a new link', async (t) => {
  const alpha = await startFounder(t)
  const beta = await startJoiner(t, alpha, 'beta')
  const accepted = nextLink(alpha)
  const link = await beta.dial(alpha.id, { addresses: alpha.addresses() })
  const other = await accepted
  const last = nextFrame(other, 'bulk'), ended = linkEnd(other)
  link.send('bulk', new Uint8Array(500_000))
  link.close()
  t.equal((await last).byteLength, 500_000)
  t.equal(await ended, 'closed')
  t.equal(alpha.link(beta.id), undefined)
  const again = await beta.dial(alpha.id)
  t.not(again, link)
  t.equal((await linkEnd(link)), 'closed', 'a late listener hears the reason too')
})

test('both sides dialling at once end with one link each, announced once', async (t) => {
  const alpha = await startFounder(t)
  const beta = await startJoiner(t, alpha, 'beta')
  for (let round = 0; round < 5; round++) {
    let announced = 0
    alpha.onLink(() => { announced++ })
    const [a, b] = await Promise.all([alpha.dial(beta.id, { addresses: beta.addresses() }), beta.dial(alpha.id, { addresses: alpha.addresses() })])
    t.equal(announced, 1)
    for (const lane of LANES) {
      const there = nextFrame(b, lane), back = nextFrame(a, lane)
      a.send(lane, Buffer.from(`to b ${round}`))
      b.send(lane, Buffer.from(`to a ${round}`))
      t.equal(Buffer.from(await there).toString(), `to b ${round}`)
      t.equal(Buffer.from(await back).toString(), `to a ${round}`)
    }
    const over = Promise.all([linkEnd(a), linkEnd(b)])
    a.close()
    t.same(await over, ['closed', 'closed'])
  }
})

test('back-pressure: send says wait above the limit, and drain comes', async (t) => {
  const alpha = await startFounder(t)
  const beta = await startJoiner(t, alpha, 'beta')
  const accepted = nextLink(alpha)
  const link = await beta.dial(alpha.id, { addresses: alpha.addresses() })
  let received = 0
  ;(await accepted).onFrame('rpc', () => { received++ })
  let sent = 0
  const drained = new Promise<void>((resolve) => link.onDrain('rpc', resolve))
  do sent++
  while (link.send('rpc', new Uint8Array(LIMITS.frameBytesMax)) && sent < 1_000)
  t.ok(sent < 1_000, `said wait after ${sent} MiB`)
  await drained
  const end = nextFrame(await accepted, 'bulk')
  link.send('bulk', new Uint8Array(1))
  await end
  t.ok(received > 0)
})

test('nobody there: a dial is refused with a typed error at once, and bounded where nothing answers', async (t) => {
  const alpha = await startFounder(t)
  const stranger = await openIdentity(await makeDataDir(t), { random: systemRandom })
  const beta = await startJoiner(t, alpha, 'beta')
  const gone = { addresses: beta.addresses() }
  await beta.close()
  await t.rejects(alpha.dial(beta.id, gone), { code: 'FABRIC_ERR_UNREACHABLE', retryable: true, outcome: 'not-started' })
  await t.rejects(alpha.dial(stranger.keys.id, { addresses: alpha.addresses(), timeoutMs: 300 }), { code: 'FABRIC_ERR_UNREACHABLE' }, 'another key listens there')
  await t.rejects(alpha.dial(stranger.keys.id, { timeoutMs: 300 }), { code: 'FABRIC_ERR_UNREACHABLE' }, 'no address known')
})

test('joining: expired, altered, foreign tickets and taken names are refused, each by its code', async (t) => {
  const alpha = await startFounder(t)
  const fresh = async (name = 'beta', options = {}) => transportOf(await openIdentity(await makeDataDir(t), { random: systemRandom }), name, options)
  await t.rejects((await fresh()).join(alpha.makeTicket({ lifetimeMs: -1 })), { code: 'FABRIC_ERR_TICKET_EXPIRED' })
  await t.rejects((await fresh()).join(alpha.makeTicket().slice(0, -3)), { code: 'FABRIC_ERR_TICKET_MALFORMED' })
  await t.rejects((await fresh('alpha')).join(alpha.makeTicket()), { code: 'FABRIC_ERR_NAME_TAKEN' })
  await t.rejects((await fresh()).start(), { code: 'FABRIC_ERR_FABRIC_MISSING' })
  const other = await startFounder(t, 'omega')
  await t.rejects(other.join(alpha.makeTicket()), { code: 'FABRIC_ERR_FABRIC_FOREIGN' })
  const ticket = other.makeTicket()
  await other.close()
  await t.rejects((await fresh()).join(ticket), { code: 'FABRIC_ERR_JOIN_FAILED', retryable: true })
})

test('members of different fabrics refuse each other', async (t) => {
  const alpha = await startFounder(t)
  const omega = await startFounder(t, 'omega')
  await t.rejects(omega.dial(alpha.id, { addresses: alpha.addresses(), timeoutMs: 2_000 }), { code: 'FABRIC_ERR_UNREACHABLE', cause: { code: 'FABRIC_ERR_HELLO_FOREIGN' } })
  t.equal([...alpha.links()].length, 0)
})

test('a clock an hour off joins, links, and admits others', async (t) => {
  const alpha = await startFounder(t)
  const early = await startJoiner(t, alpha, 'early', { clock: shiftedClock(-3_600_000) })
  const late = await startJoiner(t, early, 'late', { clock: shiftedClock(3_600_000) })
  t.equal((await late.dial(alpha.id, { addresses: alpha.addresses() })).peer.name, 'alpha')
  t.equal((await early.dial(alpha.id, { addresses: alpha.addresses() })).peer.name, 'alpha')
})

test('a killed process is noticed as reset, a stopped one is not', async (t) => {
  const alpha = await startFounder(t)
  const [killed, stopped] = await Promise.all(['killed', 'stopped'].map(async (name) => forkNode(t, { dataDir: await makeDataDir(t), name, ticket: alpha.makeTicket() })))
  if (killed === undefined || stopped === undefined) throw new Error('no children')
  const one = await alpha.dial(killed.id, { addresses: killed.addresses })
  const two = await alpha.dial(stopped.id, { addresses: stopped.addresses })
  let stoppedEnd: string | undefined
  two.onClose((why) => { stoppedEnd = why })
  stopped.child.kill('SIGSTOP')
  const end = linkEnd(one)
  killed.child.kill('SIGKILL')
  t.equal(await end, 'reset')
  t.equal(stoppedEnd, undefined)
  const echo = nextFrame(two, 'rpc')
  two.send('rpc', Buffer.from('are you there?'))
  stopped.child.kill('SIGCONT')
  t.equal(Buffer.from(await echo).toString(), 'are you there?')
})

test('a restarted peer, same key and other process, replaces its link', async (t) => {
  const alpha = await startFounder(t)
  const dataDir = await makeDataDir(t)
  const first = await forkNode(t, { dataDir, name: 'beta', ticket: alpha.makeTicket() })
  const old = await alpha.dial(first.id, { addresses: first.addresses })
  // Stopped, so that nothing but the new process's hello can tell that the old one is over.
  first.child.kill('SIGSTOP')
  const end = linkEnd(old)
  const identity = await openIdentity(dataDir, { random: systemRandom })
  const second = transportOf(identity, 'beta')
  t.teardown(() => second.close())
  await second.start()
  t.equal(second.id, first.id)
  const announced = nextLink(alpha)
  await second.dial(alpha.id, { addresses: alpha.addresses() })
  t.equal(await end, 'reset')
  t.equal((await announced).peer.addresses[0], second.addresses()[0])
})

test('close leaves nothing behind: a process with an overlay ends by itself', async (t) => {
  const dataDir = await makeDataDir(t)
  const { child, order } = await forkNode(t, { dataDir, name: 'alpha', overlay: 'full' })
  const exit = new Promise((resolve) => child.once('exit', resolve))
  void order({ do: 'close' })
  t.equal(await exit, 0)
  t.ok((await readdir(dataDir)).includes('fabric.json'))
})

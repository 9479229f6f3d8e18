// What a listener must bear from those who are not members: garbage, oversize, half-sent and silent
// connections, on a real socket. Honest members must not notice.

import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { test } from 'tap'
import { fc } from '../../support/property.ts'
import { seededRandom, systemClock, systemRandom } from '../../../fabric/clock.ts'
import { generateKeys } from '../../../fabric/identity/keys.ts'
import { LIMITS } from '../../../fabric/limits.ts'
import { splitAddress } from '../../../fabric/transport/address.ts'
import { dialTcp } from '../../../fabric/transport/listener.ts'
import type { Wire } from '../../../fabric/transport/wire.ts'
import { startFounder, startJoiner } from '../../support/transport-nodes.ts'
import type { HyperswarmTransport } from '../../../fabric/transport/hyperswarm.ts'

interface Teardown { teardown(after: () => void): void }

function knock(t: Teardown, node: HyperswarmTransport): Socket {
  const target = splitAddress(node.addresses()[0] ?? '')
  if (target === undefined) throw new Error('no address')
  const socket = connect(target)
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  return socket
}

const ended = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('close', () => resolve()))

/** A Noise stream by a key that nobody certified. */
const uncertified = (node: HyperswarmTransport): Promise<Wire> => new Promise((resolve, reject) => {
  dialTcp({
    keys: generateKeys(systemRandom), peer: node.id, address: node.addresses()[0] ?? '', from: '127.0.0.1', timeoutMs: 2_000, clock: systemClock,
    opened: resolve, failed: (why) => reject(new Error(why)),
  })
})

const wireEnd = (wire: Wire): Promise<string[]> => new Promise((resolve) => {
  const heard: string[] = []
  wire.handle({ drain: () => {}, frame: (_channel, frame) => { heard.push(Buffer.from(frame).toString()) }, close: (how) => resolve([how, ...heard]) })
})

test('200 connections that say nothing do not keep an honest member out', async (t) => {
  const alpha = await startFounder(t)
  const beta = await startJoiner(t, alpha, 'beta')
  const silent = Array.from({ length: 200 }, () => knock(t, alpha))
  const closed = silent.map(ended)
  await Promise.all(silent.map((socket) => new Promise((resolve) => socket.once('connect', resolve))))
  // Sooner than the silent ones are cut for their silence.
  const link = await beta.dial(alpha.id, { addresses: alpha.addresses(), timeoutMs: LIMITS.helloTimeoutMs / 2 })
  t.equal(link.peer.name, 'alpha')
  await Promise.all(closed)
  t.pass('all of them were cut')
  t.ok(beta.link(alpha.id) !== undefined)
})

test('garbage, oversize and half-sent handshakes end that connection and nothing else', async (t) => {
  const alpha = await startFounder(t)
  const beta = await startJoiner(t, alpha, 'beta')
  const link = await beta.dial(alpha.id, { addresses: alpha.addresses() })
  const random = seededRandom(3)
  const openings: [string, Uint8Array][] = [
    ['http', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['zeros', Buffer.alloc(4_096)],
    ['a length over the cap', Buffer.from([0xff, 0xff, 1, 2, 3])],
    ['a handshake-sized random message', Buffer.concat([Buffer.from([0, 48]), random.bytes(48)])],
    ['random bytes', random.bytes(10_000)],
    ['half a message, then silence', Buffer.from([0, 48, 1, 2])],
  ]
  await Promise.all(openings.map(async ([what, bytes]) => {
    const socket = knock(t, alpha)
    const end = ended(socket)
    socket.write(bytes)
    await end
    t.pass(what)
  }))
  t.equal(beta.link(alpha.id), link)
})

test('a proved key without a certificate is refused, whatever it says', async (t) => {
  const alpha = await startFounder(t)
  const cases: [string, (wire: Wire) => void][] = [
    ['frames before the hello', (wire) => void wire.send('rpc', Buffer.from('call me'))],
    ['not JSON', (wire) => void wire.send('control', Buffer.from('\0\0\0'))],
    ['a ready out of turn', (wire) => void wire.send('control', Buffer.from('{"type":"ready"}'))],
    ['a hello above the cap', (wire) => void wire.send('control', new Uint8Array(LIMITS.helloBytesMax + 1))],
    ['a frame of another size than it says', (wire) => void wire.send('control', new Uint8Array(LIMITS.frameBytesMax))],
  ]
  for (const [what, say] of cases) {
    const wire = await uncertified(alpha)
    const end = wireEnd(wire)
    say(wire)
    t.equal((await end)[0], 'reset', what)
  }
  t.equal([...alpha.links()].length, 0)
})

test('fuzzed hellos never bring up a link', async (t) => {
  const alpha = await startFounder(t)
  const value = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null), fc.array(fc.string(), { maxLength: 3 }), fc.constant('ab'.repeat(32)))
  const message = fc.record({
    type: fc.constantFrom('hello', 'welcome', 'ready', 'join', 'admitted', 'refused', 'other'), stream: fc.constantFrom('rpc', 'bulk', 'udx', 7),
    protocol: value, fabric: value, chain: value, name: value, version: value, addresses: value, session: value, link: value, ticket: value,
  }, { requiredKeys: ['type'] })
  await fc.assert(fc.asyncProperty(message, async (hello) => {
    const wire = await uncertified(alpha)
    const end = wireEnd(wire)
    wire.send('control', Buffer.from(JSON.stringify(hello)))
    await end
    return [...alpha.links()].length === 0
  }), { numRuns: 25 })
})

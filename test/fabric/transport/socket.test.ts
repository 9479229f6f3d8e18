// Frames over a real Unix socket, and the local door: who gets in, what is refused.

import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { systemClock } from '../../../fabric/clock.ts'
import { LIMITS } from '../../../fabric/limits.ts'
import type { FrameChannel } from '../../../fabric/rpc/contract.ts'
import { createRpcPeer } from '../../../fabric/rpc/peer.ts'
import { createRegistry } from '../../../fabric/rpc/registry.ts'
import { SimClock } from '../../../fabric/sim-clock.ts'
import { FrameParser } from '../../../fabric/transport/frame-parser.ts'
import { connectLocal, listenLocal } from '../../../fabric/transport/local.ts'
import { createSocketChannel } from '../../../fabric/transport/socket.ts'
import { failure } from '../../support/rpc-pair.ts'

async function directory(t: { after(clean: () => Promise<void>): void }): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'kumoi-socket-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

test('any cut of the bytes gives the same frames', (t) => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 10 }), fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (frames, cuts) => {
    const bytes = Buffer.concat(frames.flatMap((frame) => {
      const head = Buffer.alloc(4)
      head.writeUInt32BE(frame.length)
      return [head, frame]
    }))
    const got: string[] = []
    const parser = new FrameParser((frame) => got.push(Buffer.from(frame).toString('hex')))
    for (let at = 0, i = 0; at < bytes.length; i++) {
      const to = Math.min(bytes.length, at + (cuts[i % cuts.length] ?? 1))
      t.equal(parser.take(bytes.subarray(at, to)), undefined)
      at = to
    }
    t.strictSame(got, frames.map((frame) => Buffer.from(frame).toString('hex')))
    t.equal(parser.unfinished, false)
    t.equal(parser.frames, frames.length)
  }), { numRuns: 50 })
  t.end()
})

test('calls over a Unix socket, small and large, both ways; mode 0600', async (t) => {
  const path = join(await directory(t), 'node.sock')
  const registry = createRegistry()
  registry.method('echo', (body) => body)
  registry.method('uid', (_body, context) => context.principal)
  const door = await listenLocal(path, systemClock, (channel, caller) => {
    createRpcPeer({ channel, caller, registry, clock: systemClock, principal: `local:${caller.uid}` })
  })
  t.equal((await stat(path)).mode & 0o777, 0o600)
  const peer = createRpcPeer({ channel: await connectLocal(path, systemClock), caller: { via: 'socket', uid: 0 }, registry: createRegistry(), clock: systemClock })
  const big = new Uint8Array(5_000_000).map((_, i) => i)
  const [small, large] = await Promise.all([peer.call('echo', 'x'), peer.call('echo', big)])
  t.equal(small, 'x')
  t.ok(Buffer.from(large as Uint8Array).equals(big))
  t.equal(await peer.call('uid', 0), `local:${process.getuid?.() ?? 0}`)
  peer.close()
  await door.close()
  t.match(await failure(connectLocal(path, systemClock)), { code: 'FABRIC_ERR_NO_NODE' })
})

test('a large stream flows under back-pressure and is whole', async (t) => {
  const path = join(await directory(t), 'node.sock')
  const registry = createRegistry()
  const piece = new Uint8Array(200_000).fill(3)
  registry.stream('source', async (_body, _context, stream) => {
    for (let i = 0; i < 200; i++) await stream.write(piece)
    return 'done'
  })
  const door = await listenLocal(path, systemClock, (channel, caller) => { createRpcPeer({ channel, caller, registry, clock: systemClock }) })
  const peer = createRpcPeer({ channel: await connectLocal(path, systemClock), caller: { via: 'socket', uid: 0 }, registry: createRegistry(), clock: systemClock })
  const stream = peer.open('source', 0)
  let bytes = 0
  for await (const message of stream) bytes += (message as Uint8Array).length
  t.equal(bytes, 200 * piece.length)
  t.equal(await stream.result, 'done')
  peer.close()
  await door.close()
})

test('a stale socket file is replaced; a live one is refused; other files are left alone', async (t) => {
  const at = await directory(t)
  const path = join(at, 'node.sock')
  spawnSync(process.execPath, ['-e', 'require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))', path])
  t.ok((await stat(path)).isSocket(), 'a dead node left its socket')
  t.match(await failure(connectLocal(path, systemClock)), { code: 'FABRIC_ERR_NO_NODE' })
  const door = await listenLocal(path, systemClock, () => undefined)
  t.equal((await stat(path)).mode & 0o777, 0o600)
  t.match(await failure(listenLocal(path, systemClock, () => undefined)), { code: 'FABRIC_ERR_SOCKET_TAKEN' })
  await door.close()
  const file = join(at, 'file')
  await writeFile(file, 'precious')
  t.match(await failure(listenLocal(file, systemClock, () => undefined)), { code: 'FABRIC_ERR_SOCKET_PATH' })
  t.match(await failure(connectLocal(file, systemClock)), { code: 'FABRIC_ERR_SOCKET_PATH' })
  t.equal((await stat(file)).size, 8)
  t.match(await failure(connectLocal(join(at, 'none'), systemClock)), { code: 'FABRIC_ERR_NO_NODE' })
  t.match(await failure(listenLocal(join(at, 'x'.repeat(120)), systemClock, () => undefined)), { code: 'FABRIC_ERR_SOCKET_PATH' })
})

/** A channel on one end and a bare socket on the other. */
async function bareEnd(t: { after(clean: () => Promise<void>): void }, clock = new SimClock()) {
  const path = join(await directory(t), 's')
  const { promise, resolve } = Promise.withResolvers<FrameChannel>()
  const server = createServer((socket) => resolve(createSocketChannel(socket, clock))).listen(path)
  const bare = connect(path)
  const channel = await promise
  server.close()
  const frames: Uint8Array[] = []
  channel.onFrame((frame) => frames.push(frame))
  const closed = new Promise<Error | undefined>((done) => channel.onClose(done))
  bare.on('error', () => undefined)
  return { clock, bare, channel, frames, closed }
}
const head = (bytes: number): Buffer => { const buffer = Buffer.alloc(4); buffer.writeUInt32BE(bytes); return buffer }

test('oversize and empty frames close the channel with the reason', async (t) => {
  for (const bytes of [LIMITS.frameBytesMax + 1, 0xffff_ffff, 0]) {
    const { bare, closed } = await bareEnd(t)
    bare.write(head(bytes))
    t.match(await closed, { code: 'FABRIC_ERR_FRAME_TOO_LARGE' })
  }
})

test('a frame that is begun and not finished closes the channel, however slowly it drips', async (t) => {
  const { clock, bare, channel, closed } = await bareEnd(t)
  bare.write(head(1_000))
  for (let drips = 0; drips < 5; drips++) {
    await new Promise<void>((done) => bare.write(Buffer.of(1), () => setImmediate(() => setImmediate(done))))
    clock.advance(LIMITS.frameTimeoutMs / 4)
  }
  // Each drip did arrive within the time, the frame as a whole did not.
  t.equal(clock.pending, 0)
  bare.destroy()
  t.match(await closed, { code: 'FABRIC_ERR_FRAME_TIMEOUT' })
  t.equal(channel.send('rpc', Buffer.of(1)), true, 'frames to a closed channel are dropped')
})

test('a peer that goes in the middle of a frame just closes; nothing is delivered', async (t) => {
  const { bare, frames, closed } = await bareEnd(t)
  bare.end(Buffer.concat([head(1_000), Buffer.alloc(500)]))
  t.equal(await closed, undefined)
  t.equal(frames.length, 0)
})

test('a reader that stops makes the channel full; drain tells when to go on', async (t) => {
  const { bare, channel } = await bareEnd(t)
  bare.pause()
  const drained = new Promise<void>((done) => channel.onDrain(done))
  let sent = 0
  while (channel.send('bulk', new Uint8Array(100_000)) && sent < 1_000) sent++
  t.ok(sent < 20, `${sent} frames before full`)
  bare.resume()
  await drained
  t.equal(channel.send('bulk', Buffer.of(1)), true)
  bare.destroy()
})

test('close says what was queued first', async (t) => {
  const { bare, channel, closed } = await bareEnd(t)
  const got: Buffer[] = []
  bare.on('data', (chunk) => got.push(chunk))
  channel.send('rpc', Buffer.from('bye'))
  channel.close()
  await Promise.all([closed, new Promise((done) => bare.once('close', done))])
  t.equal(Buffer.concat(got).toString('latin1'), '\0\0\0\x03bye')
})

// Bench of the data plane between two processes on loopback, ours beside its peers in one run.
//
// A round measures each contender once, in turn (A B C D, A B C D): small echo, 1 MiB echo, 256 MiB stream, over
// our 'rpc' and 'bulk' lanes, @hyperswarm/secret-stream over TCP, a hyperdht stream (Noise/UDX), and plain TCP.

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import NoiseSecretStream from '@hyperswarm/secret-stream'
import DHT from 'hyperdht'
import { systemRandom } from '../../fabric/clock.ts'
import { openIdentity } from '../../fabric/identity/store.ts'
import type { Lane } from '../../fabric/transport/contract.ts'
import { transportOf } from '../support/transport-nodes.ts'
import { high, low, standalone, withScope } from './figure.ts'
import type { Bench, Figure, Scope } from './figure.ts'

const SMALL = 100
const MIB = 1024 * 1024
const STREAM_MIB = 256
const PIECE = 64 * 1024
const ROUNDS = 4
const ECHO_MS = 5
const STREAM_MIB_PER_S = 300
const WHY = 'not profiled; beside plain TCP the rest is encryption and records, and the bare secret-stream of the same run is no faster'
/** Our frames in the stream: what a call's fragments are. */
const FRAME = 256 * 1024

/** One contender: sends bytes in pieces; `received` counts what came back. */
interface Contender {
  readonly name: string
  readonly piece: number
  send(bytes: Uint8Array): boolean
  drained(): Promise<void>
  onBytes(receive: (count: number) => void): void
  /** Tells the other end to echo, or to count `total` bytes and then answer one. */
  mode(echo: boolean): Promise<void>
}

interface Sink { echo: boolean; got: number }

/** The far end of every contender: echoes, or swallows and answers one byte per 256 MiB. */
function serve(sink: Sink, bytes: Uint8Array, reply: (bytes: Uint8Array) => void): void {
  if (sink.echo) return reply(bytes)
  sink.got += bytes.byteLength
  if (sink.got < STREAM_MIB * MIB) return
  sink.got = 0
  reply(new Uint8Array(1))
}

async function child(): Promise<void> {
  const sink: Sink = { echo: true, got: 0 }
  const tell = (message: object): void => { process.send?.(message) }
  const { dataDir, ticket } = JSON.parse(process.argv[3] ?? '{}') as { dataDir: string; ticket: string }
  const transport = transportOf(await openIdentity(dataDir, { random: systemRandom }), 'beta')
  await transport.join(ticket)
  transport.onLink((link) => {
    for (const lane of ['rpc', 'bulk'] as const) link.onFrame(lane, (frame) => serve(sink, frame, (bytes) => void link.send(lane, bytes)))
  })
  await transport.start()
  const attach = (stream: Duplex): void => {
    stream.on('error', () => {})
    stream.on('data', (bytes: Uint8Array) => serve(sink, bytes, (reply) => void stream.write(reply)))
  }
  const listen = (onSocket: (socket: Socket) => void): Promise<number> => new Promise((resolve) => {
    const server = createServer({ noDelay: true, highWaterMark: MIB }, onSocket)
    server.listen(0, '127.0.0.1', () => { resolve((server.address() as { port: number }).port) })
  })
  const tcp = await listen(attach)
  const keyPair = NoiseSecretStream.keyPair()
  const secret = await listen((socket) => attach(new NoiseSecretStream(false, socket, { pattern: 'XX', keyPair })))
  const dht = DHT.bootstrapper(40_000 + Math.floor(Math.random() * 20_000), '127.0.0.1', { bootstrap: [] })
  const server = (dht as unknown as { createServer(onStream: (stream: Duplex) => void): { listen(keys: object): Promise<void> } }).createServer(attach)
  await server.listen(keyPair)
  process.on('message', (message) => {
    sink.echo = message === 'echo'
    sink.got = 0
    tell({})
  })
  process.on('disconnect', () => process.exit(0))
  tell({ id: transport.id, addresses: transport.addresses(), tcp, secret, udxKey: keyPair.publicKey.toString('hex'), dht: dht.address().port })
}

const answer = <T>(process: ChildProcess): Promise<T> => new Promise((resolve) => process.once('message', (message) => resolve(message as T)))

async function echo(to: Contender, size: number, count: number): Promise<number[]> {
  await to.mode(true)
  const bytes = new Uint8Array(size)
  const times: number[] = []
  for (let round = 0; round < count; round++) {
    const startMs = performance.now()
    await new Promise<void>((resolve) => {
      let got = 0
      to.onBytes((more) => { if ((got += more) >= size) resolve() })
      for (let at = 0; at < size; at += to.piece) to.send(bytes.subarray(at, at + to.piece))
    })
    times.push(performance.now() - startMs)
  }
  return times
}

/** MiB per second. */
async function stream(to: Contender, piece: number): Promise<number> {
  await to.mode(false)
  const done = new Promise<void>((resolve) => to.onBytes(() => resolve()))
  const bytes = new Uint8Array(piece)
  const startMs = performance.now()
  for (let at = 0; at < STREAM_MIB * MIB; at += piece) if (!to.send(bytes)) await to.drained()
  await done
  return STREAM_MIB / ((performance.now() - startMs) / 1_000)
}

async function parent(scope: Scope): Promise<Figure[]> {
  const dirs = [await mkdtemp(join(tmpdir(), 'kumoi-bench-')), await mkdtemp(join(tmpdir(), 'kumoi-bench-'))] as const
  scope.defer(() => Promise.all(dirs.map((dir) => rm(dir, { recursive: true, force: true }))))
  const identity = await openIdentity(dirs[0], { random: systemRandom })
  await identity.found()
  const alpha = transportOf(identity, 'alpha')
  scope.defer(() => alpha.close())
  await alpha.start()
  const far = fork(fileURLToPath(import.meta.url), ['child', JSON.stringify({ dataDir: dirs[1], ticket: alpha.makeTicket() })])
  scope.defer(() => { if (far.connected) far.disconnect() })
  const peer = await answer<{ id: string; addresses: string[]; tcp: number; secret: number; udxKey: string; dht: number }>(far)
  const mode = async (isEcho: boolean): Promise<void> => {
    const set = answer(far)
    far.send(isEcho ? 'echo' : 'sink')
    await set
  }

  const link = await alpha.dial(peer.id, { addresses: peer.addresses })
  const lane = (which: Lane): Contender => {
    let receive: (count: number) => void = () => {}
    link.onFrame(which, (frame) => receive(frame.byteLength))
    return {
      name: `kumoi ${which}`, piece: MIB, mode,
      send: (bytes) => link.send(which, bytes),
      drained: () => new Promise((resolve) => link.onDrain(which, resolve)),
      onBytes: (take) => { receive = take },
    }
  }
  const duplex = (name: string, over: Duplex): Contender => {
    let receive: (count: number) => void = () => {}
    over.on('data', (bytes: Uint8Array) => receive(bytes.byteLength))
    return {
      name, piece: PIECE, mode,
      send: (bytes) => over.write(bytes),
      drained: () => new Promise((resolve) => over.once('drain', () => resolve())),
      onBytes: (take) => { receive = take },
    }
  }
  const connect = (port: number): Promise<Socket> => new Promise((resolve) => {
    const socket = new Socket({ highWaterMark: MIB } as object)
    socket.setNoDelay(true).connect(port, '127.0.0.1', () => resolve(socket))
  })
  const plain = await connect(peer.tcp)
  const secret = new NoiseSecretStream(true, await connect(peer.secret), { pattern: 'XX', keyPair: NoiseSecretStream.keyPair() })
  await secret.opened
  const dht = new DHT({ bootstrap: [{ host: '127.0.0.1', port: peer.dht }], host: '127.0.0.1', port: [0, 1], firewalled: false })
  const udx = dht.connect(Buffer.from(peer.udxKey, 'hex'), { relayAddresses: [{ host: '127.0.0.1', port: peer.dht }] })
  const udxOpen = await Promise.race([udx.opened, new Promise<boolean>((resolve) => { setTimeout(resolve, 5_000, false) })])

  const contenders = [lane('rpc'), lane('bulk'), duplex('secret-stream over TCP', secret), ...(udxOpen ? [duplex('hyperdht Noise/UDX', udx)] : []), duplex('plain TCP', plain)]
  const small = new Map<string, number[]>(), big = new Map<string, number[]>(), flow = new Map<string, number[]>()
  const note = (into: Map<string, number[]>, name: string, values: number[]): void => { into.set(name, [...(into.get(name) ?? []), ...values]) }
  for (let round = 0; round < ROUNDS; round++) {
    for (const contender of contenders) note(small, contender.name, await echo(contender, SMALL, 500))
    for (const contender of contenders) note(big, contender.name, await echo(contender, MIB, 20))
    for (const contender of contenders) note(flow, contender.name, [await stream(contender, contender.name.startsWith('kumoi') ? FRAME : PIECE)])
  }
  udx.destroy()
  await dht.destroy({ force: true })
  const of = (values: Map<string, number[]>, name: string, spread: typeof low) => spread(values.get(name) ?? [])
  const others = (values: Map<string, number[]>, ours: string, spread: typeof low) => [...values.keys()].filter((name) => name !== ours).map((name) => ({ name, ...of(values, name, spread) }))
  const echoed = of(big, 'kumoi bulk', low), streamed = of(flow, 'kumoi bulk', high)
  return [
    { name: 'data-echo', what: 'data plane between two nodes, 1 MiB echo', toReach: `p50 <= ${ECHO_MS} ms`, unit: 'ms', ...echoed, peers: others(big, 'kumoi bulk', low), reached: echoed.p50 <= ECHO_MS, why: WHY },
    {
      name: 'data-stream', what: `data plane between two nodes, ${STREAM_MIB} MiB stream`, toReach: `>= ${STREAM_MIB_PER_S} MiB/s`, unit: 'MiB/s', ...streamed, peers: others(flow, 'kumoi bulk', high), reached: streamed.p50 >= STREAM_MIB_PER_S,
      why: WHY,
    },
    { name: 'small-echo', what: `${SMALL} bytes echo on the rpc lane`, unit: 'ms', ...of(small, 'kumoi rpc', low), peers: others(small, 'kumoi rpc', low) },
  ]
}

export const bench: Bench = { name: 'data-plane', run: () => withScope(parent) }

if (import.meta.main) {
  if (process.argv[2] === 'child') await child()
  else await standalone(bench)
}

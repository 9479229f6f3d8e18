// The bare encrypted round trip: an echo process behind @hyperswarm/secret-stream over TCP, which is what
// nodes speak, and behind a hyperdht stream (Noise over UDX).

import { createServer, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import NoiseSecretStream from '@hyperswarm/secret-stream'
import DHT from 'hyperdht'
import type { Scope } from '../figure.ts'
import { forkPeer, peerArgument } from './child.ts'

/** About the size of a small call. */
const BYTES = 128
const UDX_PATIENCE_MS = 5_000
const PORT_FIRST = 40_000
const PORTS = 20_000

interface Ports { readonly tcp: number; readonly udxKey: string; readonly dht: number }
type Listening = { createServer(onStream: (stream: Duplex) => void): { listen(keys: object): Promise<void> } }

export interface NoiseEcho { readonly overTcp: () => Promise<void>; readonly overUdx: (() => Promise<void>) | undefined }

export async function openNoise(scope: Scope): Promise<NoiseEcho> {
  const { first } = await forkPeer<Ports>(scope, './noise.ts', {})
  const socket = await new Promise<Socket>((resolve) => {
    const made = new Socket()
    made.setNoDelay(true).connect(first.tcp, '127.0.0.1', () => resolve(made))
  })
  const tcp = new NoiseSecretStream(true, socket, { pattern: 'XX', keyPair: NoiseSecretStream.keyPair() })
  tcp.on('error', () => {})
  scope.defer(() => tcp.destroy())
  await tcp.opened
  const dht = new DHT({ bootstrap: [{ host: '127.0.0.1', port: first.dht }], host: '127.0.0.1', port: [0, 1], firewalled: false })
  scope.defer(() => dht.destroy({ force: true }))
  const udx = dht.connect(Buffer.from(first.udxKey, 'hex'), { relayAddresses: [{ host: '127.0.0.1', port: first.dht }] })
  udx.on('error', () => {})
  const open = await Promise.race([udx.opened, new Promise<boolean>((resolve) => { setTimeout(resolve, UDX_PATIENCE_MS, false) })])
  return { overTcp: bounce(tcp), overUdx: open ? bounce(udx) : undefined }
}

function bounce(stream: Duplex): () => Promise<void> {
  const bytes = Buffer.alloc(BYTES)
  let got = 0
  let back: () => void = () => {}
  stream.on('data', (piece: Uint8Array) => { if ((got += piece.byteLength) >= BYTES) back() })
  return () => new Promise((resolve) => {
    got = 0
    back = resolve
    stream.write(bytes)
  })
}

async function serve(): Promise<void> {
  const echo = (stream: Duplex): void => {
    stream.on('error', () => {})
    stream.on('data', (bytes: Uint8Array) => { stream.write(bytes) })
  }
  const keyPair = NoiseSecretStream.keyPair()
  const server = createServer({ noDelay: true }, (socket) => echo(new NoiseSecretStream(false, socket, { pattern: 'XX', keyPair })))
  const tcp = await new Promise<number>((resolve) => { server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)) })
  const dht = DHT.bootstrapper(PORT_FIRST + Math.floor(Math.random() * PORTS), '127.0.0.1', { bootstrap: [] })
  await (dht as unknown as Listening).createServer(echo).listen(keyPair)
  process.send?.({ tcp, udxKey: keyPair.publicKey.toString('hex'), dht: dht.address().port } satisfies Ports)
}

if (import.meta.main && peerArgument<object>() !== undefined) await serve()

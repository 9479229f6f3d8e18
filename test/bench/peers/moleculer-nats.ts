// Moleculer over NATS: nats-server on a free port of 127.0.0.1, N server processes, the caller's broker in this process.

import { spawn, spawnSync } from 'node:child_process'
import { createServer } from 'node:net'
import type { Scope } from '../figure.ts'
import { forkPeer, peerArgument, stopWith } from './child.ts'

export const NATS_ABSENT = 'absent: apt-get install nats-server'

interface Broker {
  start(): Promise<void>
  stop(): Promise<void>
  createService(schema: object): void
  waitForServices(names: readonly string[]): Promise<unknown>
  call(action: string, params: object, options?: { readonly nodeID: string }): Promise<unknown>
}
type Brokers = { readonly ServiceBroker: new (options: object) => Broker }
interface ServerArgument { readonly nodeID: string; readonly port: number }

export const hasNats = (): boolean => spawnSync('nats-server', ['--version'], { stdio: 'ignore', env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` } }).status === 0

async function makeBroker({ nodeID, port }: ServerArgument): Promise<Broker> {
  const { default: { ServiceBroker } } = await import('moleculer') as unknown as { readonly default: Brokers }
  return new ServiceBroker({ nodeID, logger: false, transporter: `nats://127.0.0.1:${port}`, registry: { preferLocal: false } })
}

const freePort = (): Promise<number> => new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { port: number }
    server.close(() => resolve(port))
  })
})

export interface MoleculerNats {
  /** To one server. */
  callFirst(n: number): Promise<unknown>
  /** To whichever is next. */
  call(n: number): Promise<unknown>
}

export async function openMoleculerNats(scope: Scope, servers: number): Promise<MoleculerNats> {
  const port = await freePort()
  stopWith(scope, spawn('nats-server', ['-a', '127.0.0.1', '-p', String(port)], { stdio: 'ignore', env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` } }))
  const ids = Array.from({ length: servers }, (_, i) => `s${i}`)
  await Promise.all(ids.map((nodeID) => forkPeer(scope, './moleculer-nats.ts', { nodeID, port })))
  const broker = await makeBroker({ nodeID: 'caller', port })
  scope.defer(() => broker.stop())
  await broker.start()
  await broker.waitForServices(['bench'])
  for (const nodeID of ids) {
    for (;;) {
      if (await broker.call('bench.add', { n: 1 }, { nodeID }).then(() => true, () => false)) break
      await new Promise((resolve) => { setTimeout(resolve, 200) })
    }
  }
  return { callFirst: (n) => broker.call('bench.add', { n }, { nodeID: 's0' }), call: (n) => broker.call('bench.add', { n }) }
}

const argument = import.meta.main ? peerArgument<ServerArgument>() : undefined
if (argument !== undefined) {
  const broker = await makeBroker(argument)
  broker.createService({ name: 'bench', actions: { add: ({ params }: { readonly params: { readonly n: number } }) => params.n + 1 } })
  await broker.start()
  process.send?.('ready')
}

// Moleculer over its TCP transporter: N server processes, the caller's broker in this one. Every server
// answers its own name, as a Kumoi closure over `pm.name` does.

import { createServer } from 'node:net'
import type { Scope } from '../figure.ts'
import { forkPeer, peerArgument } from './child.ts'

interface Broker {
  start(): Promise<void>
  stop(): Promise<void>
  createService(schema: object): void
  waitForServices(names: readonly string[]): Promise<unknown>
  call(action: string, params: object | null, options: { readonly nodeID: string }): Promise<unknown>
  mcall(calls: readonly { readonly action: string; readonly options: { readonly nodeID: string } }[]): Promise<unknown[]>
  readonly registry: { getNodeList(options: { readonly onlyAvailable: boolean }): readonly unknown[] }
}
type Brokers = { readonly ServiceBroker: new (options: object) => Broker }

interface ServerArgument { readonly nodeID: string; readonly port: number; readonly urls: readonly string[] }

async function makeBroker({ nodeID, port, urls }: ServerArgument): Promise<Broker> {
  const { default: { ServiceBroker } } = await import('moleculer') as unknown as { readonly default: Brokers }
  return new ServiceBroker({ nodeID, logger: false, transporter: { type: 'TCP', options: { udpDiscovery: false, useHostname: false, port, urls } } })
}

const freePort = (): Promise<number> => new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { port: number }
    server.close(() => resolve(port))
  })
})

export interface Moleculer {
  /** One call to the first server. */
  call(): Promise<unknown>
  /** One call to every server, gathered. */
  callAll(): Promise<unknown[]>
}

export async function openMoleculer(scope: Scope, servers: number): Promise<Moleculer> {
  const ids = Array.from({ length: servers + 1 }, (_, i) => (i === 0 ? 'caller' : `m${i}`))
  const ports: number[] = []
  for (const _ of ids) ports.push(await freePort())
  const urls = ids.map((nodeID, i) => `127.0.0.1:${ports[i]}/${nodeID}`)
  const argument = (i: number): ServerArgument => ({ nodeID: ids[i] ?? '', port: ports[i] ?? 0, urls })
  for (let i = 1; i < ids.length; i += 4) {
    await Promise.all(ids.slice(i, i + 4).map((_, k) => forkPeer(scope, './moleculer.ts', argument(i + k))))
  }
  const broker = await makeBroker(argument(0))
  scope.defer(() => broker.stop())
  await broker.start()
  await broker.waitForServices(['bench'])
  const calls = ids.slice(1).map((nodeID) => ({ action: 'bench.name', options: { nodeID } }))
  // The list of services comes by gossip, node by node.
  for (;;) {
    const answered = await broker.mcall(calls).then(() => true, () => false)
    if (answered) break
    await new Promise((resolve) => { setTimeout(resolve, 200) })
  }
  return { call: () => broker.call('bench.name', null, { nodeID: ids[1] ?? '' }), callAll: () => broker.mcall(calls) }
}

const argument = import.meta.main ? peerArgument<ServerArgument>() : undefined
if (argument !== undefined) {
  const broker = await makeBroker(argument)
  broker.createService({ name: 'bench', actions: { name: () => argument.nodeID } })
  await broker.start()
  process.send?.('ready')
}

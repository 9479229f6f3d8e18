// Real transports on loopback for tests: data directories, a founder, joiners, and their removal.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock, systemRandom } from '../../fabric/clock.ts'
import type { Clock } from '../../fabric/clock.ts'
import { openIdentity } from '../../fabric/identity/store.ts'
import type { Identity } from '../../fabric/identity/store.ts'
import type { Link } from '../../fabric/transport/contract.ts'
import { createHyperswarmTransport } from '../../fabric/transport/hyperswarm.ts'
import type { HyperswarmTransport, HyperswarmTransportOptions } from '../../fabric/transport/hyperswarm.ts'

interface Teardown { teardown(after: () => void | Promise<void>): void }

export type NodeOptions = Partial<Omit<HyperswarmTransportOptions, 'identity' | 'name'>>

export async function makeDataDir(t: Teardown): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'kumoi-test-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  return dir
}

export function transportOf(identity: Identity, name: string, options: NodeOptions = {}): HyperswarmTransport {
  return createHyperswarmTransport({
    identity, name, version: '0.1.0', listen: { host: '127.0.0.1', port: 0 },
    clock: systemClock, random: systemRandom, overlay: 'direct', ...options,
  })
}

/** A started founder. */
export async function startFounder(t: Teardown, name = 'alpha', options: NodeOptions = {}): Promise<HyperswarmTransport> {
  const identity = await openIdentity(await makeDataDir(t), { random: systemRandom })
  await identity.found()
  const transport = transportOf(identity, name, options)
  t.teardown(() => transport.close())
  await transport.start()
  return transport
}

/** A started node that joined with a ticket of `member`. */
export async function startJoiner(t: Teardown, member: HyperswarmTransport, name: string, options: NodeOptions = {}): Promise<HyperswarmTransport> {
  const identity = await openIdentity(await makeDataDir(t), { random: systemRandom })
  const transport = transportOf(identity, name, options)
  t.teardown(() => transport.close())
  await transport.join(member.makeTicket())
  await transport.start()
  return transport
}

/** A clock whose wall is off by some milliseconds. */
export const shiftedClock = (byMs: number): Clock => ({ ...systemClock, wallMs: () => systemClock.wallMs() + byMs })

export const nextLink = (transport: HyperswarmTransport): Promise<Link> => new Promise((resolve) => transport.onLink(resolve))
export const linkEnd = (link: Link): Promise<string> => new Promise((resolve) => link.onClose(resolve))
export const nextFrame = (link: Link, lane: 'gossip' | 'rpc' | 'bulk'): Promise<Uint8Array> => new Promise((resolve) => link.onFrame(lane, resolve))

/** A port free by TCP at the moment. */
export const freePort = (): Promise<number> => new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const address = server.address()
    server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
  })
})

/** Looks until it is so; for states that announce no event. The test's own timeout is the bound. */
export async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await check())) await new Promise((resolve) => { setTimeout(resolve, 25) })
}

export interface ChildArguments {
  readonly dataDir: string
  readonly name: string
  readonly ticket?: string
  readonly host?: string
  readonly overlay?: 'full' | 'direct'
}

export type ChildOrder =
  | { readonly do: 'ticket' | 'links' | 'close' }
  | { readonly do: 'dial'; readonly id: string; readonly addresses: readonly string[] }

export interface NodeProcess {
  readonly child: ChildProcess
  readonly id: string
  readonly addresses: string[]
  /** Events it told unasked. */
  readonly events: { readonly event: string; readonly id: string; readonly why?: string }[]
  order<T>(order: ChildOrder): Promise<T>
}

/** A node in a process of its own (transport-child.ts), inside network namespace `namespace` if given; resolves when it is started. */
export async function forkNode(t: Teardown, argv: ChildArguments, namespace?: string): Promise<NodeProcess> {
  const script = fileURLToPath(new URL('./transport-child.ts', import.meta.url))
  const command = [process.execPath, script, JSON.stringify(argv)]
  const [file = '', ...rest] = namespace === undefined ? command : ['ip', 'netns', 'exec', namespace, ...command]
  const child = spawn(file, rest, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  t.teardown(() => { child.kill('SIGKILL') })
  const events: NodeProcess['events'] = []
  const answers: ((message: unknown) => void)[] = []
  const ready = await new Promise<{ id: string; addresses: string[] }>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`the child ended with ${code}`)))
    child.on('message', (message: { event?: string; addresses?: string[] }) => {
      if (message.event !== undefined) events.push(message as NodeProcess['events'][number])
      else if (message.addresses !== undefined) resolve(message as { id: string; addresses: string[] })
      else answers.shift()?.(message)
    })
  })
  return {
    child, ...ready, events,
    order: <T>(order: ChildOrder) => new Promise<T>((resolve) => {
      answers.push((message) => resolve(message as T))
      child.send(order)
    }),
  }
}

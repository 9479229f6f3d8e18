// Real transports on loopback for tests: data directories, a founder, joiners, and their removal.

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
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

/** A node in a process of its own (transport-child.ts); resolves when it is started. */
export async function forkNode(t: Teardown, argv: { readonly dataDir: string; readonly name: string; readonly ticket?: string; readonly host?: string; readonly overlay?: string; readonly prefix?: readonly string[] }): Promise<{ child: ChildProcess; id: string; addresses: string[] }> {
  const script = fileURLToPath(new URL('./transport-child.ts', import.meta.url))
  const child = fork(script, [JSON.stringify(argv)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  t.teardown(() => { child.kill('SIGKILL') })
  const ready = await new Promise<{ id: string; addresses: string[] }>((resolve, reject) => {
    child.once('message', (message) => resolve(message as { id: string; addresses: string[] }))
    child.once('exit', (code) => reject(new Error(`the child ended with ${code}`)))
  })
  return { child, ...ready }
}

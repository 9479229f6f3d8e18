// One node of the membership bench in its own process: real transport, real clock, membership only.
// Tells its parent every member event with the wall clock of the machine they share.

import { systemClock, systemRandom } from '../../fabric/clock.ts'
import { openIdentity } from '../../fabric/identity/store.ts'
import { createMembership } from '../../fabric/membership/driver.ts'
import type { MembershipNode } from '../../fabric/membership/driver.ts'
import { createHyperswarmTransport } from '../../fabric/transport/hyperswarm.ts'

export interface NodeArguments {
  readonly dataDir: string
  readonly name: string
  readonly ticket?: string
  readonly seeds: readonly { readonly id: string; readonly addresses: readonly string[] }[]
  readonly overlay: 'full' | 'direct'
}

export type NodeReport =
  | { readonly type: 'ready'; readonly id: string; readonly addresses: readonly string[]; readonly ticket: string }
  | { readonly type: 'event'; readonly event: string; readonly about: string; readonly wallMs: number }
  | { readonly type: 'view'; readonly alive: number; readonly hash: number; readonly cpuMs: number; readonly framesSent: number; readonly bytesSent: number; readonly rssMiB: number }

const argument = process.argv[2]
if (argument !== undefined && process.send !== undefined) await run(JSON.parse(argument) as NodeArguments)

async function run({ dataDir, name, ticket, seeds, overlay }: NodeArguments): Promise<void> {
  const tell = (report: NodeReport): void => { if (process.connected) process.send?.(report) }
  const identity = await openIdentity(dataDir, { random: systemRandom })
  if (ticket === undefined && identity.fabric === undefined) await identity.found()
  const transport = createHyperswarmTransport({
    identity, name, version: '0.1.0', listen: { host: '127.0.0.1', port: 0 }, clock: systemClock, random: systemRandom, overlay,
  })
  if (ticket !== undefined && identity.fabric === undefined) await transport.join(ticket)
  await transport.start()
  const membership: MembershipNode = createMembership({
    transport, clock: systemClock, random: systemRandom, self: { name, version: '0.1.0', startedAtMs: Date.now() },
  })
  membership.onEvent(({ type, member }) => tell({ type: 'event', event: type, about: member.id, wallMs: Date.now() }))
  membership.start(seeds)
  process.on('disconnect', () => process.exit(0))
  process.on('message', (command: { readonly do: 'view' | 'leave' | 'stall'; readonly ms?: number }) => {
    if (command.do === 'view') {
      const { user, system } = process.cpuUsage(), { viewHash, framesSent, bytesSent } = membership.snapshot()
      tell({ type: 'view', alive: membership.members().filter((member) => member.state === 'alive').length, hash: viewHash, cpuMs: (user + system) / 1_000, framesSent, bytesSent, rssMiB: process.memoryUsage.rss() / 2 ** 20 })
    }
    if (command.do === 'leave') void membership.leave().then(() => transport.close()).then(() => process.exit(0))
    // A blocked event loop, as a long computation or a full garbage collection makes one.
    if (command.do === 'stall') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, command.ms ?? 0)
  })
  tell({ type: 'ready', id: transport.id, addresses: transport.addresses(), ticket: transport.makeTicket() })
}

// Puts the parts of the cloud together on a node, in two steps, as deployed.ts does: what hosts ask before they set anything
// going (view, book, lease, guard) stands before them; what needs sandbox and objects (service, kinds, agent) comes after.
//
//   global store -> view, book -> lease + watchdog -> guard of each host ... hosts, sandbox -> service -> kinds; agent
//
// Stopped in reverse: no new work of the agent, then the lease (its watchdog counts on for what is protected), then the view.

import { join } from 'node:path'
import { LIMITS, systemClock, systemRandom } from '../fabric/base.ts'
import type { NodeId } from '../fabric/base.ts'
import type { FabricNode, FabricStore } from '../fabric/mod.ts'
import { decodeValue, encodeArray } from '../functions/mod.ts'
import type { Authority, Invoker, Sandbox } from '../functions/mod.ts'
import type { Host, LocalObjects, NodeCapabilities, VmGuard } from '../rmo/mod.ts'
import { fromErrorRecord } from '../fabric/base.ts'
import { createAgentHost } from './agent/host-adapter.ts'
import { startAgent } from './agent/agent.ts'
import type { Agent } from './agent/agent.ts'
import { createCloudBook } from './cloud/book.ts'
import type { HaTimings } from './cloud/contract.ts'
import type { CloudBook, HostLease } from './cloud/parts.ts'
import { createCloudView } from './cloud/view.ts'
import type { NodeCloudView } from './cloud/view.ts'
import { localPrincipal } from './data-dir.ts'
import { systemBootClock } from './lease/boot-clock.ts'
import { createGuard } from './lease/guard.ts'
import { startHostLease } from './lease/keeper.ts'
import { askCutOff, registerCutOff } from './lease/survival.ts'
import { createWatchdog } from './lease/watchdog/client.ts'
import { processName } from './lease/watchdog/processes.ts'

export interface CloudBase {
  readonly view: NodeCloudView
  readonly book: CloudBook
  readonly lease: HostLease
  readonly timings: HaTimings
  /** What a host asks. */
  guardOf(machineUuid: string, hostName: string): VmGuard
  /** Who sees protected VMs off when the lease is given up. */
  setAgent(agent: Agent): void
  stop(): Promise<void>
}

export interface CloudBaseOptions {
  readonly fabric: FabricNode
  readonly store: FabricStore
  readonly data: string
  readonly timings: HaTimings
}

/** What all nodes of the fabric agree on, followed from here on; and may this node run protected VMs? */
export function startCloudBase({ fabric, store, data, timings }: CloudBaseOptions): CloudBase {
  const { id: self, log, registry, membership } = fabric
  const view = createCloudView({ store, clock: systemClock, log })
  const book = createCloudBook({ store, view, clock: systemClock, random: systemRandom, log })
  const watchdog = createWatchdog({ directory: join(data, 'ha'), giveUpMs: timings.giveUpMs, clock: systemClock, log })
  let agent: Agent | undefined
  const simulatedIn = processName(process.pid)
  registerCutOff(registry, () => view.contactSinceMs() === undefined)
  const lease = startHostLease({
    store, clock: systemClock, bootClock: systemBootClock, random: systemRandom, self, name: membership.self.name, timings, log, watchdog,
    members: () => membership.members().filter(({ state }) => state !== 'left').map(({ id }) => id),
    askCutOff: askCutOff(fabric, timings.renewMs),
    // Nothing has been armed before there was an agent.
    async fence() { await agent?.fence() },
    ...(simulatedIn === undefined ? {} : { simulatedIn }),
  })
  view.start()
  return {
    view, book, lease, timings,
    guardOf: (machine, name) => createGuard({ view, book, lease, clock: systemClock, bootClock: systemBootClock, machine, name }),
    setAgent(made) { agent = made },
    async stop() {
      await lease.stop()
      await view.stop()
    },
  }
}

export interface CloudOptions {
  readonly base: CloudBase
  readonly fabric: FabricNode
  readonly objects: LocalObjects
  readonly capabilities: NodeCapabilities
  readonly hosts: ReadonlyMap<string, Host>
  readonly sandbox: Sandbox
  readonly invoker: Invoker
}

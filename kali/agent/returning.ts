// A node comes back: before it takes its lease or starts anything, every copy of the cloud's VMs that is not this machine's
// in this epoch is destroyed and undefined; disks stay (cloud.md 5.9). What cannot be destroyed now is tried again, and
// the agent waits: a stale copy beside a lease is what must not be.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import type { Log } from '../../fabric/mod.ts'
import type { CloudView } from '../cloud/contract.ts'
import type { AgentDomain, AgentHost } from '../cloud/parts.ts'
import { backoffMs, isOff } from './memory.ts'
import { standingOf } from './standing.ts'

export interface Returning {
  readonly host: AgentHost
  readonly view: Pick<CloudView, 'intent' | 'status'>
  readonly clock: Clock
  readonly log: Pick<Log, 'info' | 'warn'>
  readonly signal: AbortSignal
}

export async function comeBack({ host, view, clock, log, signal }: Returning): Promise<void> {
  const isStale = (domain: AgentDomain): boolean => {
    const standing = standingOf(domain, view.intent(domain.uuid), view.status(domain.uuid), host.machine.uuid)
    return standing === 'stale' || standing === 'released'
  }
  const expel = async ({ uuid, name, state, epoch }: AgentDomain): Promise<boolean> => {
    try {
      log.warn('a stale copy of a VM is destroyed; its disks stay', { vm: name, uuid, state, machine: host.machine.name, epoch, now: view.intent(uuid)?.epoch })
      if (!isOff(state)) await host.destroy(uuid, signal)
      await host.remove(uuid, { keepDisks: true }, signal)
      return true
    } catch (error) {
      log.warn('a stale copy of a VM could not be destroyed', { vm: name, uuid, reason: error instanceof Error ? error.message : String(error) })
      return false
    }
  }
  for (let attempt = 1; !signal.aborted; attempt++) {
    const gone = await Promise.all(host.domains().filter(isStale).map(expel))
    if (gone.every(Boolean)) return
    await new Promise<void>((resolve) => { clock.after(Math.min(LIMITS.agentResyncMs, backoffMs(attempt)), resolve, { background: true }) })
  }
}

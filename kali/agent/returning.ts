// A node comes back: before it takes its lease or starts anything, every copy whose intent names another machine or a newer
// epoch is destroyed and undefined; disks stay (cloud.md 5.9). What cannot be destroyed now is tried again, and the agent
// waits: a stale copy beside a lease is what must not be.
//
// A copy without any intent is left as it is, and named: it is stale by no record. It was taken out of its pool meanwhile, and
// its owner was told that it goes on; or the store that answers is another fabric's, which knows nothing of what runs here.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import type { Log } from '../../fabric/mod.ts'
import type { CloudView } from '../cloud/contract.ts'
import type { AgentDomain, AgentHost } from '../cloud/parts.ts'
import { backoffMs, isOff } from './memory.ts'
import { standingOf } from './standing.ts'
import type { Standing } from './standing.ts'

export interface Returning {
  readonly host: AgentHost
  readonly view: Pick<CloudView, 'intent' | 'status'>
  readonly clock: Clock
  readonly log: Pick<Log, 'info' | 'warn'>
  readonly signal: AbortSignal
}

export async function comeBack({ host, view, clock, log, signal }: Returning): Promise<void> {
  const standing = (domain: AgentDomain): Standing => standingOf(domain, view.intent(domain.uuid), view.status(domain.uuid), host.machine.uuid)
  const isStale = (domain: AgentDomain): boolean => standing(domain) === 'stale'
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
  for (const domain of host.domains()) {
    if (standing(domain) === 'released') log.warn('a VM that a cloud managed is in no record any more; it is left as it is', { vm: domain.name, uuid: domain.uuid, state: domain.state, machine: host.machine.name, epoch: domain.epoch })
  }
  for (let attempt = 1; !signal.aborted; attempt++) {
    const gone = await Promise.all(host.domains().filter(isStale).map(expel))
    if (gone.every(Boolean)) return
    await new Promise<void>((resolve) => { clock.after(Math.min(LIMITS.agentResyncMs, backoffMs(attempt)), resolve, { background: true }) })
  }
}

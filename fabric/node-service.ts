// What a shell asks of the node itself: who it is, who the members are, a ticket, and to stop.
// Tickets and stopping are for this machine's administrator, and whom `administers` lets through its local doors.

import type { Clock } from './clock.ts'
import { FABRIC } from './errors-table.ts'
import { LIMITS } from './limits.ts'
import type { Membership, MembershipEvent } from './membership/contract.ts'
import type { NodeInfo } from './node.ts'
import type { CallContext, RpcRegistry } from './rpc/contract.ts'

export interface NodeService {
  readonly registry: RpcRegistry
  readonly membership: Membership
  readonly info: () => NodeInfo
  readonly ticket: (lifetimeMs: number) => string
  readonly stop: () => Promise<void>
  readonly clock: Clock
  readonly administers: (method: string, principal: string) => boolean
}

/** Events a slow watcher may have waiting. */
const WATCH_QUEUE_MAX = 1_024

/** The machine's administrator, un-narrowed. */
export const isLocalAdministrator = (_method: string, principal: string): boolean => /^local:\d+$/.test(principal)

export function serveNode({ registry, membership, info, ticket, stop, clock, administers }: NodeService): void {
  const localOnly = (method: string, { caller, principal }: CallContext): void => {
    if (caller.via !== 'socket' || !administers(method, principal)) throw FABRIC.LOCAL_ONLY({ method })
  }
  registry.method('node.info', () => info())
  registry.method('node.members', () => membership.members())
  registry.method('node.ticket', (body, context) => {
    localOnly('node.ticket', context)
    const asked = (body as { readonly lifetimeMs?: unknown } | null)?.lifetimeMs ?? LIMITS.ticketLifetimeMs
    if (typeof asked !== 'number' || !(asked > 0 && asked <= LIMITS.ticketLifetimeMsMax)) throw FABRIC.TICKET_LIFETIME({ lifetimeMs: Number(asked), lifetimeMsMax: LIMITS.ticketLifetimeMsMax })
    return ticket(asked)
  })
  registry.method('node.down', (_body, context) => {
    localOnly('node.down', context)
    // After the answer has left.
    clock.after(0, () => void stop())
    return null
  })
  registry.stream('node.watch', async (_body, context, stream) => {
    const queue: MembershipEvent[] = []
    let wake = Promise.withResolvers<void>()
    const unsubscribe = membership.onEvent((event) => {
      if (queue.length < WATCH_QUEUE_MAX) queue.push(event)
      wake.resolve()
    })
    context.signal.addEventListener('abort', () => wake.resolve(), { once: true })
    try {
      while (!context.signal.aborted) {
        for (let event = queue.shift(); event !== undefined; event = queue.shift()) await stream.write(event)
        await wake.promise
        wake = Promise.withResolvers<void>()
      }
    } finally {
      unsubscribe()
    }
    return null
  })
}

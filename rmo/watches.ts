// Watches of one node: of its own objects, and, for a shell that is connected here, of objects elsewhere.
//
//   shell <--stream-- [relay] <--stream-- [home] <-- kind.watch.start
//                        `-- membership: what the home cannot tell of itself (it is suspect, it died)
//
// A relay opens the watch again when its home was lost and is still a member; a death or a leave is the last
// event. Queues are bounded (event-queue.ts), and so is the number of watches.

import { LIMITS, errorCode } from '../fabric/base.ts'
import type { Clock, NodeId } from '../fabric/base.ts'
import type { ClientStream, Member, MembershipEvent } from '../fabric/mod.ts'
import type { Authority } from '../functions/mod.ts'
import type { NodeCapabilities } from './capabilities.ts'
import { isLive } from './directory.ts'
import type { Target } from './directory.ts'
import { RMO } from './errors.ts'
import { createEventQueue } from './event-queue.ts'
import type { EventQueue } from './event-queue.ts'
import { METHODS, readEvent } from './messages.ts'

export interface WatchesOptions {
  readonly capabilities: NodeCapabilities
  /** Opens a stream to another member. */
  readonly openPeer: (node: NodeId, method: string, body: unknown, authority: Authority) => ClientStream | Promise<ClientStream>
  readonly onMembership: (listener: (event: MembershipEvent) => void) => () => void
  readonly clock: Clock
}
export interface OpenWatch { readonly events: EventQueue; stop(): void }

export interface Watches {
  /** Of an object of this node. Passes the gate. */
  here(target: Target, options: unknown, authority: Authority): Promise<OpenWatch>
  /** Of any object: here, or relayed from its home. */
  anywhere(target: Target, options: unknown, authority: Authority): Promise<OpenWatch>
  readonly open: number
}

export function createWatches({ capabilities, openPeer, onMembership, clock }: WatchesOptions): Watches {
  let open = 0

  /** Counts a watch until it is stopped; stopping twice is stopping once. */
  const counted = (machine: string, stop: () => void): (() => void) => {
    if (open >= LIMITS.watchesMax) { stop(); throw RMO.TOO_MANY_WATCHES({ machine, limit: LIMITS.watchesMax }) }
    open++
    let stopped = false
    return () => {
      if (stopped) return
      stopped = true
      open--
      stop()
    }
  }

  const here: Watches['here'] = async (target, options, authority) => {
    const found = capabilities.find(target)
    await capabilities.pass(found, 'watch', 'watch', authority)
    const { watch, kind } = found.kind
    const checked = watch.options.check(options ?? {}, { call: `${kind}.watch`, path: 'options' })
    const events = createEventQueue({ clock })
    const unsubscribe = watch.start(found.object.local, checked, (event) => events.push({ ...event, atMs: Math.round(event.atMs) }))
    return { events, stop: counted(found.name, () => { unsubscribe(); events.close() }) }
  }

  const relayed = (home: NodeId, target: Target, options: unknown, authority: Authority): OpenWatch => {
    const events = createEventQueue({ clock })
    let stream: ClientStream | undefined
    let ended = false
    let retry = (): void => {}

    const finish = (error?: unknown): void => { ended = true; events.close(error); stream?.cancel(); retry() }
    const tell = (member: Member): void => {
      events.push({ type: 'state', atMs: Math.round(clock.wallMs()), state: member.state } as { type: string; atMs: number })
      if (isLive(member)) retry()
      else finish()
    }
    const unsubscribe = onMembership(({ member }) => { if (member.id === home && !ended) tell(member) })

    const pump = async (): Promise<void> => {
      stream = await openPeer(home, METHODS.watch, { ...target, home, options }, authority)
      if (ended) { stream.cancel(); return }
      stream.result.catch(() => {})
      for await (const body of stream) events.push(readEvent(body))
    }
    /** Resolves after the pause, or as soon as membership says that the home is back. */
    const pause = (delayMs: number): Promise<void> => new Promise((resolve) => {
      const timer = clock.after(delayMs, () => resolve(), { background: true })
      retry = () => { timer.cancel(); resolve() }
    })
    const run = async (): Promise<void> => {
      for (let attempt = 0; !ended; attempt++) {
        try {
          const before = clock.nowMs()
          await pump()
          // A home that ends the stream at once (it is stopping) is asked again no faster than one that fails.
          if (clock.nowMs() - before > LIMITS.watchReopenMsMax) attempt = 0
        } catch (error) {
          if (ended) return
          const code = errorCode(error)
          // What the home refused it would refuse again: denied, unknown, bad options. An error without a code is ours.
          if (code === undefined || (code.startsWith('RMO_ERR') && code !== RMO.TOO_MANY_WATCHES.code)) return finish(error)
          if (authority.signal.aborted) return finish(authority.signal.reason)
          const message = error instanceof Error ? error.message : String(error)
          events.push({ type: 'interrupted', atMs: Math.round(clock.wallMs()), code, message } as { type: string; atMs: number })
        }
        if (!ended) await pause(Math.min(LIMITS.watchReopenMsMax, LIMITS.watchReopenMs * 2 ** Math.min(attempt, 10)))
      }
    }
    const stop = counted(target.home.slice(0, 8), () => { unsubscribe(); finish() })
    void run()
    return { events, stop }
  }

  return {
    here,
    get open() { return open },
    async anywhere(target, options, authority) {
      const home = capabilities.directory.locate(capabilities.kinds.kindOf(target.kind), target)
      return home === capabilities.self ? here(target, options, authority) : relayed(home, target, options, authority)
    },
  }
}

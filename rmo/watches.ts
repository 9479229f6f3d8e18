// Watches of one node: of its own objects, and, for a shell that is connected here, of objects elsewhere.
//
//   shell <--stream-- [relay] <--stream-- [home] <-- kind.watch.start
//                        `-- membership: what the home cannot tell of itself (it is suspect, it died)
//
// A relay opens the watch again when its home was lost and is still a member; a death or a leave is the last
// event. An object that moves is followed (a 'migrated' event, or RMO_ERR_MOVED when opening), also to and from this
// very node; 'gone' is its last event. Queues are bounded (event-queue.ts), and so is the number of watches.

import { LIMITS, errorCode, isNodeId } from '../fabric/base.ts'
import type { Clock, NodeId } from '../fabric/base.ts'
import type { ClientStream, Member, MembershipEvent } from '../fabric/mod.ts'
import type { Authority } from '../functions/mod.ts'
import { createOpenRights } from './acl/standing.ts'
import type { NodeCapabilities } from './capabilities.ts'
import { isLive } from './directory.ts'
import type { Target } from './directory.ts'
import { RMO } from './errors.ts'
import { createEventQueue } from './event-queue.ts'
import type { EventQueue } from './event-queue.ts'
import { METHODS, readEvent } from './messages.ts'
import type { ObjectEvent } from './object.ts'

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
  const rights = createOpenRights({ clock })

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

  const isHere = (target: Target): boolean => {
    try { return capabilities.find(target).object !== undefined } catch { return false }
  }
  const start = async (target: Target, options: unknown, authority: Authority): Promise<OpenWatch & { readonly name: string }> => {
    const found = capabilities.find(target)
    await capabilities.pass(found, 'watch', 'watch', authority)
    const { watch, kind } = found.kind
    const checked = watch.options.check(options ?? {}, { call: `${kind}.watch`, path: 'options' })
    const events = createEventQueue({ clock })
    const unsubscribe = watch.start(found.object.local, checked, (event) => events.push({ ...event, atMs: Math.round(event.atMs) }))
    const stop = (error?: unknown): void => { letGo(); unsubscribe(); events.close(error) }
    const letGo = rights.hold(() => capabilities.denial(found, 'watch', 'watch', authority), stop)
    return { events, name: found.name, stop: () => stop() }
  }
  const here: Watches['here'] = async (target, options, authority) => {
    const { events, name, stop } = await start(target, options, authority)
    return { events, stop: counted(name, stop) }
  }

  const relayed = (first: NodeId, target: Target, options: unknown, authority: Authority): OpenWatch => {
    const events = createEventQueue({ clock })
    let home = first
    /** Ends what is read from the home now. */
    let leave = (): void => {}
    let ended = false
    let retry = (): void => {}
    /** The object was there: it can be gone, and not only be unknown. */
    let seen = false
    /** Times that the object was followed, or was not there yet, since its last event. */
    let follows = 0
    /** The event read last said that it moved. */
    let moved = false

    const finish = (error?: unknown): void => { ended = true; events.close(error); leave(); retry() }
    const tell = (member: Member): void => {
      events.push({ type: 'state', atMs: Math.round(clock.wallMs()), state: member.state } as { type: string; atMs: number })
      if (isLive(member)) retry()
      else finish()
    }
    const unsubscribe = onMembership(({ member }) => { if (member.id === home && !ended) tell(member) })

    /** Answers whether the object is followed to where it is now: elsewhere, or another host of the same node. */
    const follow = (next: unknown): boolean => {
      if (!isNodeId(next) || ++follows > LIMITS.movedFollowsMax) return false
      home = next
      capabilities.directory.learn(target.kind, target.uuid, next)
      return true
    }
    /** Passes an event on; true: nothing more is to be read from where it was. */
    const take = (event: ObjectEvent): boolean => {
      moved = event.type === 'migrated' && follow((event as { readonly home?: unknown }).home)
      seen = true
      events.push(event)
      if (event.type === 'gone') finish()
      return moved || ended
    }
    /** Reads until the end, or until the object has moved on: then true. */
    const pump = async (): Promise<boolean> => {
      moved = false
      if (home === capabilities.self) {
        const local = await start(target, options, authority)
        leave = local.stop
        seen = true
        if (ended) { leave(); return false }
        for (let event = await local.events.next(); event !== undefined && !take(event);) { follows = 0; event = await local.events.next() }
      } else {
        const stream = await openPeer(home, METHODS.watch, { ...target, home, options }, authority)
        leave = () => stream.cancel()
        if (ended) { leave(); return false }
        stream.result.catch(() => {})
        for await (const body of stream) {
          if (take(readEvent(body))) break
          follows = 0
        }
      }
      leave()
      return moved
    }
    /** Resolves after the pause, or as soon as membership says that the home is back. */
    const pause = (delayMs: number): Promise<void> => new Promise((resolve) => {
      const timer = clock.after(delayMs, () => resolve(), { background: true })
      retry = () => { timer.cancel(); resolve() }
    })
    /** What a failure to watch means: 'again' after a pause, 'at once', or 'over'. */
    const judge = (error: unknown): 'again' | 'at once' | 'over' => {
      const code = errorCode(error)
      if (code === RMO.MOVED.code && follow((error as { readonly details?: { readonly home?: unknown } }).details?.home)) return 'at once'
      if ((code === RMO.OBJECT_UNKNOWN.code || code === RMO.GONE.code) && seen) {
        // It may be known there in a moment: it is just arriving.
        if (follows > 0 && follows++ < LIMITS.movedFollowsMax) return 'again'
        events.push({ type: 'gone', atMs: Math.round(clock.wallMs()), reason: 'it was removed while the watch was interrupted' } as { type: string; atMs: number })
        finish()
        return 'over'
      }
      // What the home refused it would refuse again: denied, unknown, bad options. An error without a code is ours.
      if (code === undefined || (code.startsWith('RMO_ERR') && code !== RMO.TOO_MANY_WATCHES.code)) { finish(error); return 'over' }
      if (authority.signal.aborted) { finish(authority.signal.reason); return 'over' }
      const message = error instanceof Error ? error.message : String(error)
      seen = true
      events.push({ type: 'interrupted', atMs: Math.round(clock.wallMs()), code, message } as { type: string; atMs: number })
      return 'again'
    }
    const run = async (): Promise<void> => {
      for (let attempt = 0; !ended; attempt++) {
        const before = clock.nowMs()
        try {
          if (await pump()) { attempt = -1; continue }
          // A home that ends the stream at once (it is stopping) is asked again no faster than one that fails.
          if (clock.nowMs() - before > LIMITS.watchReopenMsMax) attempt = 0
        } catch (error) {
          if (ended) return
          const next = judge(error)
          if (next === 'over') return
          if (next === 'at once') { attempt = -1; continue }
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
      const kind = capabilities.kinds.kindOf(target.kind)
      // As for calls: what is here is here, whatever the directory remembers.
      const home = isHere(target) ? capabilities.self : capabilities.directory.locate(kind, target)
      // What can move is followed from here as well.
      return home === capabilities.self && kind.residence === 'member' ? here(target, options, authority) : relayed(home, target, options, authority)
    },
  }
}

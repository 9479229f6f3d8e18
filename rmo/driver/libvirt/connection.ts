// One hypervisor connection that heals: opened, watched, lost, opened again with growing pauses.
//
//   open (call thread) -> watch (event thread) -> ... lost -> calls refused -> close old -> pause -> open ...
//
// A connection is closed when no call uses it any more; calls on a dead one end by themselves (end of file, keep-alive).
// Each (re)connection and loss is told, so that the host reads everything again.

import { LIMITS, errorCode } from '../../../fabric/base.ts'
import type { Clock, CodedError, Random, Timer } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import { noLibrary } from './calls.ts'
import type { Calls, Lease } from './calls.ts'
import { acquireEventLoop } from './events.ts'
import type { EventLoop, NoLibrary } from './events.ts'
import type { GuestName, RawEvent } from './messages.ts'
import type { Opened, Registration } from './operations/connection.ts'

export interface ConnectionOptions {
  readonly calls: Calls
  readonly clock: Clock
  readonly random: Random
  /** Where the hypervisor writes its guests' NAME.pid, when it is of this machine. */
  readonly stateDirectory?: string | undefined
  onEvent(event: RawEvent): void
  onState(connected: boolean, reason: string): void
}
export interface Connection {
  /** Resolves after the first attempt, whether the hypervisor is there or not; rejects with RMO_ERR_TOOL_MISSING. */
  open(): Promise<void>
  close(): Promise<void>
  /** Guests that run, as just read. */
  running(guests: readonly GuestName[]): void
  readonly connected: boolean
  readonly events: EventLoop | undefined
}
interface Live { readonly lease: Lease; readonly token: number; readonly registrations: readonly Registration[] }

export function createConnection({ calls, clock, random, stateDirectory, onEvent, onState }: ConnectionOptions): Connection {
  let events: EventLoop | undefined
  let live: Live | undefined
  let retry: Timer | undefined
  let pauseMs: number = LIMITS.libvirtReconnectMs
  let state: 'new' | 'open' | 'closed' = 'new'

  /** Lets go of a connection once nothing uses it; a hung daemon may make that never. */
  async function discard({ lease, token, registrations }: Live, loop: EventLoop): Promise<void> {
    await loop.unwatch(token, lease.pointer)
    if (lease.users > 0) await new Promise<void>((resolve) => { lease.onUnused = resolve })
    delete lease.onUnused
    await calls.detached('connectionClose', lease, { registrations }, LIMITS.libvirtOpenTimeoutMs)
  }

  function lost(of: Live, loop: EventLoop): void {
    if (live !== of) return
    live = undefined
    calls.use(undefined, 'the connection was lost')
    // What is left of a dead connection is memory; failing to free it changes nothing for the caller.
    discard(of, loop).catch(() => undefined)
    onState(false, 'the connection was lost')
    schedule(loop)
  }

  function schedule(loop: EventLoop): void {
    if (state !== 'open') return
    const waitMs = pauseMs * (0.75 + random.next() / 2)
    pauseMs = Math.min(pauseMs * 2, LIMITS.libvirtReconnectMsMax)
    retry = clock.after(waitMs, () => { void attempt(loop) }, { background: true })
  }

  /** Never rejects: a hypervisor that is not there is tried again. Answers why not, the first time. */
  async function attempt(loop: EventLoop): Promise<unknown> {
    let of: Live | undefined
    const token = loop.reserve({ onEvent: (event) => { if (live === of) onEvent(event) }, onLost: () => { if (of !== undefined) lost(of, loop) } })
    const adopt = (opened: Opened): Live => ({ lease: { pointer: opened.connection, users: 0 }, token, registrations: opened.registrations })
    const late = (value: unknown): void => { discard(adopt(value as Opened), loop).catch(() => undefined) }
    try {
      const opened = await calls.detached('connectionOpen', undefined, { uri: calls.uri, callbacks: loop.callbacks, token }, LIMITS.libvirtOpenTimeoutMs, late) as Opened
      of = adopt(opened)
    } catch (error) {
      const { details } = error as CodedError
      calls.use(undefined, typeof details?.['text'] === 'string' ? details['text'] : error instanceof Error ? error.message : String(error))
      schedule(loop)
      return error
    }
    if (state === 'closed') {
      await discard(of, loop).catch(() => undefined)
      return undefined
    }
    live = of
    pauseMs = LIMITS.libvirtReconnectMs
    calls.use(of.lease, '')
    loop.watch(token, of.lease.pointer, stateDirectory)
    onState(true, 'connected')
    return undefined
  }

  return {
    async open() {
      if (state !== 'new') return
      state = 'open'
      try {
        events = await acquireEventLoop()
      } catch (error) {
        throw noLibrary(calls.uri, (error as NoLibrary).noLibrary)
      }
      const failure = await attempt(events)
      if (errorCode(failure) === RMO.TOOL_MISSING.code) throw failure
    },
    async close() {
      if (state === 'closed') return
      state = 'closed'
      retry?.cancel()
      const loop = events
      const of = live
      live = undefined
      calls.use(undefined, 'the driver was closed')
      if (loop === undefined) return
      const gone = of === undefined ? Promise.resolve('gone') : discard(of, loop).then(() => 'gone', () => 'gone')
      const left = await Promise.race([gone, new Promise<string>((resolve) => { clock.after(LIMITS.libvirtCloseTimeoutMs, () => resolve('stuck'), { background: true }) })])
      // A connection left behind may still call back: then the event thread stays, asleep, until the process ends.
      if (left === 'gone') await loop.release()
      else void gone.then(() => loop.release())
    },
    running(guests) { if (stateDirectory !== undefined && live !== undefined && guests.length > 0) events?.running(live.token, guests) },
    get connected() { return live !== undefined },
    get events() { return events },
  }
}

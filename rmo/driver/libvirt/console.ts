// A serial console as a channel of bytes, over libvirt's stream and the event thread.

import { LIMITS } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { Call, ConsoleChannel } from '../contract.ts'
import type { Calls } from './calls.ts'
import type { EventLoop } from './events.ts'
import type { Pointer } from './operation.ts'

export interface Consoles {
  open(uuid: string, call: Call): Promise<ConsoleChannel>
  /** Ends all of them (the connection is lost or let go). */
  closeAll(reason: string): void
}

export function createConsoles(calls: Calls, events: () => EventLoop | undefined): Consoles {
  const open = new Map<number, (reason: string) => void>()

  return {
    async open(uuid, call) {
      if (open.size >= LIMITS.libvirtConsolesMax) throw RMO.BUSY({ what: 'consoles', machine: calls.uri, limit: LIMITS.libvirtConsolesMax })
      const loop = events()
      const lease = calls.lease
      const stream = await calls.call('domainOpenConsole', { uuid }, call) as Pointer
      if (loop === undefined || lease === undefined) throw RMO.DRIVER_UNAVAILABLE({ uri: calls.uri, reason: 'the connection was lost' })
      // The stream belongs to the connection, which must outlive it.
      lease.users++
      return channel(loop, stream, async () => {
        await calls.detached('domainCloseConsole', lease, { stream }, LIMITS.libvirtCallTimeoutMs).catch(() => undefined)
        lease.users--
        if (lease.users === 0) lease.onUnused?.()
      })
    },
    closeAll(reason) { for (const end of [...open.values()]) end(reason) },
  }

  function channel(loop: EventLoop, stream: Pointer, free: () => Promise<void>): ConsoleChannel {
    const dataListeners = new Set<(bytes: Uint8Array) => void>()
    const closeListeners = new Set<(reason: string) => void>()
    // What comes before the first listener (a prompt) is kept, as much as one read brings.
    const early: Uint8Array[] = []
    let earlyBytes = 0
    let ended: string | undefined

    function end(reason: string): void {
      if (ended !== undefined) return
      ended = reason
      open.delete(id)
      loop.closeStream(id, stream).then(free, free)
      for (const listener of closeListeners) listener(reason)
    }
    const id = loop.openStream(stream, {
      onData(bytes) {
        for (const listener of dataListeners) listener(bytes)
        if (dataListeners.size > 0 || earlyBytes + bytes.length > LIMITS.libvirtConsoleBytes) return
        early.push(bytes)
        earlyBytes += bytes.length
      },
      onEnd: end,
    })
    open.set(id, end)

    return {
      async write(bytes) {
        if (ended !== undefined) throw RMO.STATE_INVALID({ kind: 'VM', name: 'console', operation: 'write', state: `closed (${ended})`, needs: 'open' })
        await loop.send(id, bytes)
      },
      onData(listener) {
        dataListeners.add(listener)
        for (const bytes of early.splice(0)) listener(bytes)
      },
      onClose(listener) {
        closeListeners.add(listener)
        if (ended !== undefined) listener(ended)
      },
      close: () => end('closed here'),
    }
  }
}

// Calls into libvirt from the main thread: name and arguments to a thread, its answer or a coded error back.
//
// Knows the connection of the moment: without one a call is refused at once (RMO_ERR_DRIVER_UNAVAILABLE). Counts the
// calls that still use a connection, so that it is closed only when none does.

import { LIMITS, errorCode, fromErrorRecord } from '../../../fabric/base.ts'
import type { Clock } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { Call } from '../contract.ts'
import { failureToError } from './failure.ts'
import type { Reply } from './messages.ts'
import type { Pointer } from './operation.ts'
import type { Job, Threads } from './threads.ts'

/** A connection in use: its pointer stays valid while `users` is above zero. */
export interface Lease { readonly pointer: Pointer; users: number; onUnused?: () => void }
export interface CallSubject { readonly kind: string; readonly name: string }
export interface Calls {
  readonly uri: string
  readonly clock: Clock
  /** Runs the operation `name` (operations/index.ts) in a thread. Rejects with a coded error; the details carry libvirt's number and text. */
  call(name: string, args: unknown, call: Call, subject?: CallSubject): Promise<unknown>
  /** The same without a connection of the driver (open, close). `late` gets a result that came after the deadline. */
  detached(name: string, lease: Lease | undefined, args: unknown, timeoutMs: number, late?: (value: unknown) => void): Promise<unknown>
  use(lease: Lease | undefined, reason: string): void
  readonly lease: Lease | undefined
}

/** Calls that take as long as there are bytes: they may use the caller's whole deadline and never take the last threads. */
const LONG = new Set([
  'domainStart', 'domainSave', 'domainMigrate', 'domainDetach', 'snapshotCreate', 'snapshotRevert', 'snapshotDelete',
  'poolRefresh', 'poolStart', 'volumeCreate', 'volumeCopy', 'volumeDelete', 'volumeResize', 'volumeUpload',
])
const KINDS: readonly (readonly [string, string])[] = [['domain', 'VM'], ['snapshot', 'Snapshot'], ['pool', 'StoragePool'], ['volume', 'Volume'], ['network', 'Network']]

function subjectOf(name: string, args: unknown): CallSubject {
  const of = (args ?? {}) as { readonly name?: unknown; readonly uuid?: unknown }
  const named = typeof of.name === 'string' ? of.name : of.uuid
  return { kind: KINDS.find(([prefix]) => name.startsWith(prefix))?.[1] ?? 'VMM', name: typeof named === 'string' ? named : 'the hypervisor' }
}

export function createCalls(options: { readonly uri: string; readonly clock: Clock; readonly threads: Threads }): Calls {
  const { uri, clock, threads } = options
  let current: Lease | undefined
  let reason = 'not connected yet'

  interface Run { readonly name: string; readonly args: unknown; readonly lease: Lease | undefined; readonly timeoutMs: number; readonly subject: CallSubject; readonly signal?: AbortSignal | undefined; readonly late?: ((value: unknown) => void) | undefined }
  function run({ name, args, lease, timeoutMs, subject, signal, late }: Run): Promise<unknown> {
    return new Promise((resolve, reject) => {
      let settled = false
      const settle = (deliver: () => void): void => {
        if (settled) return
        settled = true
        signal?.removeEventListener('abort', onAbort)
        deliver()
      }
      const about = { uri, operation: name, timeoutMs, ...subject }
      const onReply = (reply: Reply): void => {
        switch (reply.type) {
          case 'result': settle(() => resolve(reply.value)); return
          case 'failure': settle(() => reject(failureToError(reply.failure, about))); return
          case 'error': settle(() => reject(fromErrorRecord(reply.error))); return
          case 'no-library': settle(() => reject(noLibrary(uri, reply.reason)))
        }
      }
      const job: Job = {
        message: { name, connection: lease?.pointer ?? null, args },
        long: LONG.has(name), timeoutMs,
        onStart: () => { if (lease !== undefined) lease.users++ },
        onEnd() {
          if (lease === undefined) return
          lease.users--
          if (lease.users === 0) lease.onUnused?.()
        },
        onReply,
        onLate(reply) { if (reply.type === 'result') late?.(reply.value) },
        onFailure(why, started, text) {
          const outcome = started ? 'unknown' : 'not-started'
          settle(() => reject(
            why === 'timeout' ? RMO.DRIVER_TIMEOUT({ uri, operation: name, timeoutMs }, { outcome })
            : why === 'busy' ? RMO.BUSY({ what: 'libvirt calls', machine: uri, limit: LIMITS.libvirtQueueMax })
            : RMO.DRIVER_UNAVAILABLE({ uri, reason: why === 'closed' ? 'the driver was closed' : `a libvirt thread died: ${text ?? 'no reason'}` }, { outcome }),
          ))
        },
      }
      const takeBack = threads.run(job)
      const onAbort = (): void => {
        takeBack()
        settle(() => reject(signal?.reason instanceof Error ? signal.reason : RMO.DRIVER_TIMEOUT({ uri, operation: name, timeoutMs })))
      }
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  return {
    uri, clock,
    async call(name, args, call, subject = subjectOf(name, args)) {
      const lease = current
      if (call.signal?.aborted === true) throw call.signal.reason
      if (lease === undefined) throw RMO.DRIVER_UNAVAILABLE({ uri, reason })
      const remainingMs = Math.max(0, call.remainingMs())
      if (remainingMs === 0) throw RMO.DRIVER_TIMEOUT({ uri, operation: name, timeoutMs: 0 }, { outcome: 'not-started' })
      const timeoutMs = LONG.has(name) ? remainingMs : Math.min(remainingMs, LIMITS.libvirtCallTimeoutMs)
      return run({ name, args, lease, timeoutMs, subject, signal: call.signal })
    },
    detached: (name, lease, args, timeoutMs, late) => run({ name, args, lease, timeoutMs, subject: { kind: 'VMM', name: uri }, late }),
    use(lease, why) {
      current = lease
      reason = why
    },
    get lease() { return current },
  }
}

export const noLibrary = (uri: string, reason: string) =>
  RMO.TOOL_MISSING({ tool: `libvirt (${reason})`, machine: uri, does: 'runs the virtual machines', install: 'apt install libvirt0 libvirt-daemon-system, or use --driver memory' })

export const isUnavailable = (error: unknown): boolean => errorCode(error) === RMO.DRIVER_UNAVAILABLE.code

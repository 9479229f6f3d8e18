// The emulators of running guests, watched by the event thread: one that dies is told at once. libvirt sees the end of a
// monitor as soon as we do, but then waits, in steps of 200 ms, for the process to be gone before it says so.
//
//   inventory, "started" --> pid --> pidfd in libvirt's own event loop --readable, not in good order--> 'emulatorDied'
//
// Nothing here is needed for correctness: where a descriptor cannot be had (another host, an old kernel, no rights), libvirt's own
// event comes, a little later. libvirt's word that a guest has ended closes the descriptor, so the end of a process that
// is known already is never told as that of the next one.

import koffi from 'koffi'
import { LIMITS } from '../../../fabric/base.ts'
import { causeOfDeath, closeProcess, emulatorOf, openProcess } from './emulator-process.ts'
import type { EmulatorProcess } from './emulator-process.ts'
import type { Library } from './library.ts'
import type { GuestName, RawEvent } from './messages.ts'

const READABLE = 1
const ENDS: ReadonlySet<RawEvent['event']> = new Set(['stopped', 'crashed', 'saved', 'migratedOut'])
const BEGINS: ReadonlySet<RawEvent['event']> = new Set(['started', 'migratedIn'])

interface Watched extends GuestName { readonly token: number; readonly process: EmulatorProcess; readonly handle: number }
export interface Emulators {
  /** Where the hypervisor of that connection writes NAME.pid; connections without it are not watched. */
  connected(token: number, stateDirectory: string): void
  disconnected(token: number): void
  /** These guests run. */
  running(token: number, guests: readonly GuestName[]): void
  /** Never throws: it is called from C. */
  see(token: number, event: RawEvent): void
  end(): void
}

/** `died`: in the event loop, once for each process. */
export function createEmulators(lib: Pick<Library, 'virEventAddHandle' | 'virEventRemoveHandle'>, died: (token: number, event: RawEvent) => void): Emulators {
  const directories = new Map<number, string>()
  const byFd = new Map<number, Watched>()
  const byGuest = new Map<string, Watched>()
  const key = (token: number, uuid: string): string => `${token}/${uuid}`

  const forget = (watched: Watched | undefined): void => {
    if (watched === undefined) return
    byFd.delete(watched.process.fd)
    byGuest.delete(key(watched.token, watched.uuid))
    lib.virEventRemoveHandle(watched.handle)
    closeProcess(watched.process)
  }
  const onEnd = koffi.register((_handle: number, fd: number) => {
    const watched = byFd.get(fd)
    if (watched === undefined) return
    const { token, uuid, name, process } = watched
    const cause = causeOfDeath(process)
    forget(watched)
    if (cause !== undefined) died(token, { type: 'domain-signal', uuid, name, event: 'emulatorDied', detail: cause })
  }, koffi.pointer(koffi.proto('void KumoiEmulatorEnd(int handle, int fd, int events, void *opaque)')))

  const watch = (token: number, { uuid, name }: GuestName): void => {
    const directory = directories.get(token)
    if (directory === undefined || byGuest.has(key(token, uuid)) || byFd.size >= LIMITS.libvirtEmulatorsMax) return
    const pid = emulatorOf(directory, name, uuid)
    const process = pid === undefined ? undefined : openProcess(pid, uuid)
    if (process === undefined) return
    const watched = { token, uuid, name, process, handle: lib.virEventAddHandle(process.fd, READABLE, onEnd, null, null) }
    if (watched.handle < 0) return closeProcess(process)
    byFd.set(process.fd, watched)
    byGuest.set(key(token, uuid), watched)
  }

  return {
    connected: (token, stateDirectory) => { directories.set(token, stateDirectory) },
    disconnected(token) {
      directories.delete(token)
      for (const watched of [...byFd.values()]) if (watched.token === token) forget(watched)
    },
    running(token, guests) { for (const guest of guests) watch(token, guest) },
    see(token, event) {
      if (event.type !== 'domain') return
      if (ENDS.has(event.event)) forget(byGuest.get(key(token, event.uuid)))
      else if (BEGINS.has(event.event)) watch(token, event)
    },
    end() { for (const watched of [...byFd.values()]) forget(watched) },
  }
}

// Thread entry: libvirt's event loop of this process.
//
//   libvirt's sockets and timers -> virEventRunDefaultImpl --C callback, synchronously--> EventReport -> main thread
//
// The loop never goes back to Node's: it sleeps in poll() until libvirt has something or the main thread writes a byte
// into the wake-up pipe, then reads its commands. It makes no call that waits for a daemon: registering, connecting and
// opening consoles are done by call threads, so one daemon that hangs delays nobody's events. Each turn it looks whether
// the watched connections are alive (a look at memory); keep-alive and end of file on the socket both wake it.

import { readSync } from 'node:fs'
import { parentPort, receiveMessageOnPort } from 'node:worker_threads'
import koffi from 'koffi'
import { LIMITS } from '../../../fabric/base.ts'
import { createEmulators } from './emulators.ts'
import type { Emulators } from './emulators.ts'
import { EVENTS, tokenOf } from './event-table.ts'
import type { EventSource } from './event-table.ts'
import { loadLibrary } from './library.ts'
import type { Library } from './library.ts'
import { uuidOf } from './memory.ts'
import type { CallbackAddresses, EventCommand, EventReport } from './messages.ts'
import type { Pointer } from './operation.ts'

const O_NONBLOCK_CLOEXEC = 0o2004000
const READABLE = 1
const STREAM_EVENTS = 1 | 4 | 8 // readable, error, hang-up
const STREAM_WOULD_BLOCK = -2

const port = parentPort
const post = (report: EventReport): void => port?.postMessage(report)

function readersOf(lib: Library): Readonly<Record<EventSource, (object: Pointer) => { uuid: string; name: string }>> {
  return {
    domain: (object) => ({ uuid: uuidOf(lib.virDomainGetUUIDString, object), name: lib.virDomainGetName(object) ?? '' }),
    network: (object) => ({ uuid: uuidOf(lib.virNetworkGetUUIDString, object), name: lib.virNetworkGetName(object) ?? '' }),
    pool: (object) => ({ uuid: uuidOf(lib.virStoragePoolGetUUIDString, object), name: lib.virStoragePoolGetName(object) ?? '' }),
  }
}

/** One C callback for each row of the table; an exception inside would be lost in C, so nothing here throws. */
function registerCallbacks(lib: Library, emulators: Emulators): CallbackAddresses {
  const read = readersOf(lib)
  const addresses: Record<string, Pointer> = {}
  for (const [name, row] of Object.entries(EVENTS)) {
    const type = koffi.proto(`KumoiEvent_${name}`, 'int', ['void *', 'void *', ...row.parameters, 'void *'])
    addresses[name] = koffi.register((_connection: Pointer, object: Pointer, ...rest: (number | bigint | string | null)[]) => {
      const event = row.make(read[row.source](object), rest)
      if (event === undefined) return 0
      const token = tokenOf(rest.at(-1) as Pointer | null)
      post({ type: 'event', token, event })
      emulators.see(token, event)
      return 0
    }, koffi.pointer(type))
  }
  return addresses
}

function wakePipe(): [readFd: number, writeFd: number] {
  const fds = new Int32Array(2)
  if (koffi.load(null).func('int pipe2(_Out_ int *fds, int flags)')(fds, O_NONBLOCK_CLOEXEC) !== 0) throw new Error('pipe2 failed')
  return [fds[0] as number, fds[1] as number]
}

/** Consoles: bytes that libvirt has received, and writes that never wait (libvirt queues them). */
function createStreams(lib: Library) {
  const open = new Map<number, Pointer>()
  const buffer = Buffer.alloc(LIMITS.libvirtConsoleBytes)
  const lastText = (): string => lib.lastError()?.text ?? 'the console was closed'

  function end(id: number, reason: string): void {
    const stream = open.get(id)
    if (stream === undefined) return
    open.delete(id)
    lib.virStreamEventRemoveCallback(stream)
    post({ type: 'stream-end', id, reason })
  }

  const onStream = koffi.register((stream: Pointer, events: number, opaque: Pointer | null) => {
    const id = tokenOf(opaque)
    const got = lib.virStreamRecv(stream, buffer, buffer.length)
    if (got > 0) post({ type: 'stream-data', id, bytes: Uint8Array.from(buffer.subarray(0, got)) })
    else if (got !== STREAM_WOULD_BLOCK) end(id, got === 0 ? 'the guest stopped' : lastText())
    else if ((events & ~READABLE) !== 0) end(id, 'the connection was lost')
  }, koffi.pointer(koffi.proto('void KumoiStream(void *stream, int events, void *opaque)')))

  return {
    open(id: number, stream: Pointer) {
      open.set(id, stream)
      if (lib.virStreamEventAddCallback(stream, STREAM_EVENTS, onStream, BigInt(id), null) < 0) end(id, lastText())
    },
    close(id: number, stream: Pointer) {
      if (open.delete(id)) lib.virStreamEventRemoveCallback(stream)
      post({ type: 'stream-closed', id, reason: 'closed here' })
    },
    send(id: number, send: number, bytes: Uint8Array) {
      const stream = open.get(id)
      let sent = 0
      while (stream !== undefined && sent < bytes.length) {
        const piece = bytes.subarray(sent, sent + LIMITS.libvirtConsoleBytes)
        const count = lib.virStreamSend(stream, piece, piece.length)
        if (count <= 0) break
        sent += count
      }
      post({ type: 'stream-sent', id, send, ...(sent === bytes.length ? {} : { error: stream === undefined ? 'the console is closed' : lastText() }) })
    },
  }
}

function serve(lib: Library): void {
  const [readFd, writeFd] = wakePipe()
  const watched = new Map<number, Pointer>()
  const streams = createStreams(lib)
  const emulators = createEmulators(lib, (token, event) => post({ type: 'event', token, event }))
  const bytes = Buffer.alloc(64)
  let running = true
  const onWake = koffi.register(() => {
    try {
      // A zero byte is the process's end: no command follows it.
      if (bytes.subarray(0, readSync(readFd, bytes)).includes(0)) running = false
    } catch {
      running = true // EAGAIN: another turn has read it.
    }
  }, koffi.pointer(koffi.proto('void KumoiWake(int watch, int fd, int events, void *opaque)')))

  function obey(command: EventCommand): void {
    switch (command.type) {
      case 'watch':
        watched.set(command.token, command.connection)
        if (command.stateDirectory !== undefined) emulators.connected(command.token, command.stateDirectory)
        return
      case 'running': emulators.running(command.token, command.guests); return
      case 'unwatch': watched.delete(command.token); emulators.disconnected(command.token); post({ type: 'unwatched', token: command.token }); return
      case 'stream-open': streams.open(command.id, command.stream); return
      case 'stream-close': streams.close(command.id, command.stream); return
      case 'stream-send': streams.send(command.id, command.send, command.bytes); return
      case 'end': running = false
    }
  }

  lib.virEventRegisterDefaultImpl()
  const wake = lib.virEventAddHandle(readFd, READABLE, onWake, null, null)
  post({ type: 'ready', callbacks: registerCallbacks(lib, emulators), wakeFd: writeFd })
  while (running) {
    lib.virEventRunDefaultImpl()
    if (port === null) break
    for (let message = receiveMessageOnPort(port); message !== undefined; message = receiveMessageOnPort(port)) obey(message.message as EventCommand)
    for (const [token, connection] of watched) {
      if (lib.virConnectIsAlive(connection) === 1) continue
      watched.delete(token)
      post({ type: 'lost', token })
    }
  }
  emulators.end()
  lib.virEventRemoveHandle(wake)
  koffi.load(null).func('int close(int fd)')(readFd)
  port?.close()
}

try {
  serve(loadLibrary())
} catch (error) {
  post({ type: 'no-library', reason: error instanceof Error ? error.message : String(error) })
}

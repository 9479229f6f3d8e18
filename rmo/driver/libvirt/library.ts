// libvirt.so.0 through koffi: the functions Kumoi calls, by their libvirt names, as the headers declare them.
//
// Loaded in worker threads only (worker.ts, event-worker.ts); the main thread sees types. Pointers that libvirt hands
// out are bigint addresses, the same in every thread of the process. `str!` is a text that libvirt allocated and koffi
// frees after reading; `const char *` stays libvirt's. Unsigned long is 64 bits on every platform libvirt runs guests on.

import koffi from 'koffi'
import { bind, c } from './declare.ts'
import type { Bound } from './declare.ts'
import { domainDeclarations } from './library-domain.ts'
import { storageDeclarations } from './library-storage.ts'
import type { Pointer } from './operation.ts'

const SONAME = 'libvirt.so.0'

type P = Pointer

const connectionDeclarations = {
  virInitialize: c<() => number>('int virInitialize()'),
  virGetVersion: c<(version: number[], type: null, typeVersion: null) => number>('int virGetVersion(_Out_ ulong *version, const char *type, void *typeVersion)'),
  virSetErrorFunc: c<(data: null, handler: P) => void>('void virSetErrorFunc(void *data, void *handler)'),
  virGetLastError: c<() => P | null>('void *virGetLastError()'),
  virResetLastError: c<() => void>('void virResetLastError()'),

  virConnectOpen: c<(uri: string) => P | null>('void *virConnectOpen(str uri)'),
  virConnectClose: c<(connection: P) => number>('int virConnectClose(void *connection)'),
  virConnectIsAlive: c<(connection: P) => number>('int virConnectIsAlive(void *connection)'),
  virConnectSetKeepAlive: c<(connection: P, intervalSeconds: number, count: number) => number>('int virConnectSetKeepAlive(void *connection, int interval, uint count)'),
  virConnectGetCapabilities: c<(connection: P) => string | null>('str! virConnectGetCapabilities(void *connection)'),
  virConnectGetDomainCapabilities: c<(connection: P, emulator: null, arch: null, machine: null, type: string, flags: number) => string | null>('str! virConnectGetDomainCapabilities(void *connection, const char *emulator, const char *arch, const char *machine, str type, uint flags)'),
  virConnectGetType: c<(connection: P) => string | null>('const char *virConnectGetType(void *connection)'),
  virConnectGetVersion: c<(connection: P, version: number[]) => number>('int virConnectGetVersion(void *connection, _Out_ ulong *version)'),
  virConnectGetLibVersion: c<(connection: P, version: number[]) => number>('int virConnectGetLibVersion(void *connection, _Out_ ulong *version)'),
  virConnectGetHostname: c<(connection: P) => string | null>('str! virConnectGetHostname(void *connection)'),
  virNodeGetInfo: c<(connection: P, info: Uint8Array) => number>('int virNodeGetInfo(void *connection, _Out_ uint8_t *info)'),
  virNodeGetFreeMemory: c<(connection: P) => number | bigint>('uint64_t virNodeGetFreeMemory(void *connection)'),

  virConnectDomainEventRegisterAny: c<(connection: P, domain: null, eventId: number, callback: P, opaque: P, free: null) => number>('int virConnectDomainEventRegisterAny(void *connection, void *domain, int eventId, void *callback, void *opaque, void *free)'),
  virConnectDomainEventDeregisterAny: c<(connection: P, callbackId: number) => number>('int virConnectDomainEventDeregisterAny(void *connection, int callbackId)'),
  virConnectNetworkEventRegisterAny: c<(connection: P, network: null, eventId: number, callback: P, opaque: P, free: null) => number>('int virConnectNetworkEventRegisterAny(void *connection, void *network, int eventId, void *callback, void *opaque, void *free)'),
  virConnectNetworkEventDeregisterAny: c<(connection: P, callbackId: number) => number>('int virConnectNetworkEventDeregisterAny(void *connection, int callbackId)'),
  virConnectStoragePoolEventRegisterAny: c<(connection: P, pool: null, eventId: number, callback: P, opaque: P, free: null) => number>('int virConnectStoragePoolEventRegisterAny(void *connection, void *pool, int eventId, void *callback, void *opaque, void *free)'),
  virConnectStoragePoolEventDeregisterAny: c<(connection: P, callbackId: number) => number>('int virConnectStoragePoolEventDeregisterAny(void *connection, int callbackId)'),

  virNetworkGetName: c<(network: P) => string | null>('const char *virNetworkGetName(void *network)'),
  virNetworkGetUUIDString: c<(network: P, text: Uint8Array) => number>('int virNetworkGetUUIDString(void *network, _Out_ uint8_t *text)'),
  virStoragePoolGetName: c<(pool: P) => string | null>('const char *virStoragePoolGetName(void *pool)'),
  virStoragePoolGetUUIDString: c<(pool: P, text: Uint8Array) => number>('int virStoragePoolGetUUIDString(void *pool, _Out_ uint8_t *text)'),

  virEventRegisterDefaultImpl: c<() => number>('int virEventRegisterDefaultImpl()'),
  virEventRunDefaultImpl: c<() => number>('int virEventRunDefaultImpl()'),
  virEventAddHandle: c<(fd: number, events: number, callback: P, opaque: null, free: null) => number>('int virEventAddHandle(int fd, int events, void *callback, void *opaque, void *free)'),
  virEventRemoveHandle: c<(watch: number) => number>('int virEventRemoveHandle(int watch)'),

  virStreamNew: c<(connection: P, flags: number) => P | null>('void *virStreamNew(void *connection, uint flags)'),
  virStreamFree: c<(stream: P) => number>('int virStreamFree(void *stream)'),
  virStreamFinish: c<(stream: P) => number>('int virStreamFinish(void *stream)'),
  virStreamAbort: c<(stream: P) => number>('int virStreamAbort(void *stream)'),
  virStreamSend: c<(stream: P, data: Uint8Array, bytes: number) => number>('int virStreamSend(void *stream, const uint8_t *data, size_t bytes)'),
  virStreamRecv: c<(stream: P, data: Uint8Array, bytes: number) => number>('int virStreamRecv(void *stream, _Out_ uint8_t *data, size_t bytes)'),
  virStreamEventAddCallback: c<(stream: P, events: number, callback: P, opaque: P, free: null) => number>('int virStreamEventAddCallback(void *stream, int events, void *callback, void *opaque, void *free)'),
  virStreamEventRemoveCallback: c<(stream: P) => number>('int virStreamEventRemoveCallback(void *stream)'),
} as const

const declarations = { ...connectionDeclarations, ...domainDeclarations, ...storageDeclarations }

export interface LastError { readonly number: number; readonly domain: number; readonly text: string }
export type Library = Bound<typeof declarations> & {
  /** libvirt's last error on this thread, as plain data. */
  lastError(): LastError | undefined
}
// First members of struct _virError (virterror.h).
const ERROR_MESSAGE_OFFSET = 8

let loaded: Library | undefined

/** The library, loaded into this process once and bound once per thread; throws koffi's error when it is not installed. */
export function loadLibrary(): Library {
  if (loaded !== undefined) return loaded
  const handle = koffi.load(SONAME)
  const functions = bind(handle, declarations)
  // Without a handler libvirt prints every error to stderr. The handler lives as long as the thread: it is process-wide,
  // so it must be C's own; getpid takes no notice of its arguments.
  const quiet = koffi.address(koffi.load(null).symbol('getpid')) as Pointer
  functions.virSetErrorFunc(null, quiet)
  if (functions.virInitialize() < 0) throw new Error('virInitialize failed')
  loaded = Object.assign(Object.create(functions) as Library, {
    lastError(): LastError | undefined {
      const at = functions.virGetLastError()
      if (at === null) return undefined
      const text = koffi.decode(at, ERROR_MESSAGE_OFFSET, 'char *') as string | null
      return { number: koffi.decode.int(at), domain: koffi.decode(at, 4, 'int') as number, text: text ?? '' }
    },
  })
  return loaded
}

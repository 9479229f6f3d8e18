// Connecting, disconnecting, and what a hypervisor says of itself.
//
// Opening and registering wait for the daemon, so they run in a call thread like any call; the event thread only runs
// the callbacks. libvirt's event loop must have been registered before (event-worker.ts).

import { LIMITS } from '../../../../fabric/base.ts'
import { EVENTS } from '../event-table.ts'
import type { EventRow } from '../event-table.ts'
import type { Library } from '../library.ts'
import type { CallbackAddresses } from '../messages.ts'
import { failIf, present } from '../operation.ts'
import type { Operations, OperationContext, Pointer } from '../operation.ts'
import { flavourOf, readCapabilities, readKvm } from '../xml/capabilities.ts'
import type { DomainFlavour } from '../xml/domain.ts'

export interface Registration { readonly event: string; readonly callbackId: number }
export interface Opened { readonly connection: Pointer; readonly registrations: readonly Registration[] }
/** struct _virNodeInfo: model (32 bytes), memory in KiB, cpus, mhz, nodes, sockets, cores, threads. */
const NODE_INFO_BYTES = 72
const NODE_MEMORY_OFFSET = 32
const NODE_CPUS_OFFSET = 40
const KIB = 1024

function register(lib: Library, connection: Pointer, row: EventRow, callback: Pointer, token: number): number {
  const opaque = BigInt(token)
  switch (row.source) {
    case 'domain': return lib.virConnectDomainEventRegisterAny(connection, null, row.id, callback, opaque, null)
    case 'network': return lib.virConnectNetworkEventRegisterAny(connection, null, row.id, callback, opaque, null)
    case 'pool': return lib.virConnectStoragePoolEventRegisterAny(connection, null, row.id, callback, opaque, null)
  }
}

function deregister(lib: Library, connection: Pointer, row: EventRow, callbackId: number): void {
  switch (row.source) {
    case 'domain': lib.virConnectDomainEventDeregisterAny(connection, callbackId); return
    case 'network': lib.virConnectNetworkEventDeregisterAny(connection, callbackId); return
    case 'pool': lib.virConnectStoragePoolEventDeregisterAny(connection, callbackId)
  }
}

/** Connects, starts keep-alive and registers every event that this hypervisor knows. */
function open({ lib }: OperationContext, { uri, callbacks, token }: { uri: string; callbacks: CallbackAddresses; token: number }): Opened {
  const connection = present(lib.virConnectOpen(uri), lib, 'virConnectOpen')
  // Answers 1 where the driver has no daemon (test:///default): nothing to keep alive.
  lib.virConnectSetKeepAlive(connection, LIMITS.libvirtKeepAliveSeconds, LIMITS.libvirtKeepAliveCount)
  const registrations: Registration[] = []
  for (const [event, row] of Object.entries(EVENTS)) {
    const callback = callbacks[event]
    if (callback === undefined) continue
    const callbackId = register(lib, connection, row, callback, token)
    if (callbackId >= 0) registrations.push({ event, callbackId })
    else if (event === 'lifecycle') {
      try {
        failIf(true, lib, 'virConnectDomainEventRegisterAny')
      } finally {
        close({ lib, connection }, { registrations })
      }
    }
  }
  return { connection, registrations }
}

/** Callbacks hold references to the connection: they go first. On a dead connection both only clean up memory. */
function close({ lib, connection }: OperationContext, { registrations }: { registrations: readonly Registration[] }): void {
  for (const { event, callbackId } of registrations) {
    const row = EVENTS[event]
    if (row !== undefined) deregister(lib, connection, row, callbackId)
  }
  lib.virConnectClose(connection)
}

export interface RawFacts { readonly hostname: string; readonly type: string; readonly version: number; readonly cores: number; readonly memoryBytes: number; readonly freeBytes: number; readonly capabilities: string }

export function nodeInfo(lib: Library, connection: Pointer): { readonly memoryKiB: number; readonly cores: number } {
  const info = Buffer.alloc(NODE_INFO_BYTES)
  failIf(lib.virNodeGetInfo(connection, info) < 0, lib, 'virNodeGetInfo')
  return { memoryKiB: Number(info.readBigUInt64LE(NODE_MEMORY_OFFSET)), cores: info.readUInt32LE(NODE_CPUS_OFFSET) }
}

function facts({ lib, connection }: OperationContext): RawFacts {
  const info = nodeInfo(lib, connection)
  const version = [0]
  lib.virConnectGetVersion(connection, version)
  return {
    hostname: lib.virConnectGetHostname(connection) ?? '',
    type: present(lib.virConnectGetType(connection), lib, 'virConnectGetType'),
    version: Number(version[0] ?? 0),
    cores: info.cores, memoryBytes: info.memoryKiB * KIB,
    freeBytes: Number(lib.virNodeGetFreeMemory(connection)),
    capabilities: present(lib.virConnectGetCapabilities(connection), lib, 'virConnectGetCapabilities'),
  }
}

/** What new domains run with. Hypervisors without KVM, and test:///default, have no capabilities of KVM domains. */
function flavour({ lib, connection }: OperationContext): DomainFlavour {
  const capabilities = readCapabilities(present(lib.virConnectGetCapabilities(connection), lib, 'virConnectGetCapabilities'))
  const kvm = lib.virConnectGetDomainCapabilities(connection, null, null, null, 'kvm', 0)
  return flavourOf(capabilities, kvm === null ? undefined : readKvm(kvm))
}

export const connectionOperations: Operations = { connectionOpen: open, connectionClose: close, connectionFacts: facts, connectionFlavour: flavour }

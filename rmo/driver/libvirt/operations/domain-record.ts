// Looking at domains: one, all, their text. What the other domain operations stand on.

import { readFileSync } from 'node:fs'
import { errorCode } from '../../../../fabric/base.ts'
import { RMO } from '../../../errors.ts'
import type { VmSettings } from '../../../settings.ts'
import type { DomainRecord, DomainState } from '../../contract.ts'
import { domainState, isActive } from '../domain-state.ts'
import { ERROR } from '../failure.ts'
import type { Library } from '../library.ts'
import { uuidOf, withList } from '../memory.ts'
import { LibvirtFailure, failIf, present, using } from '../operation.ts'
import type { OperationContext, Operations, Pointer } from '../operation.ts'
import { readDomain } from '../xml/domain.ts'
import type { ReadDomain } from '../xml/domain.ts'

export const XML_SECURE = 1
export const XML_INACTIVE = 2
const PID_DIRECTORY = '/run/libvirt/qemu'

/** The domain of a uuid, freed afterwards; fails with libvirt's "no domain". */
export function withDomain<T>({ lib, connection }: OperationContext, uuid: string, work: (domain: Pointer) => T): T {
  const domain = present(lib.virDomainLookupByUUIDString(connection, uuid), lib, 'virDomainLookupByUUIDString')
  return using(domain, lib.virDomainFree, work)
}

export function stateOf(lib: Library, domain: Pointer): { readonly state: DomainState; readonly reason: string } {
  const state = [0]
  const reason = [0]
  failIf(lib.virDomainGetState(domain, state, reason, 0) < 0, lib, 'virDomainGetState')
  const plain = domainState(state[0] ?? 0, reason[0] ?? 0, false)
  // Only a stopped domain can have its memory on disk; asking costs a call.
  if (isActive(plain.state)) return plain
  return domainState(state[0] ?? 0, reason[0] ?? 0, lib.virDomainHasManagedSaveImage(domain, 0) === 1)
}

export function xmlOf(lib: Library, domain: Pointer, flags: number): string {
  const flagged = lib.virDomainGetXMLDesc(domain, flags)
  // A read-only connection may not see secrets.
  return flagged ?? present(lib.virDomainGetXMLDesc(domain, flags & ~XML_SECURE), lib, 'virDomainGetXMLDesc')
}

/** The definition for the next start, or of a transient domain what it is. */
export const definitionOf = (lib: Library, domain: Pointer): string => xmlOf(lib, domain, XML_INACTIVE | XML_SECURE)

/** Names of host ends that the hypervisor chose at start ("vnet7"), which the definition for the next start lacks. */
function withLiveTargets(settings: VmSettings, live: VmSettings): VmSettings {
  const targets = new Map(live.devices.flatMap((device) => device.type === 'interface' && device.mac !== undefined && device.target !== undefined ? [[device.mac, device.target]] : []))
  const devices = settings.devices.map((device) => {
    const target = device.type === 'interface' && device.target === undefined && device.mac !== undefined ? targets.get(device.mac) : undefined
    return target === undefined ? device : { ...device, target }
  })
  return { ...settings, devices }
}

function pidOf(name: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(`${PID_DIRECTORY}/${name}.pid`, 'utf8'), 10)
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined
  } catch {
    return undefined // Not QEMU, or its host is another one.
  }
}

/** A guest on its way here, which its source still has: not ours until it has come (then it is persistent). */
export function isIncoming(lib: Library, domain: Pointer): boolean {
  const { state, reason } = stateOf(lib, domain)
  return state === 'paused' && reason === 'migration' && lib.virDomainIsPersistent(domain) === 0
}

/** What can be said of a domain whose text we refuse to read (nested too deep, a DOCTYPE): one of them must not hide all others. */
function unread(lib: Library, domain: Pointer): ReadDomain {
  const memoryKiB = Number(lib.virDomainGetMaxMemory(domain))
  const settings = { name: lib.virDomainGetName(domain) ?? '', memoryMiB: Math.max(1, Math.ceil(memoryKiB / 1024)), vcpus: 1, devices: [] }
  return { uuid: uuidOf(lib.virDomainGetUUIDString, domain), settings, managed: false }
}
function readOf(lib: Library, domain: Pointer, xml: string): ReadDomain {
  try {
    return readDomain(xml)
  } catch (error) {
    if (errorCode(error) !== RMO.DEFINITION_INVALID.code) throw error
    return unread(lib, domain)
  }
}

export function recordOf(lib: Library, domain: Pointer): DomainRecord {
  const { state, reason } = stateOf(lib, domain)
  const active = isActive(state)
  const read = readOf(lib, domain, definitionOf(lib, domain))
  const autostart = [0]
  const persistent = lib.virDomainIsPersistent(domain) === 1
  if (persistent) lib.virDomainGetAutostart(domain, autostart)
  const settings = active ? withLiveTargets(read.settings, readOf(lib, domain, xmlOf(lib, domain, 0)).settings) : read.settings
  const pid = active ? pidOf(settings.name) : undefined
  return {
    uuid: uuidOf(lib.virDomainGetUUIDString, domain), state, reason,
    settings: autostart[0] === 1 ? { ...settings, autostart: true } : settings,
    managed: read.managed, persistent,
    ...(pid === undefined ? {} : { pid }),
    ...(read.metadata === undefined ? {} : { metadata: read.metadata }),
  }
}

/** All domains; one that goes away while we look is left out. */
function list({ lib, connection }: OperationContext): DomainRecord[] {
  return withList(
    (out) => {
      const count = lib.virConnectListAllDomains(connection, out, 0)
      failIf(count < 0, lib, 'virConnectListAllDomains')
      return count
    },
    lib.virDomainFree,
    (domain) => {
      try {
        return isIncoming(lib, domain) ? undefined : recordOf(lib, domain)
      } catch (error) {
        if (error instanceof LibvirtFailure && error.failure.number === ERROR.noDomain) return undefined
        throw error
      }
    },
  ).filter((record) => record !== undefined)
}

function get(context: OperationContext, { uuid }: { uuid: string }): DomainRecord | undefined {
  try {
    return withDomain(context, uuid, (domain) => isIncoming(context.lib, domain) ? undefined : recordOf(context.lib, domain))
  } catch (error) {
    if (error instanceof LibvirtFailure && error.failure.number === ERROR.noDomain) return undefined
    throw error
  }
}

const describe = (context: OperationContext, { uuid }: { uuid: string }): string => withDomain(context, uuid, (domain) => xmlOf(context.lib, domain, 0))

export const domainRecordOperations: Operations = { domainList: list, domainGet: get, domainDescribe: describe }

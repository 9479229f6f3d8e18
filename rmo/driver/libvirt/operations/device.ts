// Hot-plug: devices into and out of a domain, live when it runs and in its definition.
//
// libvirt's two copies (what runs, what starts next) are changed by one call with both flags. Kumoi's note in the
// metadata (roles and origins of disks, which XML cannot hold) is written after it.

import type { Device } from '../../../settings.ts'
import { isActive } from '../domain-state.ts'
import { ERROR } from '../failure.ts'
import type { Library } from '../library.ts'
import { LibvirtFailure, succeeded } from '../operation.ts'
import type { OperationContext, Operations, Pointer } from '../operation.ts'
import { attachXml, detachXml, metadataXml, readDomain } from '../xml/domain.ts'
import { KUMOI_NAMESPACE, KUMOI_PREFIX } from '../xml/note.ts'
import { definitionOf, stateOf, withDomain, xmlOf } from './domain-record.ts'

const AFFECT_LIVE = 1
const AFFECT_CONFIG = 2
const METADATA_ELEMENT = 2

interface Change { readonly uuid: string; readonly device: Device }

function flagsOf(lib: Library, domain: Pointer): number {
  return (isActive(stateOf(lib, domain).state) ? AFFECT_LIVE : 0) | (lib.virDomainIsPersistent(domain) === 1 ? AFFECT_CONFIG : 0)
}

const changedText = (lib: Library, domain: Pointer, flags: number): string => (flags & AFFECT_LIVE) === 0 ? definitionOf(lib, domain) : xmlOf(lib, domain, 0)

/** Without a note a domain is not ours: then there is nothing to keep. */
function keepNote(lib: Library, domain: Pointer, flags: number, device?: Device): void {
  const xml = definitionOf(lib, domain)
  const { settings, metadata } = readDomain(xml)
  if (metadata === undefined) return
  const same = (other: Device): boolean => device !== undefined && other.type === device.type && other.target === device.target
  const devices = settings.devices.map((other) => device !== undefined && same(other) ? { ...other, ...device } as Device : other)
  succeeded(lib.virDomainSetMetadata(domain, METADATA_ELEMENT, metadataXml({ ...settings, devices }, metadata, xml), KUMOI_PREFIX, KUMOI_NAMESPACE, flags), lib, 'virDomainSetMetadata')
}

function attach(context: OperationContext, { uuid, device }: Change): Device {
  const { lib } = context
  return withDomain(context, uuid, (domain) => {
    const flags = flagsOf(lib, domain)
    const placed = attachXml(device, changedText(lib, domain, flags))
    succeeded(lib.virDomainAttachDeviceFlags(domain, placed.xml, flags), lib, 'virDomainAttachDeviceFlags')
    keepNote(lib, domain, flags, placed.device)
    return placed.device
  })
}

/** Asks for it; a running guest may take its time. Answers whether the device is gone. */
function detach(context: OperationContext, { uuid, device }: Change): boolean {
  const { lib } = context
  return withDomain(context, uuid, (domain) => {
    const flags = flagsOf(lib, domain)
    const live = (flags & AFFECT_LIVE) !== 0 ? detachXml(device, xmlOf(lib, domain, 0)) : undefined
    const kept = (flags & AFFECT_CONFIG) !== 0 ? detachXml(device, definitionOf(lib, domain)) : undefined
    if (live === undefined && kept === undefined) {
      throw new LibvirtFailure({ what: 'virDomainDetachDeviceFlags', number: ERROR.deviceMissing, domain: 0, text: 'the domain has no such device' })
    }
    if (kept !== undefined) {
      succeeded(lib.virDomainDetachDeviceFlags(domain, kept, AFFECT_CONFIG), lib, 'virDomainDetachDeviceFlags')
      keepNote(lib, domain, AFFECT_CONFIG)
    }
    if (live !== undefined) succeeded(lib.virDomainDetachDeviceFlags(domain, live, AFFECT_LIVE), lib, 'virDomainDetachDeviceFlags')
    return live === undefined || detachXml(device, xmlOf(lib, domain, 0)) === undefined
  })
}

/** Whether the running domain has the device (still). */
function has(context: OperationContext, { uuid, device }: Change): boolean {
  return withDomain(context, uuid, (domain) => detachXml(device, xmlOf(context.lib, domain, 0)) !== undefined)
}

export const deviceOperations: Operations = { domainAttach: attach, domainDetach: detach, domainHasDevice: has }

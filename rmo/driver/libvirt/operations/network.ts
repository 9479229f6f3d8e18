// Virtual networks, as operations in a worker thread (operation.ts). Source: libvirt-network.h.
//
// What is asked for and there already succeeds: starting an active network, undefining one that is gone.

import type { NetworkRecord } from '../../contract.ts'
import { ERROR } from '../failure.ts'
import type { Library } from '../library.ts'
import { withList } from '../memory.ts'
import { LibvirtFailure, present, succeeded, using } from '../operation.ts'
import type { OperationContext, Operations, Pointer } from '../operation.ts'
import { networkXml, readNetwork } from '../xml/network.ts'
import type { NetworkWish } from '../xml/network.ts'
import { remembered } from '../xml/remembered.ts'

interface NetworkArgs { readonly uuid: string }
/** VIR_NETWORK_XML_INACTIVE */
const XML_INACTIVE = 1

const readKnownNetwork = remembered(readNetwork)

function withNetwork<T>({ lib, connection }: OperationContext, uuid: string, work: (network: Pointer) => T): T {
  return using(present(lib.virNetworkLookupByUUIDString(connection, uuid), lib, 'virNetworkLookupByUUIDString'), lib.virNetworkFree, work)
}
const isActive = (lib: Library, network: Pointer): boolean => succeeded(lib.virNetworkIsActive(network), lib, 'virNetworkIsActive') === 1
const isGone = (error: unknown): boolean => error instanceof LibvirtFailure && error.failure.number === ERROR.noNetwork

function record(lib: Library, network: Pointer): NetworkRecord {
  const autostart = [0]
  // A transient network cannot be started with the host: that is no failure.
  const known = lib.virNetworkGetAutostart(network, autostart) === 0
  return {
    ...readKnownNetwork(present(lib.virNetworkGetXMLDesc(network, 0), lib, 'virNetworkGetXMLDesc')),
    active: isActive(lib, network), autostart: known && autostart[0] === 1,
    persistent: succeeded(lib.virNetworkIsPersistent(network), lib, 'virNetworkIsPersistent') === 1,
  }
}

/** For the next start; test:///default knows one definition only and no flag for it. */
const definitionOf = (lib: Library, network: Pointer): string =>
  lib.virNetworkGetXMLDesc(network, XML_INACTIVE) ?? present(lib.virNetworkGetXMLDesc(network, 0), lib, 'virNetworkGetXMLDesc')

/** Networks that vanish while they are listed are left out. */
function networkList({ lib, connection }: OperationContext): NetworkRecord[] {
  return withList((out) => succeeded(lib.virConnectListAllNetworks(connection, out, 0), lib, 'virConnectListAllNetworks'), lib.virNetworkFree, (network) => {
    try {
      return [record(lib, network)]
    } catch (error) {
      if (isGone(error)) return []
      throw error
    }
  }).flat()
}

/** Makes it, or changes what differs of the one with that uuid; an active one is as before until it is started again. */
function networkDefine({ lib, connection }: OperationContext, args: NetworkWish & { readonly autostart: boolean }): NetworkRecord {
  const there = args.uuid === undefined ? null : lib.virNetworkLookupByUUIDString(connection, args.uuid)
  const base = there === null ? undefined : using(there, lib.virNetworkFree, () => definitionOf(lib, there))
  return using(present(lib.virNetworkDefineXML(connection, networkXml(args, base)), lib, 'virNetworkDefineXML'), lib.virNetworkFree, (network) => {
    try {
      succeeded(lib.virNetworkSetAutostart(network, args.autostart ? 1 : 0), lib, 'virNetworkSetAutostart')
    } catch (error) {
      if (base === undefined) lib.virNetworkUndefine(network)
      throw error
    }
    return record(lib, network)
  })
}

function networkStart(context: OperationContext, { uuid }: NetworkArgs): void {
  const { lib } = context
  withNetwork(context, uuid, (network) => { if (!isActive(lib, network)) succeeded(lib.virNetworkCreate(network), lib, 'virNetworkCreate') })
}
function networkStop(context: OperationContext, { uuid }: NetworkArgs): void {
  const { lib } = context
  withNetwork(context, uuid, (network) => { if (isActive(lib, network)) succeeded(lib.virNetworkDestroy(network), lib, 'virNetworkDestroy') })
}
function networkUndefine(context: OperationContext, { uuid }: NetworkArgs): void {
  const { lib } = context
  try {
    withNetwork(context, uuid, (network) => succeeded(lib.virNetworkUndefine(network), lib, 'virNetworkUndefine'))
  } catch (error) {
    if (!isGone(error)) throw error
  }
}

function networkSetAutostart(context: OperationContext, { uuid, autostart }: NetworkArgs & { readonly autostart: boolean }): void {
  const { lib } = context
  withNetwork(context, uuid, (network) => succeeded(lib.virNetworkSetAutostart(network, autostart ? 1 : 0), lib, 'virNetworkSetAutostart'))
}

export const networkOperations: Operations = { networkList, networkDefine, networkStart, networkStop, networkUndefine, networkSetAutostart }

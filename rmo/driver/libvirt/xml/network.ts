// <network> both ways. Pure. Source: libvirt's formatnetwork.
//
// A network with forward "nat" and an IPv4 address gives its guests addresses by DHCP (dnsmasq), as libvirt's own
// default network does. Others ask for no DNS and no DHCP, so that they start on hosts without dnsmasq.

import { isIPv4, isIPv6 } from 'node:net'
import { RMO } from '../../../errors.ts'
import type { NetworkRecord } from '../../contract.ts'
import { attributeOf, element, elements, find, isXmlText, need, parseXml, replace, setAttributes, setText, textOf, writeXml } from './tree.ts'
import type { XmlElement } from './tree.ts'

export interface NetworkWish {
  readonly uuid?: string
  readonly name: string
  /** Bridge to make ("virbr<n>" when left out), or with forward "bridge" the one to plug guests into. */
  readonly bridge?: string
  readonly forward: 'none' | 'nat' | 'route' | 'bridge'
  /** CIDR of the host's end: "10.0.0.1/24", "fd00::1/64". */
  readonly address?: string
}
export type ReadNetwork = Pick<NetworkRecord, 'uuid' | 'name' | 'bridge' | 'forward' | 'address'>

/** Over a `base` only what differs is changed. Throws RMO_ERR_ARGUMENT_INVALID, RMO_ERR_DEFINITION_INVALID. */
export function networkXml(wish: NetworkWish, base?: string): string {
  for (const [path, text] of Object.entries({ name: wish.name, bridge: wish.bridge ?? '' })) {
    if (!isXmlText(text)) throw RMO.ARGUMENT_INVALID({ call: 'createNetwork', path, expected: 'text without control characters', got: JSON.stringify(text.slice(0, 80)) })
  }
  if (wish.forward === 'bridge' && (wish.bridge === undefined || wish.address !== undefined)) {
    throw RMO.ARGUMENT_INVALID({ call: 'createNetwork', path: wish.bridge === undefined ? 'bridge' : 'address', expected: 'a bridge and no address, with forward "bridge"', got: wish.bridge ?? String(wish.address) })
  }
  const root = base === undefined ? element('network', {}, [element('name', {}, [wish.name])]) : parseNetwork(base)
  const was = base === undefined ? undefined : readTree(root)
  if (wish.uuid !== undefined && was?.uuid !== wish.uuid) replace(root, 'uuid', element('uuid', {}, [wish.uuid]), ['name'])
  if (was?.name !== wish.name) setText(need(root, 'name'), wish.name)
  if (was?.forward !== wish.forward) changeForward(root, wish)
  if (wish.bridge !== undefined && was?.bridge !== wish.bridge) setAttributes(need(root, 'bridge', ['forward', 'name']), { name: wish.bridge })
  if (was === undefined && !givesAddresses(wish) && wish.forward !== 'bridge') replace(root, 'dns', element('dns', { enable: 'no' }))
  if (was?.address !== wish.address) replace(root, 'ip', wish.address === undefined ? undefined : ipElement(wish.address, givesAddresses(wish)))
  return writeXml(root)
}

/** @throws RMO_ERR_DEFINITION_INVALID */
export const readNetwork = (xml: string): ReadNetwork => readTree(parseNetwork(xml))

function parseNetwork(xml: string): XmlElement {
  const root = parseXml(xml, 'a network')
  if (root.name !== 'network') throw RMO.DEFINITION_INVALID({ what: 'a network', reason: `its root element is "${root.name}"` })
  return root
}

function readTree(root: XmlElement): ReadNetwork {
  const forward = find(root, 'forward')
  const address = elements(root, 'ip').map(readAddress).find((each) => each !== undefined)
  return {
    uuid: (textOf(root, 'uuid') ?? '').trim(),
    name: textOf(root, 'name') ?? '',
    bridge: attributeOf(find(root, 'bridge'), 'name') ?? '',
    forward: forward === undefined ? 'none' : forwardOf(attributeOf(forward, 'mode') ?? 'nat'),
    ...address === undefined ? {} : { address },
  }
}
const forwardOf = (mode: string): ReadNetwork['forward'] => mode === 'nat' || mode === 'route' || mode === 'bridge' ? mode : 'other'

function readAddress(ip: XmlElement): string | undefined {
  const address = attributeOf(ip, 'address')
  const prefix = attributeOf(ip, 'prefix') ?? prefixOf(attributeOf(ip, 'netmask'))
  return address === undefined || prefix === undefined ? undefined : `${address}/${prefix}`
}
const prefixOf = (netmask: string | undefined): string | undefined =>
  netmask === undefined || !isIPv4(netmask) ? undefined : String(toNumber(netmask).toString(2).replaceAll('0', '').length)

// ---------------------------------------------------------------- writing

const givesAddresses = (wish: NetworkWish): boolean => wish.forward === 'nat' && wish.address !== undefined && isIPv4(wish.address.split('/')[0] ?? '')

function changeForward(root: XmlElement, wish: NetworkWish): void {
  replace(root, 'forward', wish.forward === 'none' ? undefined : element('forward', { mode: wish.forward }), ['uuid', 'name'])
  // A bridge of the host takes no settings of ours; one that libvirt makes has spanning tree off, for quick ports.
  if (wish.forward === 'bridge') replace(root, 'bridge', element('bridge', { name: wish.bridge }), ['forward'])
  else setAttributes(need(root, 'bridge', ['forward', 'uuid', 'name']), { stp: 'off', delay: '0' })
}

function ipElement(cidr: string, dhcp: boolean): XmlElement {
  const [address = '', prefixText = ''] = cidr.split('/')
  const prefix = Number(prefixText)
  const four = isIPv4(address)
  if (!(four || isIPv6(address)) || !/^\d{1,3}$/.test(prefixText) || prefix < 1 || prefix > (four ? 30 : 126)) {
    throw RMO.ARGUMENT_INVALID({ call: 'createNetwork', path: 'address', expected: 'an address with its prefix length, like 10.0.0.1/24', got: JSON.stringify(cidr.slice(0, 80)) })
  }
  const ranges = dhcp ? [element('dhcp', {}, [element('range', rangeOf(address, prefix))])] : []
  return element('ip', { family: four ? undefined : 'ipv6', address, prefix }, ranges)
}

/** The larger of the two stretches beside the host's own address, without the network's and the broadcast address. */
export function rangeOf(address: string, prefix: number): { readonly start: string; readonly end: string } {
  const size = 2 ** (32 - prefix)
  const own = toNumber(address)
  const network = own - own % size
  const below = { start: network + 1, end: own - 1 }
  const above = { start: own + 1, end: network + size - 2 }
  const range = above.end - above.start >= below.end - below.start ? above : below
  return { start: toAddress(range.start), end: toAddress(range.end) }
}
const toNumber = (address: string): number => address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0)
const toAddress = (number: number): string => [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.')

// <interface>: an InterfaceDevice both ways. Pure.
//
// Interfaces of other types than bridge and network (user, direct, ethernet, ...) are shown by their MAC alone.
// Changing an element changes what differs from what it was read as; the rest (addresses, drivers, boot order, filters) stays.
// Source: libvirt's formatdomain, "Network interfaces": virtualport, vlan, bandwidth (average in KiB/s).

import type { InterfaceDevice } from '../../../settings.ts'
import { attributeOf, element, elements, find, need, replace, setAttributes } from './tree.ts'
import type { XmlElement } from './tree.ts'
import { defined } from './note.ts'

const MODELS: readonly string[] = ['virtio', 'e1000'] satisfies NonNullable<InterfaceDevice['model']>[]

/** Properties that mean the same when left out. */
export const INTERFACE_DEFAULTS = { switchType: 'linux', model: 'virtio' } as const satisfies Partial<InterfaceDevice>

/** Defaults are left out of what is read. */
export function readInterface(node: XmlElement): InterfaceDevice {
  const type = attributeOf(node, 'type')
  const source = find(node, 'source')
  const model = attributeOf(find(node, 'model'), 'type')
  return defined({
    type: 'interface' as const,
    bridge: type === 'bridge' ? attributeOf(source, 'bridge') : undefined,
    network: type === 'network' ? attributeOf(source, 'network') : undefined,
    switchType: attributeOf(find(node, 'virtualport'), 'type') === 'openvswitch' ? 'openvswitch' as const : undefined,
    mac: attributeOf(find(node, 'mac'), 'address')?.toLowerCase(),
    target: attributeOf(find(node, 'target'), 'dev'),
    model: model === 'e1000' ? model : undefined,
    vlan: readVlan(find(node, 'vlan')),
    rateKiBps: readRate(find(node, 'bandwidth')),
  }) as InterfaceDevice
}

function readVlan(vlan: XmlElement | undefined): InterfaceDevice['vlan'] {
  const tags = elements(vlan, 'tag').map((tag) => Number(attributeOf(tag, 'id'))).filter((tag) => Number.isInteger(tag))
  const [first] = tags
  if (first === undefined) return undefined
  return attributeOf(vlan, 'trunk') === 'yes' || tags.length > 1 ? { trunk: tags } : { tag: first }
}

function readRate(bandwidth: XmlElement | undefined): number | undefined {
  const average = attributeOf(find(bandwidth, 'inbound'), 'average') ?? attributeOf(find(bandwidth, 'outbound'), 'average')
  const rate = Number(average)
  return average === undefined || !Number.isSafeInteger(rate) ? undefined : rate
}

export const interfaceElement = (wish: InterfaceDevice): XmlElement => element('interface', { type: typeOf(wish) }, [
  wish.mac === undefined ? undefined : element('mac', { address: wish.mac }),
  sourceElement(wish),
  virtualport(wish),
  vlanElement(wish),
  wish.target === undefined ? undefined : element('target', { dev: wish.target }),
  element('model', { type: wish.model ?? INTERFACE_DEFAULTS.model }),
  bandwidthElement(wish),
])

const typeOf = (wish: InterfaceDevice): 'bridge' | 'network' => wish.network === undefined ? 'bridge' : 'network'
const sourceElement = (wish: InterfaceDevice): XmlElement =>
  wish.network === undefined ? element('source', { bridge: wish.bridge }) : element('source', { network: wish.network })
const virtualport = (wish: InterfaceDevice): XmlElement | undefined =>
  wish.switchType === 'openvswitch' ? element('virtualport', { type: 'openvswitch' }) : undefined

function vlanElement({ vlan }: InterfaceDevice): XmlElement | undefined {
  const tags = vlan === undefined ? [] : 'trunk' in vlan ? vlan.trunk : [vlan.tag]
  return vlan === undefined || tags.length === 0 ? undefined : element('vlan', { trunk: 'trunk' in vlan ? 'yes' : undefined }, tags.map((id) => element('tag', { id })))
}
const bandwidthElement = ({ rateKiBps }: InterfaceDevice): XmlElement | undefined => rateKiBps === undefined ? undefined
  : element('bandwidth', {}, [element('inbound', { average: rateKiBps }), element('outbound', { average: rateKiBps })])

/** Makes `node`, read as `was`, say `wish`. A MAC or target that is left out stays what it is: the hypervisor chose it. */
export function editInterface(node: XmlElement, was: InterfaceDevice, wish: InterfaceDevice): void {
  if (was.bridge !== wish.bridge || was.network !== wish.network) {
    setAttributes(node, { type: typeOf(wish) })
    replace(node, 'source', sourceElement(wish), ['mac'])
  }
  if ((was.switchType === 'openvswitch') !== (wish.switchType === 'openvswitch')) replace(node, 'virtualport', virtualport(wish), ['source'])
  if (wish.mac !== undefined && wish.mac.toLowerCase() !== was.mac) setAttributes(need(node, 'mac'), { address: wish.mac })
  if (wish.target !== undefined && wish.target !== was.target) setAttributes(need(node, 'target'), { dev: wish.target })
  const model = attributeOf(find(node, 'model'), 'type')
  const wanted = wish.model ?? (model !== undefined && MODELS.includes(model) ? INTERFACE_DEFAULTS.model : model)
  if (wanted !== undefined && wanted !== model) setAttributes(need(node, 'model'), { type: wanted })
  if (JSON.stringify(was.vlan) !== JSON.stringify(wish.vlan)) replace(node, 'vlan', vlanElement(wish), ['source', 'virtualport'])
  if (was.rateKiBps !== wish.rateKiBps) editRate(node, wish)
}

function editRate(node: XmlElement, wish: InterfaceDevice): void {
  if (wish.rateKiBps === undefined || find(node, 'bandwidth') === undefined) return replace(node, 'bandwidth', bandwidthElement(wish))
  const bandwidth = need(node, 'bandwidth')
  for (const direction of ['inbound', 'outbound']) setAttributes(need(bandwidth, direction), { average: wish.rateKiBps })
}

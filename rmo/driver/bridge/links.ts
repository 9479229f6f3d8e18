// Links as `ip -j -d -s link show` prints them, and the bridges and ports among them. Pure.
//
// Identity of what has none of its own: version 5 uuid of (machine, "switch" or "port", interface name), so a bridge that
// is made again under the same name is the same switch. `up` is the administrative state; a port's link is up when it
// also has a carrier.

import type { PortRecord, SwitchRecord } from '../../host/contract.ts'
import { namedUuid } from '../../uuid.ts'

export interface Link {
  readonly name: string
  /** linkinfo.info_kind: "bridge", "veth", "tun", ...; "" for hardware. */
  readonly kind: string
  /** Bridge that it is a port of; "" when none. */
  readonly master: string
  readonly up: boolean
  readonly carrier: boolean
  readonly mac: string
  readonly receivedBytes: number
  readonly sentBytes: number
}

type Fields = Readonly<Record<string, unknown>>
const record = (value: unknown): Fields => typeof value === 'object' && value !== null ? value as Fields : {}
const text = (value: unknown): string => typeof value === 'string' ? value : ''
const count = (value: unknown): number => typeof value === 'number' ? value : 0

/** Links that have a name; anything else in the answer is skipped. */
export function readLinks(answer: readonly unknown[]): readonly Link[] {
  return answer.map(record).filter((link) => text(link['ifname']) !== '').map((link) => {
    const flags = Array.isArray(link['flags']) ? link['flags'] : []
    const stats = record(link['stats64'])
    return {
      name: text(link['ifname']), kind: text(record(link['linkinfo'])['info_kind']), master: text(link['master']),
      up: flags.includes('UP'), carrier: flags.includes('LOWER_UP'), mac: text(link['address']),
      receivedBytes: count(record(stats['rx'])['bytes']), sentBytes: count(record(stats['tx'])['bytes']),
    }
  })
}

/** Rate of the token bucket at a device, from `tc -j qdisc show`, in bytes per second; 0 when there is none. */
export function readRates(answer: readonly unknown[]): ReadonlyMap<string, number> {
  return new Map(answer.map(record)
    .filter((qdisc) => qdisc['kind'] === 'tbf' && qdisc['root'] === true)
    .map((qdisc) => [text(qdisc['dev']), count(record(qdisc['options'])['rate'])]))
}

export const uuidOfLink = (machineUuid: string, what: 'switch' | 'port', name: string): string => namedUuid(machineUuid, `${what}/${name}`)

/** Bridges and their ports. A device whose master is something else (a bond, an Open vSwitch datapath) is no port here. */
export function bridgeRecords(links: readonly Link[], rates: ReadonlyMap<string, number>, machineUuid: string): { readonly switches: readonly SwitchRecord[]; readonly ports: readonly PortRecord[] } {
  const bridges = new Set(links.filter(({ kind }) => kind === 'bridge').map(({ name }) => name))
  return {
    switches: links.filter(({ name }) => bridges.has(name)).map(({ name, up }) => ({ uuid: uuidOfLink(machineUuid, 'switch', name), name, type: 'linux', datapath: '', up })),
    ports: links.filter(({ master }) => bridges.has(master)).map((link) => ({
      uuid: uuidOfLink(machineUuid, 'port', link.name), name: link.name, switchUuid: uuidOfLink(machineUuid, 'switch', link.master),
      vlanTag: 0, trunkTags: [], rateKiBps: Math.round((rates.get(link.name) ?? 0) / 1_024),
      linkUp: link.up && link.carrier, ...(link.mac === '' ? {} : { mac: link.mac }),
      receivedBytes: link.receivedBytes, sentBytes: link.sentBytes,
    })),
  }
}

// What an elastic group is to be: its spec with defaults, checked; and the template that its members are made from. Pure.
//
// A member is a copy of a VM with an identity of its own: root disk as an overlay of the same image, and everything left out
// that only one VM may have (uuid, name, MAC addresses, paths of disks, instance id, host name). Source: cloud.md 6.13, 6.14.

import type { Device, DiskDevice, VmSettings } from '../../rmo/mod.ts'
import type { ElasticSpec } from '../cloud/contract.ts'
import { KALI } from '../errors.ts'

const DEFAULTS: Omit<ElasticSpec, 'max'> = {
  out: 0.8, in: 0.3, min: 1, metric: { type: 'cpu' }, hold: 3, periodMs: 10_000, warmUpMs: 30_000, cooldownOutMs: 30_000, cooldownInMs: 300_000,
  stepOut: 1, stepIn: 1, margin: 0.1, flightMs: 900_000, drainMs: 120_000,
}

const wrong = (what: string, expected: string, got: unknown): Error => KALI.GROUP_SPEC({ what, expected, got: typeof got === 'string' ? got : JSON.stringify(got) ?? 'nothing' })
const isShare = (value: number): boolean => Number.isFinite(value) && value >= 0 && value <= 1
const isCount = (value: number, least: number): boolean => Number.isSafeInteger(value) && value >= least

/** Throws KALI_ERR_GROUP_SPEC. */
export function specWith(change: Partial<ElasticSpec>, before?: ElasticSpec): ElasticSpec {
  const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) as Partial<ElasticSpec>
  const { max } = { ...before, ...given }
  if (max === undefined) throw wrong('max', 'the greatest number of members (a load that does not spread never falls)', 'nothing')
  const spec: ElasticSpec = { ...DEFAULTS, ...before, ...given, max }
  for (const name of ['out', 'in', 'margin'] as const) if (!isShare(spec[name])) throw wrong(name, 'a ratio from 0 to 1', spec[name])
  if (spec.out <= spec.in) throw wrong('out', `above "in", which is ${spec.in}: between the two nothing happens`, spec.out)
  for (const name of ['min', 'max', 'hold', 'stepOut', 'stepIn'] as const) if (!isCount(spec[name], name === 'min' ? 0 : 1)) throw wrong(name, `a whole number of at least ${name === 'min' ? 0 : 1}`, spec[name])
  if (spec.min > spec.max) throw wrong('min', `at most "max", which is ${spec.max}`, spec.min)
  for (const name of ['periodMs', 'warmUpMs', 'cooldownOutMs', 'cooldownInMs', 'flightMs', 'drainMs'] as const) if (!Number.isFinite(spec[name]) || spec[name] < 0) throw wrong(name, 'milliseconds of at least 0', spec[name])
  for (const [at, { min = spec.min, max: most = spec.max }] of (spec.schedule ?? []).entries()) {
    if (!isCount(min, 0) || !isCount(most, 1) || min > most) throw wrong(`schedule[${at}]`, '"min" at most "max", whole numbers', { min, max: most })
    if (most > spec.max) throw wrong(`schedule[${at}].max`, `at most "max", which is ${spec.max}`, most)
  }
  return spec
}

/** Undefined: it stays with its VM. */
function diskFor(disk: DiskDevice, root: DiskDevice | undefined, image: string): DiskDevice | undefined {
  const { role } = disk
  if (role === 'seed') return undefined
  if (disk.device === 'cdrom' || disk.readOnly === true) return disk
  const { type, format, bus, target, sizeMiB, base } = disk
  const fresh = { type, format, create: 'auto' as const, ...(bus === undefined ? {} : { bus }), ...(target === undefined ? {} : { target }), ...(sizeMiB === undefined ? {} : { sizeMiB }) }
  if (disk === root) return { ...fresh, format: 'qcow2', role: 'root', ...(base === undefined || base === image ? {} : { base }) }
  if (base !== undefined) return { ...fresh, base }
  if (sizeMiB === undefined) throw wrong(`disk ${disk.path ?? disk.volume?.name ?? target ?? ''}`, 'an overlay of an image, or of a size that members can have anew: several VMs cannot write to one disk', 'a disk of this VM only')
  return fresh
}

/** Throws KALI_ERR_GROUP_SPEC. `group`: name of the group. */
export function templateOf({ devices, context, image, instanceId: _instanceId, autostart: _autostart, ...rest }: VmSettings, group: string): VmSettings {
  const disks = devices.filter((device) => device.type === 'disk')
  const root = disks.find(({ role }) => role === 'root') ?? disks.find(({ device, role }) => device !== 'cdrom' && role === undefined)
  const from = image ?? root?.base
  if (from === undefined) throw wrong(`VM ${rest.name}`, 'made from an image, so that members can be made as overlays of it (import its disk as an image: kumoi image import; then create the VM from that image)', 'a disk of its own')
  const { hostname: _hostname, network: _network, ...said } = context ?? {}
  return {
    ...rest, name: group, image: from,
    devices: devices.flatMap((device): readonly Device[] => {
      if (device.type === 'disk') return [diskFor(device, root, from)].filter((disk) => disk !== undefined)
      const { mac: _mac, target: _target, ...link } = device
      return [link]
    }),
    ...(context === undefined ? {} : { context: said }),
  }
}

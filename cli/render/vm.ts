// One VM as lines of fields.

import type { VM } from '../../rmo/mod.ts'
import type { Style } from './style.ts'
import { durationText, ratioText } from './units.ts'
import { fields } from './value.ts'

export const vmFields = (vm: VM, style: Style): string => fields([
  ['name', vm.name], ['uuid', vm.uuid], ['state', vm.state], ['host', vm.host], ['cpu', `${ratioText(vm.cpuRatio)} of ${vm.vcpus} ${vm.vcpus === 1 ? 'vcpu' : 'vcpus'}`], ['memory', `${vm.memoryMiB} MiB`],
  ...(vm.image === '' ? [] : [['image', vm.image] as const]),
  ...(vm.uptimeSeconds > 0 ? [['up', durationText(vm.uptimeSeconds * 1_000)] as const] : []),
  ...vm.devices.map((device) => device.type === 'disk'
    ? ['disk', `${device.target ?? '-'} ${device.path ?? `${device.volume?.pool ?? ''}/${device.volume?.name ?? ''}`} (${device.format}${device.role === undefined ? '' : `, ${device.role}`})`] as const
    : ['interface', `${device.target ?? '-'} ${device.mac ?? '-'} on ${device.bridge ?? device.network ?? '-'}${device.vlan === undefined ? '' : 'tag' in device.vlan ? ` tag ${device.vlan.tag}` : ` trunk ${device.vlan.trunk.join(',')}`}`] as const),
  ...Object.entries(vm.labels).map(([key, value]) => ['label', `${key}=${value}`] as const),
  ...(vm.description === '' ? [] : [['description', vm.description] as const]),
], style)

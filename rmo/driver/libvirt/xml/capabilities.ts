// <capabilities>: what a hypervisor and its host can do. Pure. Source: libvirt's formatcaps.

import { RMO } from '../../../errors.ts'
import { attributeOf, elements, find, parseXml, textOf } from './tree.ts'
import type { DomainFlavour } from './domain.ts'

export interface Guest {
  readonly arch: string
  readonly emulator?: string
  readonly machines: readonly string[]
  /** "kvm", "qemu", "test", ... */
  readonly types: readonly string[]
}
export interface Capabilities {
  /** Of the host; "" when the hypervisor does not say (test:///default). */
  readonly uuid: string
  readonly arch: string
  readonly cpuModel?: string
  readonly guests: readonly Guest[]
}

/** @throws RMO_ERR_DEFINITION_INVALID */
export function readCapabilities(xml: string): Capabilities {
  const root = parseXml(xml, 'the host')
  const cpu = find(root, 'host', 'cpu')
  const cpuModel = textOf(cpu, 'model')
  return {
    uuid: textOf(root, 'host', 'uuid') ?? '',
    arch: textOf(cpu, 'arch') ?? '',
    ...cpuModel === undefined ? {} : { cpuModel },
    guests: elements(root, 'guest').filter((guest) => textOf(guest, 'os_type') === 'hvm').map((guest): Guest => {
      const arch = find(guest, 'arch')
      const emulator = textOf(arch, 'emulator')
      return {
        arch: attributeOf(arch, 'name') ?? '',
        ...emulator === undefined ? {} : { emulator },
        machines: elements(arch, 'machine').map((machine) => textOf(machine) ?? ''),
        types: elements(arch, 'domain').map((domain) => attributeOf(domain, 'type') ?? ''),
      }
    }),
  }
}

/** What KVM offers its guests, of <domainCapabilities> for type kvm. */
export interface Kvm { readonly whole: boolean }
/** SSE3, which every 64-bit x86 processor has had since 2005. */
const BASELINE = 'pni'
/**
 * Not whole: /dev/kvm opens, but what stands behind it withholds features that every processor has (a virtual machine or
 * sandbox that passes on the shell of a KVM). Guests hang in their first instructions there; emulated ones run.
 * @throws RMO_ERR_DEFINITION_INVALID
 */
export function readKvm(domainCapabilities: string): Kvm {
  const cpu = find(parseXml(domainCapabilities, 'the host'), 'cpu')
  const model = elements(cpu, 'mode').find((mode) => attributeOf(mode, 'name') === 'host-model')
  return { whole: !elements(model, 'feature').some((feature) => attributeOf(feature, 'name') === BASELINE && attributeOf(feature, 'policy') === 'disable') }
}

/** How new domains run here: on the host's own architecture, with KVM where it is whole, else emulated. */
export function flavourOf(capabilities: Capabilities, kvm?: Kvm): DomainFlavour {
  const types = (['kvm', 'qemu', 'test'] as const).filter((type) => type !== 'kvm' || kvm?.whole !== false)
  const typeOf = (guest: Guest): DomainFlavour['type'] | undefined => types.find((type) => guest.types.includes(type))
  const runnable = capabilities.guests.filter((guest) => typeOf(guest) !== undefined)
  const guest = runnable.find(({ arch }) => arch === capabilities.arch) ?? runnable[0]
  const type = guest === undefined ? undefined : typeOf(guest)
  if (guest === undefined || type === undefined) {
    throw RMO.DRIVER_UNSUPPORTED({ operation: 'define', driver: 'libvirt', reason: 'this hypervisor runs neither KVM nor QEMU guests; install qemu-system' })
  }
  const machine = ['pc', 'q35', 'virt'].find((name) => guest.machines.includes(name))
  return { type, arch: guest.arch, ...type === 'test' || machine === undefined ? {} : { machine } }
}

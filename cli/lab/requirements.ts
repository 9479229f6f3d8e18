// What a libvirt lab needs of the machine: programs, and the Debian packages that have them.

import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'

import { CLI } from '../errors.ts'
import type { LabSwitch } from './contract.ts'

export interface Requirement { readonly program: string; readonly package: string; readonly only?: LabSwitch }

export const REQUIREMENTS: readonly Requirement[] = [
  { program: 'libvirtd', package: 'libvirt-daemon-system' },
  { program: 'virsh', package: 'libvirt-clients' },
  { program: 'qemu-system-x86_64', package: 'qemu-system-x86' },
  { program: 'qemu-img', package: 'qemu-utils' },
  { program: 'xorrisofs', package: 'xorriso' },
  { program: 'ip', package: 'iproute2' },
  { program: 'nsenter', package: 'util-linux' },
  { program: 'unshare', package: 'util-linux' },
  { program: 'mount', package: 'mount' },
  { program: 'perl', package: 'perl-base' },
  { program: 'apt-get', package: 'apt' },
  { program: 'dpkg-deb', package: 'dpkg' },
  { program: 'ovs-vsctl', package: 'openvswitch-switch', only: 'ovs' },
  { program: 'ovs-vswitchd', package: 'openvswitch-switch', only: 'ovs' },
  { program: 'ovsdb-server', package: 'openvswitch-switch', only: 'ovs' },
]

const FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

const isThere = async (program: string): Promise<boolean> => {
  for (const folder of FOLDERS) if (await access(join(folder, program), constants.X_OK).then(() => true, () => false)) return true
  return false
}

/** Requirements of such a lab that this machine lacks. */
export async function missingFor(kind: LabSwitch): Promise<readonly Requirement[]> {
  const wanted = REQUIREMENTS.filter(({ only }) => only === undefined || only === kind)
  const there = await Promise.all(wanted.map(({ program }) => isThere(program)))
  return wanted.filter((_, at) => !there[at])
}

/** Throws CLI_ERR_LAB_MISSING with the packages to install, CLI_ERR_LAB_REFUSED without root. */
export async function requireLibvirtLab(kind: LabSwitch): Promise<void> {
  const missing = await missingFor(kind)
  if (missing.length > 0) throw CLI.LAB_MISSING({ missing: missing.map(({ program }) => program), packages: [...new Set(missing.map((one) => one.package))] })
  if (process.getuid?.() !== 0) throw CLI.LAB_REFUSED({ what: 'A libvirt lab cannot be made', reason: 'it needs root for its namespaces', advice: 'Use sudo, or --driver memory, which needs no root.' })
}

// `kumoi lab up`: a data center on this machine, see cli/lab/lab.ts.

import { LIMITS } from '../../../fabric/base.ts'
import { choice, defineCommand, integer } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { labStatus, labUp } from '../../lab/lab.ts'
import { readRecord } from '../../lab/record.ts'
import { missingFor } from '../../lab/requirements.ts'
import { LAB_OPTIONS, flagsOf, labName, labWorld } from '../../lab/shell.ts'

const HOSTS_DEFAULT = 3
const hostCount = integer(1, LIMITS.labHostsMax)
const driverName = choice('libvirt', 'memory')
const switchKind = choice('linux', 'ovs')

export const upCommand = defineCommand({
  name: 'lab up',
  summary: 'Make a data center on this machine: hosts with hypervisor, storage, network and node',
  operands: '',
  details: 'With libvirt (root, Linux) each host is a set of namespaces with a libvirtd of its own and a shared /nfs; with memory, a node that simulates its hypervisor. A lab that is up stays as it is; hosts that are off are switched on.',
  options: {
    ...LAB_OPTIONS,
    hosts: { flags: '--hosts <n>', help: `host1 to hostN (default: ${HOSTS_DEFAULT})`, parse: hostCount },
    driver: { flags: '--driver <driver>', help: 'libvirt or memory (default: libvirt as root where it is installed)', parse: driverName },
    switch: { flags: '--switch <kind>', help: 'the bridge xenbr of each host: linux or ovs (default: linux)', parse: switchKind },
  },
  examples: [
    { command: 'kumoi lab up --hosts 3', does: 'host1, host2, host3' },
    { command: 'eval "$(kumoi lab env)"', does: 'then kumoi commands go to host1\'s node' },
    { command: 'kumoi lab up --driver memory --name small --hosts 2', does: 'simulated, without root' },
  ],
  output: 'value',
  async run(shell, _operands, { name, dir, hosts, driver, switch: kind }) {
    const { out } = shell
    const labChoice = { ...name === undefined ? {} : { name }, ...dir === undefined ? {} : { dir } }
    const world = labWorld(shell, labChoice)
    // What was made is the default of what is wished: `kumoi lab up` again after a power cut.
    const known = await readRecord(world.directory)
    const usable = async (): Promise<'libvirt' | 'memory'> => process.getuid?.() === 0 && (await missingFor(kind ?? 'linux')).length === 0 ? 'libvirt' : 'memory'
    const wish = { name: labName(labChoice), directory: world.directory, hosts: hosts ?? known?.hosts.length ?? HOSTS_DEFAULT, driver: driver ?? known?.driver ?? await usable(), switch: kind ?? known?.switch ?? 'linux' } as const
    try {
      const { record, changed } = await labUp(world, { ...wish, signal: shell.interrupt.signal, onProgress: (step, done, total) => out.progress.show(step, done / total) })
      const status = await labStatus(world, record)
      out.progress.stop()
      out.result(status, () => `${record.name} ${changed ? 'is up' : 'was up already'}: ${record.hosts.map((host) => host.name).join(', ')} (${record.driver})`)
      out.note(`Point the shell at it: eval "$(kumoi lab env${flagsOf(labChoice)})". Remove it: kumoi lab down${flagsOf(labChoice)}`)
      return EXIT.done
    } finally {
      out.progress.stop()
    }
  },
})

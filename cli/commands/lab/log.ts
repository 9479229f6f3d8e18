// `kumoi lab log HOST`: what the host's node and daemons have said.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { choice as oneOf, defineCommand } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { folderOfHost } from '../../lab/lab.ts'
import { hostOf } from '../../lab/record.ts'
import { LAB_OPTIONS, openLab } from '../../lab/shell.ts'

const program = oneOf('node', 'libvirtd', 'openvswitch')

export const logCommand = defineCommand({
  name: 'lab log',
  summary: 'Print a host\'s log',
  operands: '<host>',
  options: { ...LAB_OPTIONS, of: { flags: '--of <program>', help: 'node, libvirtd or openvswitch (default: node)', parse: program } },
  examples: [{ command: 'kumoi lab log host2', does: 'of its node' }, { command: 'kumoi lab log host2 --of libvirtd', does: 'of its hypervisor' }],
  output: 'text',
  async run(shell, [name], { of = 'node', ...choice }) {
    const { world, record } = await openLab(shell, choice)
    const host = hostOf(record, name)
    const path = of === 'node' ? join(host.data, 'node.log') : join(folderOfHost(world, host), 'log', `${of}.log`)
    const text = await readFile(path, 'utf8').catch((error: unknown) => { throw CLI.LAB_REFUSED({ what: `${host.name} has no log of ${of}`, reason: String(error instanceof Error ? error.message : error), advice: 'See `kumoi lab status`.' }) })
    shell.world.stdout.write(text)
    return EXIT.done
  },
})

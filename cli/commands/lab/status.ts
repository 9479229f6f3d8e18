// `kumoi lab status`: what of each host runs.

import { defineCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { labStatus } from '../../lab/lab.ts'
import { LAB_OPTIONS, openLab } from '../../lab/shell.ts'

export const statusCommand = defineCommand({
  name: 'lab status',
  summary: 'Show the hosts of the lab',
  operands: '',
  options: LAB_OPTIONS,
  examples: [{ command: 'kumoi lab status', does: 'name, state, address, processes, data directory; its group after a partition' }],
  output: 'value',
  async run(shell, _operands, choice) {
    const { world, record } = await openLab(shell, choice)
    const status = await labStatus(world, record)
    const parted = new Set(status.hosts.map((host) => host.group)).size > 1
    if (shell.settings.json) shell.out.result(status)
    else shell.out.result(status.hosts.map(({ name, state, address, processes, data, group }) => ({ name, state, address, processes, ...parted ? { group } : {}, data })))
    return EXIT.done
  },
})

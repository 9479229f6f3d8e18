// `kumoi lab down`: ends every process of the lab and removes its directory.

import { defineCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { labDown } from '../../lab/lab.ts'
import { readRecord } from '../../lab/record.ts'
import { LAB_OPTIONS, labWorld } from '../../lab/shell.ts'

export const downCommand = defineCommand({
  name: 'lab down',
  summary: 'Remove the lab with all its guests and disks; leaves no trace',
  operands: '',
  details: 'Works whatever has become of the lab, also after a restart of this machine.',
  options: LAB_OPTIONS,
  examples: [{ command: 'kumoi lab down', does: 'the default lab' }, { command: 'kumoi lab down --name small', does: 'another' }],
  output: 'value',
  async run(shell, _operands, choice) {
    const world = labWorld(shell, choice)
    const record = await readRecord(world.directory)
    if (record !== undefined) await labDown(world, record)
    shell.out.result({ directory: world.directory, state: 'gone' }, () => (record === undefined ? `There is no lab in ${world.directory}` : `${record.name} is gone`))
    return EXIT.done
  },
})

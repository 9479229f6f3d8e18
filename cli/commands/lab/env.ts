// `eval "$(kumoi lab env)"`: points the shell at a node of the lab.

import { defineCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { hostOf } from '../../lab/record.ts'
import { LAB_OPTIONS, openLab } from '../../lab/shell.ts'

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

export const envCommand = defineCommand({
  name: 'lab env',
  summary: 'Print what points a shell at a host\'s node',
  operands: '[host]',
  options: LAB_OPTIONS,
  examples: [{ command: 'eval "$(kumoi lab env)"', does: 'host1' }, { command: 'eval "$(kumoi lab env host2)"', does: 'host2' }],
  output: 'value',
  async run(shell, [name], choice) {
    const { record } = await openLab(shell, choice)
    const { data } = hostOf(record, name)
    shell.out.result({ KUMOI_DATA: data }, () => `export KUMOI_DATA=${quoted(data)}`)
    return EXIT.done
  },
})

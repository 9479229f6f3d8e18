// `kumoi rollback NAME [VERSION]`: one pointer moves; every later call runs the version before.

import { defineCommand } from '../command.ts'
import { EXIT } from '../errors.ts'
import { versionText } from '../render/function.ts'
import { withDataCenter } from '../session.ts'

export const rollbackCommand = defineCommand({
  name: 'rollback',
  summary: 'Go back to the version of a function before, or to one that is kept',
  operands: '<name> [version]',
  details: 'Again goes one further back. `kumoi functions NAME` shows what is kept.',
  options: {},
  examples: [{ command: 'kumoi rollback hot-machines', does: 'to the version before' }, { command: 'kumoi rollback hot-machines 3f2a91c0', does: 'to this one, forward too' }],
  output: 'value',
  run: (shell, [name = '', version]) => withDataCenter(shell, async (dc) => {
    const record = await dc.functions.rollback(name, version)
    const { stable } = record.aliases
    shell.out.result(record, () => `${name} runs ${versionText(stable?.version ?? '')} again`)
    return EXIT.done
  }),
})

// `kumoi rm NAME...`: forgets functions, with their versions, state and waiting calls.

import { eachName } from '../by-name.ts'
import { defineCommand } from '../command.ts'
import { confirm } from '../confirm.ts'
import { EXIT } from '../errors.ts'
import { withDataCenter } from '../session.ts'

export const rmCommand = defineCommand({
  name: 'rm',
  summary: 'Remove functions, with their versions, state and waiting calls',
  operands: '<names...>',
  details: 'On a terminal it asks first; there is no way back but to deploy again.',
  options: { yes: { flags: '--yes', help: 'do not ask' } },
  examples: [{ command: 'kumoi rm hot-machines', does: 'asks, on a terminal' }, { command: 'kumoi rm --yes hot-machines cold-machines', does: 'at once' }],
  output: 'value',
  run: (shell, names, { yes }) => withDataCenter(shell, async (dc) => {
    if (yes !== true && !await confirm(shell, `Remove ${names.join(', ')} with all versions and state?`)) {
      shell.out.note('Nothing was removed.')
      return EXIT.failed
    }
    return eachName(shell, names, { done: 'removed', work: (name) => dc.functions.remove(name) })
  }),
})

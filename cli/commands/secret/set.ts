// `kumoi secret set NAME`: the value comes from standard input, or from a question without echo.

import { defineCommand } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { readHidden } from '../../prompt.ts'
import { withDataCenter } from '../../session.ts'

export const setCommand = defineCommand({
  name: 'secret set',
  summary: 'Keep a secret for the functions that name it',
  operands: '<name>',
  details: 'The value is sealed to the nodes that are up; nodes that join later get it from one of them. It is taken out of what functions log. Setting it again is how it is rotated.',
  options: {},
  examples: [
    { command: 'kumoi secret set api-key', does: 'asks for the value without showing it' },
    { command: 'pass show api | kumoi secret set api-key', does: 'from another program' },
  ],
  output: 'value',
  async run(shell, [name = '']) {
    const value = await readHidden(shell, `Value of ${name}: `)
    if (value === '') throw CLI.USAGE({ problem: 'kumoi secret set: the value is empty', hint: 'Type it when asked, or give it on standard input.' })
    return withDataCenter(shell, async (dc) => {
      const row = await dc.functions.secrets.set(name, value)
      shell.out.result(row, () => `${row.name} is kept for ${row.sealedTo.join(', ')}`)
      if (row.usedBy.length === 0 && !shell.settings.json) shell.out.note(`No function names it yet: secrets: ['${row.name}'] in its definition.`)
      return EXIT.done
    })
  },
})

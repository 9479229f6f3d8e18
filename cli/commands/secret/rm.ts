// `kumoi secret rm NAME`: forgets a secret.

import { nearest } from '../../../fabric/base.ts'
import { defineCommand } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { withDataCenter } from '../../session.ts'

export const rmCommand = defineCommand({
  name: 'secret rm',
  summary: 'Forget a secret; functions that read it fail from then on',
  operands: '<name>',
  options: {},
  examples: [{ command: 'kumoi secret rm api-key', does: 'functions that run may still hold the value' }],
  output: 'value',
  run: (shell, [name = '']) => withDataCenter(shell, async (dc) => {
    const { secrets } = dc.functions
    const rows = await secrets.list()
    const row = rows.find((one) => one.name === name)
    const known = rows.map((one) => one.name)
    if (row === undefined) throw CLI.NOT_FOUND({ what: 'secret', name, near: nearest(name, known), known, more: 0 })
    await secrets.remove(name)
    shell.out.result({ name }, () => `${name} removed`)
    if (row.usedBy.length > 0) shell.out.warn(`these functions still name it: ${row.usedBy.join(', ')}`)
    return EXIT.done
  }),
})

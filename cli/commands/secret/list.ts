// `kumoi secret list`: which secrets there are, for whom; never what they are.

import { defineCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { table } from '../../render/table.ts'
import { durationText } from '../../render/units.ts'
import { withDataCenter } from '../../session.ts'

export const listCommand = defineCommand({
  name: 'secret list',
  summary: 'List the secrets, never their values',
  operands: '',
  options: {},
  examples: [{ command: 'kumoi secret list', does: 'name, age, who set it, nodes that can open it, functions that name it' }],
  output: 'value',
  run: (shell) => withDataCenter(shell, async (dc) => {
    const rows = await dc.functions.secrets.list()
    const nowMs = shell.world.clock.wallMs()
    shell.out.result(rows, (layout) => rows.length === 0 ? undefined : table(
      [{ title: 'name' }, { title: 'age', align: 'right' }, { title: 'by' }, { title: 'nodes' }, { title: 'used by' }],
      rows.map(({ name, updatedAtMs, by, sealedTo, usedBy }) => [name, durationText(nowMs - updatedAtMs), by, sealedTo.join(' ') || '-', usedBy.join(' ') || '-']), layout))
    if (rows.length === 0 && !shell.settings.json) shell.out.note('No secrets. `kumoi secret set NAME` keeps one.')
    return EXIT.done
  }),
})

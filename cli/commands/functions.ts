// `kumoi functions [NAME]`: what is deployed; of one, its versions and what they are.

import { defineCommand } from '../command.ts'
import { EXIT } from '../errors.ts'
import { functionsTable, functionText } from '../render/function.ts'
import { withDataCenter } from '../session.ts'

export const functionsCommand = defineCommand({
  name: 'functions',
  summary: 'List deployed functions, or show one with its versions',
  operands: '[name]',
  options: {},
  examples: [
    { command: 'kumoi functions', does: 'name, version, trigger, rights, aliases, who holds it' },
    { command: 'kumoi functions hot-machines', does: 'one: manifest, versions, what rollback goes to' },
    { command: 'kumoi --json functions hot-machines', does: 'for programs, whole hashes too' },
  ],
  output: 'value',
  run: (shell, [name]) => withDataCenter(shell, async (dc) => {
    const { out, world, settings } = shell
    const { triggerText } = await import('../../functions/base.ts')
    const problems = (await dc.functions.problems()).filter((problem) => name === undefined || problem.name === name)
    for (const problem of problems) out.warn(`the record of ${problem.name} is not used: ${problem.reason}. Deploy it again.`)
    if (name !== undefined) {
      const row = await dc.functions.get(name)
      out.result(row, (layout) => functionText(row, triggerText, layout, world.clock.wallMs()))
      return EXIT.done
    }
    const rows = await dc.functions.list()
    out.result(rows, (layout) => (rows.length === 0 ? undefined : functionsTable(rows, triggerText, layout, world.clock.wallMs())))
    if (rows.length === 0 && !settings.json) out.note('No functions. Deploy one: `kumoi deploy FILE.ts`.')
    return EXIT.done
  }),
})

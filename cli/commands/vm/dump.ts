// `kumoi vm dump NAME`: the VM as JSON; `kumoi vm load` makes it again.

import { defineCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { findVm } from '../../objects.ts'
import { withDataCenter } from '../../session.ts'

export const dumpCommand = defineCommand({
  name: 'vm dump',
  summary: 'Print a virtual machine as JSON that `vm load` makes again',
  operands: '<name>',
  options: {},
  examples: [{ command: 'kumoi vm dump web1 > web1.json', does: 'settings, version, attributes' }],
  output: 'value',
  run: (shell, [name = '']) => withDataCenter(shell, async (dc) => {
    const dump = await (await findVm(dc, shell.out, name)).dump()
    shell.out.result(dump, () => JSON.stringify(dump, undefined, 2))
    return EXIT.done
  }),
})

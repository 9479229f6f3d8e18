// `kumoi vm show NAME`: what it is, and how it does.

import { defineCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { findVm } from '../../objects.ts'
import { vmFields } from '../../render/vm.ts'
import { withDataCenter } from '../../session.ts'

export const showCommand = defineCommand({
  name: 'vm show',
  summary: 'Show one virtual machine',
  operands: '<name>',
  options: { definition: { flags: '--definition', help: "the hypervisor's own text of it (domain XML)" } },
  examples: [{ command: 'kumoi vm show web1', does: 'state, host, disks, interfaces' }, { command: 'kumoi vm show web1 --definition', does: 'domain XML' }],
  output: 'value',
  run: (shell, [name = ''], { definition }) => withDataCenter(shell, async (dc) => {
    const vm = await findVm(dc, shell.out, name)
    const info = await vm.info()
    if (definition === true) shell.out.result(info.definition)
    else shell.out.result(info, (layout) => vmFields(vm, layout.style) + (info.migration === undefined ? '' : `\n${layout.style.dim(`last migration: ${info.migration.from} to ${info.migration.to}, ${info.migration.phase}`)}`))
    return EXIT.done
  }),
})

// `kumoi pool place POOL`: where a VM would go, by the pool's scheduler or another. Nothing is done.

import { findPool, refuseUnknownScheduler } from '../../cloud.ts'
import { defineCommand, integer, text } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { findVm } from '../../objects.ts'
import { choiceText, namesIn } from '../../render/cloud.ts'
import { withDataCenter } from '../../session.ts'

export const placeCommand = defineCommand({
  name: 'pool place',
  summary: 'Say where a VM would go, and why not elsewhere; nothing is done',
  operands: '<pool>',
  options: {
    vcpus: { flags: '--vcpus <n>', help: 'of a VM that is not there (default: 1)', parse: integer(1, 512) },
    memory: { flags: '--memory <MiB>', help: 'and its memory (default: 512)', parse: integer(1, 64 * 1024 * 1024) },
    vm: { flags: '--vm <name>', help: 'a VM that is there', parse: text },
    scheduler: { flags: '--scheduler <name>', help: 'by this one instead of the pool\'s', parse: text },
  },
  examples: [{ command: 'kumoi pool place hpc --vcpus 4 --memory 2048', does: 'scores of machines that can, filters of those that cannot' }, { command: 'kumoi pool place hpc --vm web1 --scheduler packing', does: 'what another scheduler would say' }],
  output: 'value',
  run: (shell, [name = ''], { vcpus, memory, vm, scheduler }) => withDataCenter(shell, async (dc) => {
    if (vm !== undefined && (vcpus ?? memory) !== undefined) throw CLI.USAGE({ problem: 'kumoi pool place: --vm is there already with vcpus and memory of its own', hint: 'Say either --vm, or --vcpus and --memory.' })
    const pool = await findPool(dc, shell.out, name)
    const need = vm === undefined ? { vcpus: vcpus ?? 1, memoryMiB: memory ?? 512 } : await findVm(dc, shell.out, vm)
    await refuseUnknownScheduler(dc, scheduler)
    const choice = await pool.place(need, scheduler === undefined ? {} : { scheduler })
    const names = namesIn(await pool.snapshot())
    shell.out.result(choice, (layout) => choiceText(choice, names, layout))
    return choice.chosen === undefined ? EXIT.failed : EXIT.done
  }),
})

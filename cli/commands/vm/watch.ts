// `kumoi vm watch NAME`: its events as they come, one line each.

import { defineCommand, durationMs } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { findVm } from '../../objects.ts'
import { neutralLine } from '../../render/text.ts'
import { cellText } from '../../render/value.ts'
import { withDataCenter } from '../../session.ts'

export const watchCommand = defineCommand({
  name: 'vm watch',
  summary: 'Print the events of a virtual machine until Ctrl-C',
  operands: '<name>',
  options: { sample: { flags: '--sample <time>', help: 'figures too, this often', parse: durationMs } },
  examples: [{ command: 'kumoi vm watch web1', does: 'started, stopped, crashed, migrated, ...' }, { command: 'kumoi --json vm watch web1 --sample 2s', does: 'one JSON line an event' }],
  output: 'text',
  run: (shell, [name = ''], { sample }) => withDataCenter(shell, async (dc) => {
    const vm = await findVm(dc, shell.out, name)
    const watch = vm.watch(sample === undefined ? {} : { sampleEveryMs: sample })
    shell.interrupt.signal.addEventListener('abort', () => watch.unwatch(), { once: true })
    for await (const event of watch) {
      const { type, atMs, ...rest } = event
      if (shell.settings.json) shell.world.stdout.write(`${JSON.stringify(event)}\n`)
      else shell.world.stdout.write(`${new Date(atMs).toISOString()} ${type}${Object.entries(rest).map(([key, value]) => ` ${key}=${neutralLine(cellText(value))}`).join('')}\n`)
    }
    return shell.interrupt.signal.aborted ? shell.interrupt.status : EXIT.done
  }),
})

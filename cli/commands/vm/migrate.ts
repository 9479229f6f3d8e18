// `kumoi vm migrate NAME MACHINE`: live, with a progress bar; Ctrl-C cancels, and the VM stays where it is.

import { defineCommand, integer } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { findMachine, findVm } from '../../objects.ts'
import { withDataCenter } from '../../session.ts'

export const migrateCommand = defineCommand({
  name: 'vm migrate',
  summary: 'Move a virtual machine to another machine, live',
  operands: '<name> <machine>',
  options: {
    bandwidth: { flags: '--bandwidth <MiB/s>', help: 'at most this much', parse: integer(1, 1_000_000) },
    downtime: { flags: '--downtime <ms>', help: 'longest pause at the end', parse: integer(1, 600_000) },
  },
  examples: [{ command: 'kumoi vm migrate web1 host2', does: 'it goes on running meanwhile' }],
  output: 'value',
  run: (shell, [name = '', machine = ''], { bandwidth, downtime }) => withDataCenter(shell, async (dc) => {
    const vm = await findVm(dc, shell.out, name)
    const to = await findMachine(dc, machine)
    const watch = vm.watch()
    const follow = (async () => {
      for await (const event of watch) if (event.type === 'migrating') shell.out.progress.show(event.phase, event.totalBytes > 0 ? event.doneBytes / event.totalBytes : undefined)
    })().catch(() => {})
    try {
      const moved = await vm.migrate(to, { ...(bandwidth === undefined ? {} : { bandwidthMiBps: bandwidth }), ...(downtime === undefined ? {} : { downtimeMsMax: downtime }) })
      shell.out.progress.stop()
      shell.out.result(moved, () => `${moved.name} runs on ${moved.host}`)
      return EXIT.done
    } finally {
      watch.unwatch()
      await follow
    }
  }),
})

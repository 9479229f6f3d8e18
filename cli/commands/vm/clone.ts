// `kumoi vm clone NAME NEW`: a copy with an identity of its own.

import { defineCommand, text } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { findMachine, findVm } from '../../objects.ts'
import { vmFields } from '../../render/vm.ts'
import { withDataCenter } from '../../session.ts'

export const cloneCommand = defineCommand({
  name: 'vm clone',
  summary: 'Make a copy of a virtual machine, with its own uuid, MAC addresses and instance id',
  operands: '<name> <new-name>',
  options: {
    to: { flags: '--to <machine>', help: 'where the copy lives (default: beside the original)', parse: text },
    full: { flags: '--full', help: 'copy the disks instead of overlays (copy-on-write)' },
    start: { flags: '--start', help: 'start it now' },
  },
  examples: [{ command: 'kumoi vm clone web1 web2 --start', does: 'by overlay: nothing is copied' }, { command: 'kumoi vm clone web1 web3 --to host2 --full', does: 'an independent copy elsewhere' }],
  output: 'value',
  run: (shell, [name = '', newName = ''], { to, full, start }) => withDataCenter(shell, async (dc) => {
    const vm = await findVm(dc, shell.out, name)
    const machine = to === undefined ? undefined : await findMachine(dc, to)
    shell.out.progress.show(full === true ? 'copying disks' : 'cloning', undefined)
    const clone = await vm.clone({ name: newName, ...(machine === undefined ? {} : { to: machine }), ...(full === true ? { disks: 'full' as const } : {}), ...(start === true ? { start } : {}) })
    shell.out.progress.stop()
    shell.out.result(clone, (layout) => vmFields(clone, layout.style))
    return EXIT.done
  }),
})

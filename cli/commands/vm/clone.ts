// `kumoi vm clone NAME NEW`: a copy with an identity of its own.

import type { VmEvent } from '../../../rmo/mod.ts'
import { defineCommand, text } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { following } from '../../follow.ts'
import { findMachine, findVm } from '../../objects.ts'
import { vmFields } from '../../render/vm.ts'
import { withDataCenter } from '../../session.ts'

export const cloneCommand = defineCommand({
  name: 'vm clone',
  summary: 'Make a copy of a stopped virtual machine, with its own uuid, MAC addresses and instance id',
  operands: '<name> <new-name>',
  options: {
    to: { flags: '--to <machine>', help: 'where the copy lives; it must see the same storage (default: beside the original)', parse: text },
    full: { flags: '--full', help: 'copy the disks instead of overlays (copy-on-write)' },
    start: { flags: '--start', help: 'start it now' },
  },
  examples: [{ command: 'kumoi vm clone web1 web2 --start', does: 'by overlay: nothing is copied' }, { command: 'kumoi vm clone web1 web3 --to host2 --full', does: 'an independent copy elsewhere' }],
  output: 'value',
  run: (shell, [name = '', newName = ''], { to, full, start }) => withDataCenter(shell, async (dc) => {
    const vm = await findVm(dc, shell.out, name)
    const machine = to === undefined ? undefined : await findMachine(dc, to)
    const clone = await following(shell, {
      what: `cloning ${vm.name}`, watch: () => vm.watch(),
      progress: (event: VmEvent) => event.type === 'copying' && event.name === newName ? { what: 'copying disks', ratio: event.ratio } : undefined,
      work: () => vm.clone({ name: newName, ...(machine === undefined ? {} : { to: machine }), ...(full === true ? { disks: 'full' as const } : {}), ...(start === true ? { start } : {}) }),
    })
    shell.out.result(clone, (layout) => vmFields(clone, layout.style))
    return EXIT.done
  }),
})

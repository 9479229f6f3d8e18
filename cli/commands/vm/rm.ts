// `kumoi vm rm NAME...`: removes VMs with the disks that Kumoi made for them.

import { defineCommand } from '../../command.ts'
import { findVms } from '../../objects.ts'
import { withDataCenter } from '../../session.ts'
import { sideBySide } from '../../side-by-side.ts'

export const rmCommand = defineCommand({
  name: 'vm rm',
  summary: 'Remove stopped virtual machines, with the disks that Kumoi made for them',
  operands: '<names...>',
  details: 'Names are looked up first: when one of them is unknown, nothing is removed.',
  options: { force: { flags: '--force', help: 'also running ones' }, keepDisks: { flags: '--keep-disks', help: 'leave the disks' } },
  examples: [{ command: 'kumoi vm rm web1', does: 'a stopped one' }, { command: 'kumoi vm rm --force web1 web2', does: 'running or not' }],
  output: 'value',
  run: (shell, names, { force, keepDisks }) => withDataCenter(shell, async (dc) => sideBySide(shell, {
    objects: await findVms(dc, shell.out, names), doing: 'removing', done: 'removed',
    work: (vm) => vm.vmm.remove(vm, { ...(force === true ? { force } : {}), ...(keepDisks === true ? { keepDisks } : {}) }),
  })),
})

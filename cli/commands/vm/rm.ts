// `kumoi vm rm NAME...`: removes VMs with the disks that Kumoi made for them.

import { defineCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { findVm } from '../../objects.ts'
import { withDataCenter } from '../../session.ts'

export const rmCommand = defineCommand({
  name: 'vm rm',
  summary: 'Remove stopped virtual machines, with the disks that Kumoi made for them',
  operands: '<names...>',
  options: { force: { flags: '--force', help: 'also running ones' }, keepDisks: { flags: '--keep-disks', help: 'leave the disks' } },
  examples: [{ command: 'kumoi vm rm web1', does: 'a stopped one' }, { command: 'kumoi vm rm --force web1 web2', does: 'running or not' }],
  output: 'value',
  run: (shell, names, { force, keepDisks }) => withDataCenter(shell, async (dc) => {
    const vms = []
    for (const name of names) vms.push(await findVm(dc, shell.out, name))
    const removed: { name: string; uuid: string }[] = []
    for (const vm of vms) {
      await vm.vmm.remove(vm, { ...(force === true ? { force } : {}), ...(keepDisks === true ? { keepDisks } : {}) })
      removed.push({ name: vm.name, uuid: vm.uuid })
    }
    shell.out.result(removed, () => removed.map(({ name }) => `${name} removed`).join('\n'))
    return EXIT.done
  }),
})

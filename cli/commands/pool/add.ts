// `kumoi pool add POOL MACHINE...`, `kumoi pool rm POOL [MACHINE...]`: machines by name or pattern, VMs by --vm. What can be
// added is; each refusal is told, and the exit status says that there was one.

import type { DataCenter } from '../../../kali/contract.ts'
import type { PhysicalMachine, VM } from '../../../rmo/mod.ts'
import { findPool, globalOf, pickMachines } from '../../cloud.ts'
import { defineCommand, repeated } from '../../command.ts'
import { confirm } from '../../confirm.ts'
import { CLI, EXIT } from '../../errors.ts'
import { findVms } from '../../objects.ts'
import { withDataCenter } from '../../session.ts'
import type { Shell } from '../../session.ts'
import { sideBySide } from '../../side-by-side.ts'

/** `among`: the machines that may be meant; a pool's own are there also when they are dead. */
async function meant(shell: Shell, dc: DataCenter, among: PromiseLike<readonly PhysicalMachine[]>, words: readonly string[], vmNames: readonly string[]): Promise<readonly (PhysicalMachine | VM)[]> {
  const machines = words.length === 0 ? [] : pickMachines(words, await among)
  const vms = vmNames.length === 0 ? [] : await findVms(dc, shell.out, vmNames)
  return [...machines, ...vms]
}

export const addCommand = defineCommand({
  name: 'pool add',
  summary: 'Give machines to a pool, or let it manage VMs',
  operands: '<pool> [machines...]',
  details: 'Machines by name, uuid or pattern (in quotes: "hpc*"). A VM is one that is there already, on a machine of the pool: it goes on running, and the pool keeps it so from now on.',
  options: {
    vm: { flags: '--vm <name>', help: 'a VM on one of its machines; may be repeated', parse: repeated },
    start: { flags: '--start', help: 'start the VMs too' },
  },
  examples: [{ command: "kumoi pool add hpc host1 'node-*'", does: 'machines by name and pattern' }, { command: 'kumoi pool add hpc --vm web1', does: 'a VM that runs on one of them' }],
  output: 'value',
  run: (shell, [name = '', ...words], { vm = [], start }) => withDataCenter(shell, async (dc) => {
    if (words.length + vm.length === 0) throw CLI.USAGE({ problem: 'kumoi pool add: what?', hint: `Name machines (kumoi pool add ${name} host1), or VMs with --vm.` })
    const pool = await findPool(dc, shell.out, name)
    const objects = await meant(shell, dc, dc.pms, words, vm)
    const given = new Set<object>(objects.slice(objects.length - vm.length))
    return sideBySide<PhysicalMachine | VM>(shell, { objects, doing: 'adding', done: `added to ${pool.name}`, work: (object) => pool.add(object, start === true && given.has(object) ? { start } : {}) })
  }),
})

export const rmCommand = defineCommand({
  name: 'pool rm',
  summary: 'Take machines or VMs out of a pool; without either, remove the pool',
  operands: '<pool> [machines...]',
  details: 'A machine must be empty: `kumoi pool drain` moves its VMs away. A VM that is taken out goes on running, kept by nobody; with --destroy it is stopped and removed with its disks.',
  options: {
    vm: { flags: '--vm <name>', help: 'a VM of the pool; may be repeated', parse: repeated },
    destroy: { flags: '--destroy', help: 'also stop and remove the VMs, with their disks' },
    force: { flags: '--force', help: 'remove the pool although it is not empty: its VMs go on running' },
  },
  examples: [{ command: 'kumoi pool rm hpc host1', does: 'an empty machine' }, { command: 'kumoi pool rm hpc --vm web1', does: 'a VM; it goes on running' }, { command: 'kumoi pool rm hpc', does: 'the pool itself, when it is empty' }],
  output: 'value',
  run: (shell, [name = '', ...words], { vm = [], destroy, force }) => withDataCenter(shell, async (dc) => {
    if (destroy === true && vm.length === 0) throw CLI.USAGE({ problem: 'kumoi pool rm: --destroy is for VMs', hint: 'Name them with --vm.' })
    const pool = await findPool(dc, shell.out, name)
    if (words.length + vm.length > 0) {
      if (destroy === true && !await confirm(shell, `Destroy ${vm.join(', ')} with ${vm.length === 1 ? 'its' : 'their'} disks?`)) return EXIT.failed
      return sideBySide<PhysicalMachine | VM>(shell, { objects: await meant(shell, dc, pool.machines, words, vm), doing: 'removing', done: destroy === true ? 'removed' : `taken out of ${pool.name}`, work: (object) => pool.remove(object, destroy === true ? { destroy } : {}) })
    }
    if (force === true && !await confirm(shell, `Remove the pool ${pool.name} with all that is in it? VMs go on running, kept by nobody.`)) return EXIT.failed
    await globalOf(dc).remove(pool, force === true ? { force } : {})
    shell.out.result({ name: pool.name, uuid: pool.uuid, done: 'removed' }, () => `${pool.name} removed`)
    return EXIT.done
  }),
})

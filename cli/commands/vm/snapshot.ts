// `kumoi vm snapshot NAME [SNAPSHOT]`: take one; --list, --revert and --rm work on those there are.

import { defineCommand, text } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { findVm, pick } from '../../objects.ts'
import { columnsOf, referencesTable } from '../../render/references.ts'
import { withDataCenter } from '../../session.ts'

export const snapshotCommand = defineCommand({
  name: 'vm snapshot',
  summary: 'Take, list, revert to or remove snapshots of a virtual machine',
  operands: '<name> [snapshot]',
  options: {
    memory: { flags: '--memory', help: 'with the memory of a running guest (default: disks only)' },
    description: { flags: '--description <text>', help: 'for people', parse: text },
    list: { flags: '--list', help: 'those there are' },
    revert: { flags: '--revert', help: 'go back to [snapshot]' },
    rm: { flags: '--rm', help: 'remove [snapshot]' },
  },
  examples: [
    { command: 'kumoi vm snapshot web1 before-upgrade', does: 'take one' },
    { command: 'kumoi vm snapshot web1 --list', does: 'those there are' },
    { command: 'kumoi vm snapshot web1 before-upgrade --revert', does: 'go back to it' },
  ],
  output: 'value',
  run: (shell, [name = '', wanted], options) => withDataCenter(shell, async (dc) => {
    const vm = await findVm(dc, shell.out, name)
    if (options.list === true) {
      const all = await vm.snapshots
      const columns = await columnsOf('Snapshot') ?? []
      shell.out.result(all, (layout) => all.length === 0 ? undefined : referencesTable(all, columns, layout))
      if (all.length === 0) shell.out.note(`${vm.name} has no snapshots.`)
      return EXIT.done
    }
    if (options.revert === true || options.rm === true) {
      if (wanted === undefined) throw CLI.USAGE({ problem: 'kumoi vm snapshot: which snapshot?', hint: `kumoi vm snapshot ${name} SNAPSHOT ${options.rm === true ? '--rm' : '--revert'}; \`--list\` shows those there are.` })
      const snapshot = pick('snapshot', wanted, await vm.snapshots)
      if (options.rm === true) await snapshot.remove()
      else await snapshot.revert()
      shell.out.result({ name: snapshot.name, vm: vm.name }, () => options.rm === true ? `${snapshot.name} removed` : `${vm.name} is as it was at ${snapshot.name}`)
      return EXIT.done
    }
    const taken = await vm.snapshot({ ...(wanted === undefined ? {} : { name: wanted }), content: options.memory === true ? 'memory' : 'disk', ...(options.description === undefined ? {} : { description: options.description }) })
    shell.out.result(taken, () => `${taken.name} taken of ${vm.name}`)
    return EXIT.done
  }),
})

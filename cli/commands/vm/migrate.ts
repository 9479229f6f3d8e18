// `kumoi vm migrate NAME MACHINE`: live, with a progress bar; Ctrl-C cancels, and the VM stays where it is. One that a pool
// manages goes by its pool, which moves its place with it.

import { errorCode } from '../../../fabric/base.ts'
import type { VmEvent } from '../../../rmo/mod.ts'
import { poolOfVm } from '../../cloud.ts'
import { defineCommand, integer } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { following } from '../../follow.ts'
import { findMachine, findVm } from '../../objects.ts'
import { withDataCenter } from '../../session.ts'

const progress = (event: VmEvent) =>
  event.type === 'migrating' ? { what: event.phase, ratio: event.totalBytes > 0 ? event.doneBytes / event.totalBytes : undefined } : undefined

export const migrateCommand = defineCommand({
  name: 'vm migrate',
  summary: 'Move a virtual machine to another machine, live unless it is stopped',
  operands: '<name> <machine>',
  details: 'Ctrl-C cancels the migration: the virtual machine stays where it is, and goes on running. One that a pool manages is moved by the pool, without --bandwidth and --downtime.',
  options: {
    bandwidth: { flags: '--bandwidth <MiB/s>', help: 'at most this much', parse: integer(1, 1_000_000) },
    downtime: { flags: '--downtime <ms>', help: 'longest pause at the end', parse: integer(1, 600_000) },
  },
  examples: [{ command: 'kumoi vm migrate web1 host2', does: 'it goes on running meanwhile' }],
  output: 'value',
  run: (shell, [name = '', machine = ''], { bandwidth, downtime }) => withDataCenter(shell, async (dc) => {
    const vm = await findVm(dc, shell.out, name)
    const to = await findMachine(dc, machine)
    if (vm.host === to.name) {
      shell.out.note(`${vm.name} is on ${to.name} already.`)
      shell.out.result(vm, () => undefined)
      return EXIT.done
    }
    const settings = { ...(bandwidth === undefined ? {} : { bandwidthMiBps: bandwidth }), ...(downtime === undefined ? {} : { downtimeMsMax: downtime }) }
    const byPool = async (refused: unknown) => {
      if (errorCode(refused) !== 'KALI_ERR_MANAGED' || Object.keys(settings).length > 0) throw refused
      return (await poolOfVm(dc, shell.out, vm, undefined)).migrate(vm, to)
    }
    const moved = await following(shell, {
      what: 'preparing', watch: () => vm.watch(), progress,
      work: () => vm.migrate(to, settings).catch(byPool),
    })
    shell.out.result(moved, () => `${moved.name} is on ${moved.host} now (${moved.state})`)
    return EXIT.done
  }),
})

// `kumoi ha list`, `kumoi ha clear VM...`, `kumoi ha mode MODE`: how the protected VMs do, and what only a human may say.

import { findPool, findProtected, globalOf, poolsNow } from '../../cloud.ts'
import { defineCommand, text, wordOf } from '../../command.ts'
import { confirm } from '../../confirm.ts'
import { EXIT } from '../../errors.ts'
import { machineName, vmStateText } from '../../render/cloud.ts'
import { table } from '../../render/table.ts'
import { durationText } from '../../render/units.ts'
import { withDataCenter } from '../../session.ts'
import { sideBySide } from '../../side-by-side.ts'

const RIGHT = { align: 'right', whole: true } as const
const MODES = ['armed', 'freeze'] as const

export const listCommand = defineCommand({
  name: 'ha list',
  summary: 'List VMs that are kept running',
  operands: '',
  options: { pool: { flags: '--pool <name>', help: 'of this pool only', parse: text } },
  examples: [{ command: 'kumoi ha list', does: 'state, machine, lease, tries used' }],
  output: 'value',
  run: (shell, _operands, { pool }) => withDataCenter(shell, async (dc) => {
    const rows = (await poolsNow(dc, shell.out, pool)).flatMap(({ snapshot }) => snapshot.vms.flatMap((vm) => {
      if (vm.protection === undefined) return []
      const { restarts, relocations, windowMs, armed, priority, onGuestShutdown } = vm.protection
      const machine = snapshot.machines.find(({ uuid }) => uuid === vm.machine)
      return [{
        name: vm.name, uuid: vm.uuid, pool: snapshot.pool.name, state: vmStateText(vm, snapshot), machine: machineName(snapshot, vm.machine), armed, lease: machine?.lease, epoch: vm.epoch, tries: vm.tries,
        restarts, relocations, windowMs, priority, onGuestShutdown, ...(vm.error === undefined ? {} : { error: vm.error }),
      }]
    }))
    shell.out.result(rows, (layout) => rows.length === 0 ? undefined : table(
      [{ title: 'vm', whole: true }, { title: 'pool' }, { title: 'state', paint: (cell, style) => (/^(error|lost)/.test(cell) ? style.red(cell) : cell) }, { title: 'machine' }, { title: 'armed' }, { title: 'lease' }, { title: 'epoch', ...RIGHT }, { title: 'restarts', ...RIGHT }, { title: 'elsewhere', ...RIGHT }, { title: 'error' }],
      rows.map((row) => [row.name, row.pool, row.state, row.machine, row.armed ? 'yes' : 'not yet', row.lease === undefined ? '-' : `${row.lease.state} ${durationText(row.lease.ageMs)}`, String(row.epoch), `${row.tries.restarts} of ${row.restarts}`, `${row.tries.relocations} of ${row.relocations}`, row.error ?? '']), layout))
    if (rows.length === 0 && !shell.settings.json) shell.out.note('No VM is kept running. `kumoi ha add VM` does.')
    const given = rows.filter(({ error }) => error !== undefined)
    if (given.length > 0) shell.out.warn(`given up: ${given.map(({ name }) => name).join(', ')}. When the cause is mended: kumoi ha clear ${given.map(({ name }) => name).join(' ')}`)
    return EXIT.done
  }),
})

export const clearCommand = defineCommand({
  name: 'ha clear',
  summary: 'Try again with VMs that were given up: their tries begin anew',
  operands: '<vms...>',
  details: 'With --host-is-dead you say that the machine is off for certain: its VM is then started elsewhere without waiting. If you are wrong it runs twice and its disk is damaged.',
  options: { hostIsDead: { flags: '--host-is-dead', help: 'its machine is off, I have looked (recorded with your name)' }, yes: { flags: '--yes', help: 'do not ask' } },
  examples: [{ command: 'kumoi ha clear web1', does: 'after the cause is mended' }, { command: 'kumoi ha clear web1 --host-is-dead', does: 'the power is off, restart it elsewhere' }],
  output: 'value',
  run: (shell, names, { hostIsDead, yes }) => withDataCenter(shell, async (dc) => {
    const objects = await findProtected(dc, shell.out, names)
    if (hostIsDead === true && yes !== true && !await confirm(shell, `Is the machine of ${names.join(', ')} off for certain? A wrong answer damages disks.`)) return EXIT.failed
    return sideBySide(shell, { objects, doing: 'clearing', done: 'begins anew', work: async (object) => (await findPool(dc, shell.out, object.pool)).clear(object.vm, hostIsDead === true ? { hostIsDead } : {}) })
  }),
})

export const modeCommand = defineCommand({
  name: 'ha mode',
  summary: 'Stop all policies from acting, for work on the network or the store, or let them act again',
  operands: '<mode>',
  details: 'armed: as ever. freeze: nothing is restarted or moved by policies; hosts that lose the store end their protected VMs as ever, so that no VM ever runs twice.',
  options: { reason: { flags: '--reason <text>', help: 'why, for those who wonder later', parse: text } },
  examples: [{ command: 'kumoi ha mode freeze --reason "switch upgrade"', does: 'before the work' }, { command: 'kumoi ha mode armed', does: 'after it' }],
  output: 'value',
  async run(shell, [wanted = ''], { reason = '' }) {
    const next = wordOf('ha mode', MODES, wanted)
    return withDataCenter(shell, async (dc) => {
      await globalOf(dc).mode(next, reason)
      shell.out.result({ mode: next, reason }, () => (next === 'armed' ? 'armed: policies act' : 'frozen: policies restart and move nothing'))
      return EXIT.done
    })
  },
})

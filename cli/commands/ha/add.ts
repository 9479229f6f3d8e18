// `kumoi ha add VM...`, `kumoi ha rm VM...`: VMs that are kept running, also when their machine is lost.

import { allPools, findProtected, poolOfVm } from '../../cloud.ts'
import { choice, defineCommand, durationMs, integer, text } from '../../command.ts'
import { CLI } from '../../errors.ts'
import { findVms } from '../../objects.ts'
import { withDataCenter } from '../../session.ts'
import { sideBySide } from '../../side-by-side.ts'

const TRIES_MAX = 100
const onShutdown = choice('leave', 'restart')

export const addCommand = defineCommand({
  name: 'ha add',
  summary: 'Keep VMs running: restart after a crash, on another machine when theirs is lost',
  operands: '<vms...>',
  details: 'Needs three nodes, disks that other machines see, and a pool; a VM that could not run elsewhere is refused, with what is missing. A guest that shuts itself down stays off unless --on-shutdown restart.',
  options: {
    pool: { flags: '--pool <name>', help: 'pool that keeps them (default: the one they are in, else the only one)', parse: text },
    restarts: { flags: '--restarts <n>', help: 'restarts in place before another machine is tried (default: 1)', parse: integer(0, TRIES_MAX) },
    relocations: { flags: '--relocations <n>', help: 'other machines tried before it is given up (default: 1)', parse: integer(0, TRIES_MAX) },
    window: { flags: '--window <time>', help: 'what is counted within (default: 1h)', parse: durationMs },
    onShutdown: { flags: '--on-shutdown <what>', help: 'the guest shut itself down: leave it off or restart it (default: leave)', parse: onShutdown },
    priority: { flags: '--priority <n>', help: 'higher first when room is short (default: 0)', parse: integer(0, 1_000) },
  },
  examples: [{ command: 'kumoi ha add web1', does: 'one restart in place, one elsewhere, in an hour' }, { command: 'kumoi ha add db1 --restarts 3 --priority 10', does: 'patient, and before others' }],
  output: 'value',
  run: (shell, names, { pool: poolName, restarts, relocations, window, onShutdown: shutdown, priority }) => withDataCenter(shell, async (dc) => {
    const protection = {
      ...(restarts === undefined ? {} : { restarts }), ...(relocations === undefined ? {} : { relocations }), ...(window === undefined ? {} : { windowMs: window }),
      ...(shutdown === undefined ? {} : { onGuestShutdown: shutdown }), ...(priority === undefined ? {} : { priority }),
    }
    if (poolName === undefined && (await allPools(dc, shell.out)).length === 0) throw CLI.NO_POOL({})
    const vms = await findVms(dc, shell.out, names)
    const pools = new Map(await Promise.all(vms.map(async (vm) => [vm.uuid, await poolOfVm(dc, shell.out, vm, poolName)] as const)))
    return sideBySide(shell, {
      objects: vms, doing: 'protecting', done: 'is kept running',
      work: async (vm) => { const pool = pools.get(vm.uuid); return pool?.add(await pool.createHighAvailability(vm, protection)) },
    })
  }),
})

export const rmCommand = defineCommand({
  name: 'ha rm',
  summary: 'Keep VMs running no more; they go on',
  operands: '<vms...>',
  options: {},
  examples: [{ command: 'kumoi ha rm web1', does: 'the pool still manages it' }],
  output: 'value',
  run: (shell, names) => withDataCenter(shell, async (dc) => sideBySide(shell, {
    objects: await findProtected(dc, shell.out, names), doing: 'letting go', done: 'is not kept any more',
    work: (object) => object.remove(),
  })),
})

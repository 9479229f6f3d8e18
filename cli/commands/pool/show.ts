// `kumoi pool show POOL`, `kumoi pool why POOL [X]`, `kumoi pool decisions POOL`: what is there, and why.

import { LIMITS } from '../../../fabric/base.ts'
import { findPool } from '../../cloud.ts'
import { defineCommand, integer, text } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { GROUP_COLUMNS, decisionsTable, explanationText, groupRow, machinesTable, namesIn, poolFields, vmsTable } from '../../render/cloud.ts'
import { table } from '../../render/table.ts'
import { withDataCenter } from '../../session.ts'

export const showCommand = defineCommand({
  name: 'pool show',
  summary: 'Show a pool with its machines, VMs and elastic groups',
  operands: '<pool>',
  options: {},
  examples: [{ command: 'kumoi pool show hpc', does: 'one page' }, { command: 'kumoi --json pool show hpc', does: 'the snapshot that schedulers and policies are given' }],
  output: 'value',
  run: (shell, [name = '']) => withDataCenter(shell, async (dc) => {
    const snapshot = await (await findPool(dc, shell.out, name)).snapshot()
    shell.out.result(snapshot, (layout) => [
      poolFields(snapshot, layout),
      ...(snapshot.machines.length === 0 ? [] : [machinesTable(snapshot, layout)]),
      ...(snapshot.vms.length === 0 ? [] : [vmsTable(snapshot, layout)]),
      ...(snapshot.groups.length === 0 ? [] : [table(GROUP_COLUMNS, snapshot.groups.map((group) => groupRow(snapshot, group)), layout)]),
    ].join('\n\n'))
    if (snapshot.machines.length === 0) shell.out.note(`It has no machines: kumoi pool add ${snapshot.pool.name} MACHINE...`)
    return EXIT.done
  }),
})

export const whyCommand = defineCommand({
  name: 'pool why',
  summary: 'Explain the state of a pool, or of a VM, group or machine in it',
  operands: '<pool> [about]',
  details: 'A sentence; what is wanted and what is; the lease of its host; where it could go now, with score or refusing filter of each machine; what the policies count; the last decisions, newest first.',
  options: {},
  examples: [{ command: 'kumoi pool why hpc', does: 'the pool' }, { command: 'kumoi pool why hpc web1', does: 'why that VM is where it is, or is not' }],
  output: 'value',
  run: (shell, [name = '', about]) => withDataCenter(shell, async (dc) => {
    const pool = await findPool(dc, shell.out, name)
    const [explained, snapshot] = await Promise.all([pool.why(about), pool.snapshot()])
    shell.out.result(explained, (layout) => explanationText(explained, namesIn(snapshot), shell.world.clock.wallMs(), layout))
    return EXIT.done
  }),
})

export const decisionsCommand = defineCommand({
  name: 'pool decisions',
  summary: 'List what was decided in a pool and why, newest first',
  operands: '<pool>',
  options: {
    about: { flags: '--about <name>', help: 'of this VM, group or machine only', parse: text },
    limit: { flags: '--limit <n>', help: 'at most so many (default: 50)', parse: integer(1, LIMITS.decisionsKept) },
  },
  examples: [{ command: 'kumoi pool decisions hpc', does: 'placements, restarts, scaling, what was refused' }, { command: 'kumoi pool decisions hpc --about web1 --limit 5', does: 'the last five of one VM' }],
  output: 'value',
  run: (shell, [name = ''], { about, limit = 50 }) => withDataCenter(shell, async (dc) => {
    const pool = await findPool(dc, shell.out, name)
    const [decisions, snapshot] = await Promise.all([pool.decisions({ limit, ...(about === undefined ? {} : { about }) }), pool.snapshot()])
    shell.out.result(decisions, (layout) => (decisions.length === 0 ? undefined : decisionsTable(decisions, namesIn(snapshot), shell.world.clock.wallMs(), layout)))
    if (decisions.length === 0 && !shell.settings.json) shell.out.note('Nothing was decided yet.')
    return EXIT.done
  }),
})

// `kumoi pools`: the pools of the data center, with what is booked in each.

import { poolsNow } from '../cloud.ts'
import { defineCommand } from '../command.ts'
import { EXIT } from '../errors.ts'
import { schedulerText, sumsOf } from '../render/cloud.ts'
import { table } from '../render/table.ts'
import { mebibytesText } from '../render/units.ts'
import { withDataCenter } from '../session.ts'

const RIGHT = { align: 'right', whole: true } as const

export const poolsCommand = defineCommand({
  name: 'pools',
  summary: 'List pools: machines, VMs, what is booked, scheduler',
  operands: '',
  options: {},
  examples: [
    { command: 'kumoi pools', does: 'all pools' },
    { command: "kumoi --json pools | jq -r '.[].name'", does: 'for programs: records, with machines, VMs and sums' },
  ],
  output: 'value',
  run: (shell) => withDataCenter(shell, async (dc) => {
    const pools = (await poolsNow(dc, shell.out, undefined)).map(({ snapshot }) => snapshot)
    const rows = pools.map((snapshot) => ({ ...snapshot.pool, mode: snapshot.mode, machines: snapshot.machines.length, vms: snapshot.vms.length, groups: snapshot.groups.length, ...sumsOf(snapshot) }))
    shell.out.result(rows, (layout) => rows.length === 0 ? undefined : table(
      [{ title: 'name', whole: true }, { title: 'machines', ...RIGHT }, { title: 'vms', ...RIGHT }, { title: 'vcpus', ...RIGHT }, { title: 'memory', ...RIGHT }, { title: 'scheduler' }, { title: 'survives', ...RIGHT }, { title: 'policies' }],
      rows.map((row) => [row.name, String(row.machines), String(row.vms), `${row.booked.vcpus}/${Math.round(row.vcpus)}`, `${mebibytesText(row.booked.memoryMiB)} of ${mebibytesText(row.memoryMiB)}`, schedulerText(row.scheduler), String(row.survivesHosts), row.policies.join(', ')]), layout))
    if (rows.length === 0 && !shell.settings.json) shell.out.note('No pools. Make one: `kumoi pool create NAME`.')
    const [first] = rows
    if (first !== undefined && first.mode !== 'armed') shell.out.warn(`the cloud's mode is ${first.mode}: policies restart and move nothing. \`kumoi ha mode armed\` ends it.`)
    return EXIT.done
  }),
})

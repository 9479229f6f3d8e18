// `kumoi elastic add VM`, `kumoi elastic set GROUP`: a VM that gets company as its load grows. One table of options for both.

import type { ElasticityWish } from '../../../kali/contract.ts'
import { findElasticity, poolOfVm, poolsNow } from '../../cloud.ts'
import { defineCommand, durationMs, integer, text, withoutDefaults } from '../../command.ts'
import type { OptionValues } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { findVm } from '../../objects.ts'
import { GROUP_COLUMNS, groupRow } from '../../render/cloud.ts'
import { table } from '../../render/table.ts'
import { withDataCenter } from '../../session.ts'

/** "0.8" or "80%". */
const ratio = (written: string): number => {
  const [, amount, percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(written) ?? []
  const value = amount === undefined ? NaN : Number(amount) / (percent === '%' ? 100 : 1)
  if (value >= 0 && value <= 1) return value
  throw CLI.USAGE({ problem: `kumoi elastic: "${written}" is no ratio`, hint: 'Write 0.8 or 80%.' })
}

const MEMBERS_MAX = 10_000

const OPTIONS = {
  out: { flags: '--out <ratio>', help: 'a member more when the load stays above (default: 0.8)', parse: ratio },
  in: { flags: '--in <ratio>', help: 'a member less when it stays below (default: 0.3)', parse: ratio },
  min: { flags: '--min <n>', help: 'never fewer members (default: 1)', parse: integer(1, MEMBERS_MAX) },
  max: { flags: '--max <n>', help: 'never more members', parse: integer(1, MEMBERS_MAX) },
  metric: { flags: '--metric <function>', help: 'load by a deployed function (default: mean CPU of the members)', parse: text },
  hold: { flags: '--hold <n>', help: 'evaluations in a row over the threshold', parse: integer(1, 1_000) },
  period: { flags: '--period <time>', help: 'between two evaluations', parse: durationMs },
  warmUp: { flags: '--warm-up <time>', help: 'a new member is not measured for so long', parse: durationMs },
  cooldownOut: { flags: '--cooldown-out <time>', help: 'from a finished growth to the next', parse: durationMs },
  cooldownIn: { flags: '--cooldown-in <time>', help: 'from a finished change to the next removal', parse: durationMs },
  drain: { flags: '--drain <time>', help: 'a member that goes has so long to finish', parse: durationMs },
  readyText: { flags: '--ready-text <text>', help: 'what a member\'s serial console says when it is ready', parse: text },
} as const

const DEFAULTS = { out: 0.8, in: 0.3, min: 1 } as const

function specOf(wish: OptionValues<typeof OPTIONS>): Partial<ElasticityWish> {
  const { out, in: below, min, max, metric, hold, period, warmUp, cooldownOut, cooldownIn, drain, readyText } = wish
  const pairs = { out, in: below, min, max, hold, periodMs: period, warmUpMs: warmUp, cooldownOutMs: cooldownOut, cooldownInMs: cooldownIn, drainMs: drain, readyText, metric }
  return Object.fromEntries(Object.entries(pairs).filter(([, value]) => value !== undefined)) as Partial<ElasticityWish>
}

export const addCommand = defineCommand({
  name: 'elastic add',
  summary: 'Let a VM get company as its load grows: clones, as many as --max',
  operands: '<vm>',
  details: 'Members are made of the same image by overlay, with uuid, name, MAC addresses and instance id of their own, where the pool\'s scheduler places them.',
  options: { ...OPTIONS, pool: { flags: '--pool <name>', help: 'pool that the VM is in (default: found by it)', parse: text }, name: { flags: '--name <name>', help: 'of the group and, with a number, of its members (default: VM-group)', parse: text } },
  examples: [{ command: 'kumoi elastic add web1 --out 0.8 --in 0.3 --max 4', does: 'the paper\'s: by mean CPU' }, { command: 'kumoi elastic add web1 --metric queue-length --out 0.9 --max 8', does: 'by a function of yours' }],
  output: 'value',
  run: (shell, [name = ''], wish) => withDataCenter(shell, async (dc) => {
    const { max } = wish
    if (max === undefined) throw CLI.USAGE({ problem: 'kumoi elastic add: how many at most?', hint: 'Say --max: load that does not spread would never stop growing it.' })
    const vm = await findVm(dc, shell.out, name)
    const pool = await poolOfVm(dc, shell.out, vm, wish.pool)
    const group = await pool.createElasticity(vm, { ...DEFAULTS, ...specOf(wish), max, ...(wish.name === undefined ? {} : { name: wish.name }) })
    await pool.add(group)
    shell.out.result({ name: group.name, uuid: group.uuid, pool: pool.name }, () => `${group.name} is elastic in ${pool.name}, at most ${max} members`)
    return EXIT.done
  }),
})

export const setCommand = defineCommand({
  name: 'elastic set',
  summary: 'Change thresholds and limits of an elastic group',
  operands: '<group>',
  details: 'What is not named stays as it is.',
  options: withoutDefaults(OPTIONS),
  examples: [{ command: 'kumoi elastic set web1 --max 8 --out 70%', does: 'from the next evaluation on' }],
  output: 'value',
  run: (shell, [name = ''], wish) => withDataCenter(shell, async (dc) => {
    const change = specOf(wish)
    if (Object.keys(change).length === 0) throw CLI.USAGE({ problem: 'kumoi elastic set: nothing to change', hint: 'See `kumoi elastic set --help`.' })
    const group = await findElasticity(dc, shell.out, name)
    await group.patch(change)
    shell.out.result({ name: group.name, uuid: group.uuid, ...change }, () => `${group.name} changed`)
    return EXIT.done
  }),
})

export const listCommand = defineCommand({
  name: 'elastic list',
  summary: 'List elastic groups: members, load, thresholds',
  operands: '',
  options: { pool: { flags: '--pool <name>', help: 'of this pool only', parse: text } },
  examples: [{ command: 'kumoi elastic list', does: 'ready, in flight, load' }, { command: 'kumoi --json elastic list', does: 'whole records' }],
  output: 'value',
  run: (shell, _operands, { pool }) => withDataCenter(shell, async (dc) => {
    const found = (await poolsNow(dc, shell.out, pool)).flatMap(({ snapshot }) => snapshot.groups.map((group) => ({ group, row: groupRow(snapshot, group) })))
    shell.out.result(found.map(({ group }) => group), (layout) => (found.length === 0 ? undefined : table(GROUP_COLUMNS, found.map(({ row }) => row), layout)))
    if (found.length === 0 && !shell.settings.json) shell.out.note('No elastic groups. `kumoi elastic add VM --max 4` makes one.')
    return EXIT.done
  }),
})

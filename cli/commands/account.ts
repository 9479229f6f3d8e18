// `kumoi account`: who used what since when, on all nodes, and what it costs; `kumoi account prices`: the price table.

import { readFile } from 'node:fs/promises'

import type { DataCenter, Prices } from '../../kali/contract.ts'
import { choice, defineCommand, durationMs, text, wordOf } from '../command.ts'
import { CLI, EXIT } from '../errors.ts'
import { table } from '../render/table.ts'
import type { TableLayout } from '../render/table.ts'
import { fields } from '../render/value.ts'
import { withDataCenter } from '../session.ts'

type PricedAnswer = Awaited<ReturnType<DataCenter['account']['list']>>
const BY = ['user', 'vm', 'function', 'pool', 'node'] as const
type By = typeof BY[number]
const WEEK_MS = 7 * 86_400_000
const HOUR_MS = 3_600_000
const US_PER_SECOND = 1_000_000
const MIB_PER_GIB = 1_024

interface Amounts { readonly vmHours: number; readonly vcpuHours: number; readonly memoryGiBHours: number; readonly storageGiBHours: number; readonly functionCpuSeconds: number; readonly calls: number; readonly failures: number; readonly cost?: number }
type Row = PricedAnswer['rows'][number]

const GROUPS: Readonly<Record<By, (row: Row) => string | undefined>> = {
  user: ({ owner }) => owner,
  // Volumes that no VM uses are shown by their own names.
  vm: ({ kind, name, id }) => (kind === 'VM' ? name : kind === 'Volume' ? `${name} (volume ${id.slice(0, 8)})` : undefined),
  function: ({ kind, name }) => (kind === 'function' ? name : undefined),
  pool: ({ kind, pool }) => (kind === 'function' ? undefined : pool === '' ? '-' : pool),
  node: ({ node }) => node,
}
/** Two VMs of one name are two lines. */
const IDENTITY: Readonly<Record<By, (row: Row) => string>> = { user: ({ owner }) => owner, vm: ({ kind, id }) => `${kind}/${id}`, function: ({ id }) => id, pool: ({ pool }) => pool, node: ({ node }) => node }

const EMPTY: Amounts = { vmHours: 0, vcpuHours: 0, memoryGiBHours: 0, storageGiBHours: 0, functionCpuSeconds: 0, calls: 0, failures: 0 }
const amountsOf = (row: Row): Amounts => ({
  vmHours: row.vmMs / HOUR_MS, vcpuHours: row.vcpuMs / HOUR_MS, memoryGiBHours: row.memoryMiBMs / MIB_PER_GIB / HOUR_MS, storageGiBHours: row.storageMiBMs / MIB_PER_GIB / HOUR_MS,
  functionCpuSeconds: row.cpuUs / US_PER_SECOND, calls: row.calls, failures: row.failures, ...(row.cost === undefined ? {} : { cost: row.cost }),
})
const sum = (a: Amounts, b: Amounts): Amounts => ({
  vmHours: a.vmHours + b.vmHours, vcpuHours: a.vcpuHours + b.vcpuHours, memoryGiBHours: a.memoryGiBHours + b.memoryGiBHours, storageGiBHours: a.storageGiBHours + b.storageGiBHours,
  functionCpuSeconds: a.functionCpuSeconds + b.functionCpuSeconds, calls: a.calls + b.calls, failures: a.failures + b.failures, ...(b.cost === undefined ? {} : { cost: (a.cost ?? 0) + b.cost }),
})

interface Group { readonly name: string; readonly amounts: Amounts }
function groupsOf({ rows }: PricedAnswer, by: By): readonly Group[] {
  const groups = new Map<string, Group>()
  for (const row of rows) {
    const name = GROUPS[by](row)
    if (name === undefined) continue
    const key = IDENTITY[by](row)
    groups.set(key, { name, amounts: sum(groups.get(key)?.amounts ?? EMPTY, amountsOf(row)) })
  }
  return [...groups.values()].sort(({ amounts: a }, { amounts: b }) => (b.cost ?? b.vcpuHours) - (a.cost ?? a.vcpuHours) || b.functionCpuSeconds - a.functionCpuSeconds)
}

const hours = (value: number): string => value.toFixed(value < 10 ? 3 : 1)
function printed(groups: readonly Group[], total: Amounts, by: By, { prices }: PricedAnswer, layout: TableLayout): string {
  const right = { align: 'right' } as const
  const cells = (of: Amounts): readonly string[] => [
    hours(of.vmHours), hours(of.vcpuHours), hours(of.memoryGiBHours), hours(of.storageGiBHours), of.functionCpuSeconds.toFixed(3), String(of.calls), ...(prices === undefined ? [] : [(of.cost ?? 0).toFixed(2)]),
  ]
  return table(
    [{ title: by }, ...['vm hours', 'vcpu hours', 'GiB hours', 'disk GiB hours', 'fn cpu s', 'calls'].map((title) => ({ title, ...right })), ...(prices === undefined ? [] : [{ title: prices.currency, ...right }])],
    [...groups.map(({ name, amounts }) => [name, ...cells(amounts)]), ['total', ...cells(total)]], layout)
}

async function pricesOf(command: string, path: string): Promise<Prices> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Prices
  } catch (error) {
    throw CLI.USAGE({ problem: `kumoi ${command}: ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, hint: 'It is JSON: { "currency": "EUR", "vcpuHour": 0.02, "memoryGiBHour": 0.004, "storageGiBHour": 0.0001, "functionCpuHour": 0.05, "callsMillion": 0.2 }.' })
  }
}
const grouping = choice(...BY)

export const accountCommand = defineCommand({
  name: 'account',
  summary: 'Show who used what, on all nodes, and what it costs',
  operands: '',
  details: 'Hours of VMs, of their vcpus, memory and disks, CPU time and calls of deployed functions, as each node counted them. A VM counts for who made it, a function for who deployed it. A user sees his own; everybody\'s needs the right account:read on the fabric.',
  options: {
    by: { flags: '--by <what>', help: 'user, vm, function, pool or node (default: user)', parse: grouping },
    since: { flags: '--since <time>', help: 'not older than this: 1h, 7d (default: 7d); by whole hours', parse: durationMs },
    until: { flags: '--until <time>', help: 'not newer than this long ago: 1h, 7d (default: now)', parse: durationMs },
    user: { flags: '--user <user>', help: 'of one user, or of an owner such as local:0', parse: text },
    prices: { flags: '--prices <file>', help: 'price table instead of the one that is set', parse: text },
  },
  examples: [
    { command: 'kumoi account --by user --since 7d', does: 'the last week, by owner, with totals' },
    { command: 'kumoi account --by vm --user alice', does: 'what each of alice\'s VMs used' },
    { command: 'kumoi --json account --by function', does: '{by, lines, total, currency, silent}' },
  ],
  output: 'value',
  run: (shell, _operands, { by = 'user', since = WEEK_MS, until = 0, user, prices: path }) => withDataCenter(shell, async (dc) => {
    if (until >= since) throw CLI.USAGE({ problem: 'kumoi account: --until must be later than --since', hint: 'Both count back from now: --since 7d --until 1d is six days.' })
    const nowMs = shell.world.clock.wallMs()
    const given = path === undefined ? {} : { prices: await pricesOf('account', path) }
    const answer = await dc.account.list({ sinceMs: Math.max(0, nowMs - since), untilMs: until === 0 ? nowMs + 1 : nowMs - until, ...(user === undefined ? {} : { user }) }, given)
    const groups = groupsOf(answer, by)
    const total = groups.reduce((all, { amounts }) => sum(all, amounts), EMPTY)
    const lines = groups.map(({ name, amounts }) => ({ [by]: name, ...amounts }))
    shell.out.result({ by, lines, total, ...(answer.prices === undefined ? {} : { currency: answer.prices.currency }), silent: answer.silent }, (layout) => lines.length === 0 ? undefined : printed(groups, total, by, answer, layout))
    for (const { node, reason } of answer.silent) shell.out.warn(`the accounts of ${node} are not here: ${reason}`)
    if (answer.only !== undefined) shell.out.note(`These are your own (${answer.only}); everybody's need the right account:read.`)
    if (lines.length === 0 && !shell.settings.json) shell.out.note('Nothing was used.')
    return answer.silent.length > 0 ? EXIT.noNode : EXIT.done
  }),
})

const WORDS = ['show', 'set', 'rm'] as const

export const pricesCommand = defineCommand({
  name: 'account prices',
  summary: 'Show, set or remove the fabric\'s price table',
  operands: '<show|set|rm> [file]',
  details: 'The file is JSON: { "currency": "EUR", "vcpuHour": 0.02, "memoryGiBHour": 0.004, "storageGiBHour": 0.0001, "functionCpuHour": 0.05, "callsMillion": 0.2 }; what is left out costs nothing.',
  options: {},
  examples: [{ command: 'kumoi account prices set prices.json', does: '`kumoi account` shows costs from now on' }],
  output: 'value',
  run: async (shell, [word = '', path]) => {
    const verb = wordOf('account prices', WORDS, word)
    if ((verb === 'set') !== (path !== undefined)) throw CLI.USAGE({ problem: `kumoi account prices ${verb}: ${verb === 'set' ? 'which file?' : 'takes no file'}`, hint: 'See `kumoi account prices --help`.' })
    const given = path === undefined ? undefined : await pricesOf('account prices', path)
    return withDataCenter(shell, async ({ account }) => {
      if (verb !== 'show') await account.setPrices(given)
      const prices = await account.prices()
      shell.out.result(prices ?? null, (layout) => prices === undefined ? undefined : fields(Object.entries(prices).map(([name, value]) => [name, String(value)]), layout.style))
      if (prices === undefined && !shell.settings.json) shell.out.note('No prices are set: kumoi account prices set FILE')
      return EXIT.done
    })
  },
})

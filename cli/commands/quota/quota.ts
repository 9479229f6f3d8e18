// `kumoi quota ...`: how much a pool, a user, a group may have booked. What binds stands in kali/cloud/bookings.ts: it is
// judged in the transaction that places.

import { nearest } from '../../../fabric/base.ts'
import type { DataCenter } from '../../../kali/contract.ts'
import { globalOf } from '../../cloud.ts'
import { defineCommand } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { table } from '../../render/table.ts'
import { mebibytesText, ratioText } from '../../render/units.ts'
import { withDataCenter } from '../../session.ts'

type Row = Awaited<ReturnType<DataCenter['global']['quotas']>>[number]
type Limit = Row['limit']

/** By the word that is typed. */
const WHAT = {
  vms: { field: 'vms', text: String },
  vcpus: { field: 'vcpus', text: String },
  memory: { field: 'memoryMiB', text: mebibytesText },
} as const
type Word = keyof typeof WHAT
const WORDS = Object.keys(WHAT) as readonly Word[]
const UNIT_MIB: Readonly<Record<string, number>> = { MiB: 1, GiB: 1_024, TiB: 1_048_576 }

const wrong = (problem: string): Error => CLI.USAGE({ problem: `kumoi quota set: ${problem}`, hint: 'Write vms=N, vcpus=N, memory=32GiB (MiB, GiB, TiB), or =none for no limit.' })

/** "memory=32GiB" -> ['memoryMiB', 32768]; "vcpus=none" -> ['vcpus', undefined]. Throws CLI_ERR_USAGE. */
function amount(written: string): readonly [keyof Limit, number | undefined] {
  const [, word = '', value = ''] = /^([a-z]+)=(\S+)$/i.exec(written) ?? []
  const what = WORDS.find((known) => known === word)
  if (what === undefined) throw wrong(`"${written}" limits nothing`)
  const { field } = WHAT[what]
  if (value === 'none') return [field, undefined]
  const [, digits, unit] = /^(\d{1,9})([MGT]iB)?$/.exec(value) ?? []
  if (digits === undefined || (what === 'memory') !== (unit !== undefined)) throw wrong(what === 'memory' ? `"${written}" is no amount of memory` : `"${written}" is no whole number`)
  return [field, Number(digits) * (UNIT_MIB[unit ?? 'MiB'] ?? 1)]
}

/** Only what is limited. */
const changed = (limit: Limit, changes: readonly (readonly [keyof Limit, number | undefined])[]): Limit =>
  Object.fromEntries(Object.entries({ ...limit, ...Object.fromEntries(changes) }).filter(([, most]) => most !== undefined))

/** "pool/web" and "pool:web" are one. */
const plain = (scope: string): string => scope.replace(/^(pool|user|group|account)[/:]/, '$1:').toLowerCase()

const shares = ({ limit, booked }: Row): readonly string[] => WORDS.map((word) => {
  const { field, text } = WHAT[word]
  const most = limit[field]
  return most === undefined ? text(booked[field]) : `${text(booked[field])} of ${text(most)} (${most === 0 ? '-' : ratioText(booked[field] / most)})`
})

export const setCommand = defineCommand({
  name: 'quota set',
  summary: 'Limit what a pool, a user or a group may have booked',
  operands: '<scope> <limits...>',
  details: 'A scope is pool:NAME, user:NAME, group:NAME (of the directory) or account/PRINCIPAL. What is not named stays as it is. It binds VMs of pools, in the transaction that places them; what is booked already stays. A VM counts for its owner and the groups that he is in when it is booked.',
  options: {},
  examples: [
    { command: 'kumoi quota set group:lab vcpus=16 memory=32GiB', does: 'all VMs of the group\'s users together' },
    { command: 'kumoi quota set user:alice vms=4', does: 'four VMs at most, in all pools' },
    { command: 'kumoi quota set pool:web vcpus=none', does: 'no limit of vcpus any more' },
  ],
  output: 'value',
  run: (shell, [scope = '', ...limits]) => withDataCenter(shell, async (dc) => {
    const changes = limits.map(amount)
    const cloud = globalOf(dc)
    const { limit } = await cloud.quota(scope)
    const after = changed(limit, changes)
    const row = { ...await cloud.quota(scope, Object.keys(after).length === 0 ? null : after), scope }
    shell.out.result(row, () => Object.keys(after).length === 0 ? `${scope}: no limit` : `${scope}: ${shares(row).map((share, at) => `${WORDS[at]} ${share}`).join(', ')}`)
    for (const word of WORDS) {
      const most = row.limit[WHAT[word].field]
      if (most !== undefined && row.booked[WHAT[word].field] > most) shell.out.warn(`${scope} has more ${word} booked than that: nothing is stopped, and nothing more is placed`)
    }
    return EXIT.done
  }),
})

export const listCommand = defineCommand({
  name: 'quota list',
  summary: 'List the limits, and what is booked of them',
  operands: '',
  options: {},
  examples: [{ command: 'kumoi quota list', does: 'booked, limit and share, by scope' }, { command: 'kumoi --json quota list', does: 'rows of {scope, limit, booked}; memory in MiB' }],
  output: 'value',
  run: (shell) => withDataCenter(shell, async (dc) => {
    const rows = (await globalOf(dc).quotas()).toSorted((a, b) => (a.scope < b.scope ? -1 : 1))
    shell.out.result(rows, (layout) => rows.length === 0 ? undefined : table(
      [{ title: 'scope' }, ...WORDS.map((title) => ({ title, align: 'right' }) as const)], rows.map((row) => [row.scope, ...shares(row)]), layout))
    if (rows.length === 0 && !shell.settings.json) shell.out.note('No quotas. Set one: `kumoi quota set group:lab vcpus=16`.')
    return EXIT.done
  }),
})

export const rmCommand = defineCommand({
  name: 'quota rm',
  summary: 'Take the limits of a pool, a user or a group away',
  operands: '<scope>',
  options: {},
  examples: [{ command: 'kumoi quota rm group:lab', does: 'nothing is limited for the group any more' }],
  output: 'value',
  run: (shell, [scope = '']) => withDataCenter(shell, async (dc) => {
    const known = (await globalOf(dc).quotas()).map((row) => row.scope)
    if (!known.some((one) => plain(one) === plain(scope))) throw CLI.NOT_FOUND({ what: 'quota', name: scope, near: nearest(scope, known), known, more: 0 })
    await globalOf(dc).quota(scope, null)
    shell.out.result({ scope }, () => `${scope}: no limit`)
    return EXIT.done
  }),
})

// `kumoi alias NAME stable=VERSION canary=VERSION:10% old=`: moves what names point to, all in one.

import { defineCommand } from '../command.ts'
import { CLI, EXIT } from '../errors.ts'
import { fields } from '../render/value.ts'
import { versionText } from '../render/function.ts'
import { withDataCenter } from '../session.ts'

function readMove(move: string): readonly [string, string | null] {
  const at = move.indexOf('=')
  if (at < 1) throw CLI.USAGE({ problem: `kumoi alias: "${move}" is no move`, hint: 'Write ALIAS=VERSION, ALIAS=VERSION:10%, ALIAS=OTHER, or ALIAS= to remove it.' })
  const where = move.slice(at + 1)
  return [move.slice(0, at), where === '' ? null : where]
}

export const aliasCommand = defineCommand({
  name: 'alias',
  summary: 'Move the names of versions: stable, canary, ...',
  operands: '<name> <moves...>',
  details: 'A move is ALIAS=VERSION, ALIAS=VERSION:10% (a share of the calls that name no alias), ALIAS=OTHER, or ALIAS= to remove it. All are done at once, or none.',
  options: {},
  examples: [
    { command: 'kumoi alias hot-machines canary=3f2a91c0d4e5:10%', does: 'one call in ten to this version' },
    { command: 'kumoi alias hot-machines stable=canary canary=', does: 'the canary did well' },
  ],
  output: 'value',
  run: (shell, [name = '', ...moves]) => withDataCenter(shell, async (dc) => {
    const record = await dc.functions.alias(name, Object.fromEntries(moves.map(readMove)))
    shell.out.result(record, ({ style }) => fields(Object.entries(record.aliases).map(([alias, { version, percent }]) => [alias, `${versionText(version)}${percent === undefined ? '' : ` ${percent}%`}`]), style))
    return EXIT.done
  }),
})

// `kumoi info`, `kumoi status`: the node of this data directory.

import { defineCommand } from '../command.ts'
import { EXIT } from '../errors.ts'
import { durationText } from '../render/units.ts'
import { fields } from '../render/value.ts'
import { withDataCenter } from '../session.ts'

export const infoCommand = defineCommand({
  name: 'info',
  aliases: ['status'],
  summary: 'Show the node of this data directory',
  operands: '',
  options: {},
  examples: [{ command: 'kumoi info', does: 'name, id, fabric, process, addresses' }, { command: 'kumoi --json status', does: 'for programs; exit status 3 when no node runs' }],
  output: 'value',
  run: (shell) => withDataCenter(shell, async (dc) => {
    const node = await dc.node()
    shell.out.result(node, (layout) => fields([
      ['name', node.name], ['id', node.id], ['fabric', node.fabric], ['version', node.version], ['process', String(node.pid)],
      ['data', node.data], ['addresses', node.addresses.join(', ') || '-'], ...Object.entries(node.doors),
      ['up', durationText(shell.world.clock.wallMs() - node.startedAtMs)],
      ...(node.revoked === undefined ? [] : [['revoked', node.revoked.message] as const]),
    ], layout.style))
    return EXIT.done
  }),
})

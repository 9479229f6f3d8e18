// `kumoi node list`, `kumoi node key`: who is of the fabric, who was cut off, and the key that a machine is known by.

import { defineCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { table } from '../../render/table.ts'
import { durationText } from '../../render/units.ts'
import { withDataCenter } from '../../session.ts'

export const listCommand = defineCommand({
  name: 'node list',
  summary: 'List members and revoked nodes, with their keys',
  operands: '',
  options: {},
  examples: [{ command: 'kumoi node list', does: 'who may speak here, and who no more' }, { command: 'kumoi --json node list', does: 'for programs' }],
  output: 'value',
  run: (shell) => withDataCenter(shell, async (dc) => {
    const [members, revoked] = await Promise.all([dc.members(), dc.trust.revokedNodes()])
    const cut = new Set(revoked.map(({ node }) => node))
    const nowMs = shell.world.clock.wallMs()
    const rows = [
      ...members.filter(({ id }) => !cut.has(id)).map(({ id, name, state, sinceMs }) => ({ key: id, name, state: state as string, sinceMs, by: '', reason: '' })),
      ...revoked.map(({ node, name, atMs, by, reason }) => ({ key: node, name, state: 'revoked', sinceMs: atMs, by, reason })),
    ]
    shell.out.result(rows, (layout) => table(
      [{ title: 'name' }, { title: 'state' }, { title: 'since', align: 'right' }, { title: 'key' }, { title: '' }],
      rows.map(({ key, name, state, sinceMs, by, reason }) => [name, state, durationText(Math.max(0, nowMs - sinceMs)), key, by === '' ? '' : `by ${by}${reason === '' ? '' : `: ${reason}`}`]), layout))
    return EXIT.done
  }),
})

export const keyCommand = defineCommand({
  name: 'node key',
  summary: 'Print the key of this machine, made if there is none yet; no node need run',
  operands: '',
  details: 'It is public: what a member needs for `kumoi node admit`.',
  options: {},
  examples: [{ command: 'kumoi node key', does: 'then, at a member: kumoi node admit KEY' }],
  output: 'value',
  async run(shell) {
    const { nodeKey } = await import('../../../kali/mod.ts')
    const key = await nodeKey(shell.settings.data)
    shell.out.result({ key }, () => key)
    return EXIT.done
  },
})

// `kumoi down`: a clean leave, asked of the running node over its local socket.

import { defineCommand } from '../command.ts'
import { EXIT } from '../errors.ts'
import { withDataCenter } from '../session.ts'

export const downCommand = defineCommand({
  name: 'down',
  summary: 'Make the node of this data directory leave the fabric and stop',
  operands: '',
  details: 'The others are told at once. The directory stays: `kumoi up` brings the same node back.',
  options: {},
  examples: [{ command: 'kumoi down', does: 'leave cleanly' }, { command: 'kumoi --data /srv/beta down', does: 'one of several nodes on this machine' }],
  output: 'value',
  run: (shell) => withDataCenter(shell, async (dc) => {
    const node = await dc.node()
    await dc.down()
    shell.out.result({ name: node.name, id: node.id, state: 'left' }, () => `${node.name} has left`)
    return EXIT.done
  }),
})

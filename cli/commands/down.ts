// `kumoi down`: a clean leave, asked of the running node over its local socket.

import { setTimeout as pause } from 'node:timers/promises'
import { LIMITS } from '../../fabric/base.ts'
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
    await gone(node.pid)
    shell.out.result({ name: node.name, id: node.id, state: 'left' }, () => `${node.name} has left`)
    return EXIT.done
  }),
})

/** Waits, within a bound, until the process has ended, so that `up` in the same directory may follow at once. */
async function gone(pid: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < LIMITS.interruptGraceMs && alive(pid); waitedMs += POLL_MS) await pause(POLL_MS)
}

const POLL_MS = 20

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

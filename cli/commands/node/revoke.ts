// `kumoi node revoke`, `kumoi node admit`: cut a node off from the fabric, and let it in again.

import { defineCommand, durationMs, text } from '../../command.ts'
import { confirm } from '../../confirm.ts'
import { EXIT } from '../../errors.ts'
import { durationText } from '../../render/units.ts'
import { withDataCenter } from '../../session.ts'

export const revokeCommand = defineCommand({
  name: 'node revoke',
  summary: 'Cut a node off: no member speaks with it any more, from now on',
  operands: '<name|key>',
  details: 'Its links end everywhere, open streams included; tokens and tickets that it signed count no more, and nobody whom it admits from now on is let in. Whom it had admitted before stays. What runs on its machine goes on there: switch that off, or fence it.',
  options: {
    reason: { flags: '--reason <text>', help: 'shown to whoever asks, on that node too', parse: text },
    yes: { flags: '--yes', help: 'do not ask' },
  },
  examples: [
    { command: 'kumoi node revoke gamma --reason "disk stolen"', does: 'after asking' },
    { command: 'kumoi node admit gamma', does: 'takes it back' },
  ],
  output: 'value',
  async run(shell, [node = ''], { reason = '', yes }) {
    if (yes !== true && !(await confirm(shell, `Cut ${node} off from the fabric?`))) return EXIT.done
    return withDataCenter(shell, async (dc) => {
      const record = await dc.trust.revokeNode(node, reason)
      shell.out.result(record, () => `${record.name} (${record.node.slice(0, 8)}) is cut off`)
      return EXIT.done
    })
  },
})

export const admitCommand = defineCommand({
  name: 'node admit',
  summary: 'Let a revoked node in again, or print a ticket that admits one key only',
  operands: '<name|key>',
  options: { lifetime: { flags: '--lifetime <time>', help: 'how long the ticket admits (default: 24h)', parse: durationMs } },
  examples: [
    { command: 'kumoi node admit gamma', does: 'one that was revoked: it comes back by itself, or at its next start' },
    { command: 'kumoi node admit "$(ssh delta kumoi node key)"', does: 'a new machine: the ticket is of no use to any other' },
  ],
  output: 'value',
  run: (shell, [node = ''], { lifetime }) => withDataCenter(shell, async (dc) => {
    const answer = await dc.trust.admitNode(node, lifetime === undefined ? {} : { lifetimeMs: lifetime })
    if (answer.as === 'ticket') {
      shell.out.result(answer, () => answer.ticket)
      if (!shell.settings.json) shell.out.note(`Good for ${durationText(answer.lifetimeMs)}, on the machine with that key only: kumoi up --name NAME --join TICKET --detach`)
    } else if (answer.as === 'member') shell.out.result(answer, () => `${answer.name} is a member; nothing was to be done`)
    else {
      shell.out.result(answer, () => `${answer.name} may come back`)
      if (!shell.settings.json) shell.out.note('A node that runs there comes back by itself within a minute; one that does not, with `kumoi up`.')
    }
    return EXIT.done
  }),
})

// `kumoi ticket`: stdout holds the ticket and nothing else, so that $(kumoi ticket) works.

import { defineCommand, durationMs } from '../command.ts'
import { EXIT } from '../errors.ts'
import { withDataCenter } from '../session.ts'

export const ticketCommand = defineCommand({
  name: 'ticket',
  summary: 'Print what another node needs to join this fabric',
  operands: '',
  details: 'The ticket admits whoever holds it until it expires: treat it as a password.',
  options: { lifetime: { flags: '--lifetime <time>', help: 'how long it admits (default: 24h)', parse: durationMs } },
  examples: [
    { command: 'kumoi ticket', does: 'then, elsewhere: kumoi up --name beta --join <ticket> --detach' },
    { command: 'kumoi ticket --lifetime 10m > beta.ticket', does: 'short-lived, into a file: --join @beta.ticket' },
  ],
  output: 'value',
  run: (shell, _operands, { lifetime }) => withDataCenter(shell, async (dc) => {
    const ticket = await dc.ticket(lifetime === undefined ? {} : { lifetimeMs: lifetime })
    shell.out.result({ ticket }, () => ticket)
    if (shell.world.stdout.isTTY === true) shell.out.note(`On another machine: kumoi up --name NAME --join TICKET --detach`)
    return EXIT.done
  }),
})

// `kumoi repl`: see cli/repl.ts.

import { defineCommand } from '../command.ts'
import { startRepl } from '../repl.ts'

export const replCommand = defineCommand({
  name: 'repl',
  summary: 'Interactive session: history, completion, top-level await, TypeScript',
  operands: '',
  details: 'Ctrl-C cancels the running expression; .help lists what else there is; Ctrl-D leaves.',
  options: {},
  examples: [{ command: 'kumoi repl', does: 'then: pms.dmap(pm => pm.name)' }, { command: 'kumoi --data /srv/kumoi repl', does: 'through the node of that directory' }],
  output: 'text',
  run: (shell) => startRepl(shell),
})

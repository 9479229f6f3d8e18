// `kumoi run FILE`: a script of the user's, see cli/run-script.ts.

import { defineCommand } from '../command.ts'
import { runScript } from '../run-script.ts'

export const runCommand = defineCommand({
  name: 'run',
  summary: "Run a script; its import of 'kumoi' is this installation",
  operands: '<file> [args...]',
  details: 'Everything after FILE is the script\'s own (process.argv). --data, --as, --timeout and Ctrl-C reach it through connect().',
  options: {},
  examples: [
    { command: 'kumoi run report.ts --since yesterday', does: "a script that has import { connect } from 'kumoi'" },
    { command: 'kumoi --timeout 1m run nightly.ts', does: 'bounded as a whole' },
  ],
  output: 'text',
  passThrough: true,
  run: (shell, [file = '', ...args]) => runScript(shell, file, args),
})

// `kumoi audit export`: the logs as JSON lines with their hashes, to be kept elsewhere and judged later.

import { defineCommand, text } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { withDataCenter } from '../../session.ts'

export const exportCommand = defineCommand({
  name: 'audit export',
  summary: 'Write audit logs as JSON lines with their hashes, checkpoints and witnesses',
  operands: '',
  options: { node: { flags: '--node <node>', help: 'one node\'s log (default: all)', parse: text } },
  examples: [
    { command: 'kumoi audit export > audit.jsonl', does: 'all nodes; `kumoi audit verify --file audit.jsonl` judges it' },
    { command: 'kumoi audit export --node alpha | grep \'"verb":"deploy"\'', does: 'one node' },
  ],
  output: 'text',
  run: (shell, _operands, { node }) => withDataCenter(shell, async (dc) => {
    for await (const line of dc.audit.export(node === undefined ? {} : { node })) shell.world.stdout.write(`${line}\n`)
    return EXIT.done
  }),
})

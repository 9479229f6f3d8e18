// `kumoi store status`: where the fabric's global store is, and whether it answers.

import { defineCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { fields } from '../../render/value.ts'
import { withDataCenter } from '../../session.ts'

export const statusCommand = defineCommand({
  name: 'store status',
  summary: 'Show where the global store is and what it holds; exit status 1 when it does not answer',
  operands: '',
  options: {},
  examples: [
    { command: 'kumoi store status', does: 'embedded or etcd, revision, number of keys' },
    { command: 'kumoi --json store status | jq .reachable', does: 'for a script' },
  ],
  output: 'value',
  run: (shell) => withDataCenter(shell, async (dc) => {
    const status = await dc.store.status()
    shell.out.result(status, (layout) => fields([
      ['store', status.description],
      ...(status.reachable ? [['revision', String(status.revision)] as const, ['keys', String(status.keys)] as const] : [['unreachable', status.error ?? 'it does not answer'] as const]),
    ], layout.style))
    return status.reachable ? EXIT.done : EXIT.failed
  }),
})

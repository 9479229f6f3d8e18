// `kumoi metrics`: figures of the whole fabric as Prometheus reads them; the HTTP door gives the same at /metrics.

import { defineCommand } from '../command.ts'
import { EXIT } from '../errors.ts'
import { withDataCenter } from '../session.ts'

export const metricsCommand = defineCommand({
  name: 'metrics',
  summary: 'Print the figures of all nodes, in Prometheus text',
  operands: '',
  details: 'kumoi_up is 0 for a node that did not answer in time. With `kumoi up --http PORT` a node gives the same at /metrics.',
  options: {},
  examples: [
    { command: 'kumoi metrics', does: 'everything' },
    { command: 'kumoi metrics | grep ^kumoi_up', does: 'which nodes answered' },
  ],
  output: 'text',
  run: (shell) => withDataCenter(shell, async (dc) => {
    shell.out.result(await dc.functions.metrics())
    return EXIT.done
  }),
})

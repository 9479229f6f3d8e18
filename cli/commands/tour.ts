// `kumoi tour`, `npm start`: the steps are in cli/tour.ts.

import { defineCommand } from '../command.ts'
import { EXIT } from '../errors.ts'
import { Tour } from '../tour.ts'

export const tourCommand = defineCommand({
  name: 'tour',
  summary: 'Guided tour: a three-node fabric on this machine; leaves nothing running',
  operands: '',
  options: {},
  examples: [{ command: 'kumoi tour', does: 'the same as npm start; about ten seconds' }],
  output: 'text',
  async run(shell) {
    await new Tour(shell).run()
    return EXIT.done
  },
})

// `kumoi redrive NAME [ID...]` and `kumoi discard NAME [ID...]`: what becomes of asynchronous calls that failed.

import { confirm } from '../confirm.ts'
import { defineCommand } from '../command.ts'
import { EXIT } from '../errors.ts'
import { withDataCenter } from '../session.ts'
import { refuseUnknown } from '../unknown-function.ts'

const calls = (count: number): string => `${count} call${count === 1 ? '' : 's'}`
const chosen = (ids: readonly string[]): readonly string[] | undefined => (ids.length === 0 ? undefined : ids)

export const redriveCommand = defineCommand({
  name: 'redrive',
  summary: 'Put calls that failed for good back into the queue',
  operands: '<name> [ids...]',
  details: 'They have all their attempts again. Without ids: every dead call of the function.',
  options: {},
  examples: [{ command: 'kumoi redrive send-mail', does: 'all of them' }, { command: 'kumoi redrive send-mail 5f0c9a1e22b3d471', does: 'this one' }],
  output: 'value',
  run: (shell, [name = '', ...ids]) => withDataCenter(shell, async (dc) => {
    const redriven = await dc.functions.redrive(name, chosen(ids))
    await refuseUnknown(dc, name, redriven)
    shell.out.result({ redriven }, () => `${calls(redriven)} of ${name} ${redriven === 1 ? 'waits' : 'wait'} again`)
    return EXIT.done
  }),
})

export const discardCommand = defineCommand({
  name: 'discard',
  summary: 'Throw asynchronous calls away, waiting or dead',
  operands: '<name> [ids...]',
  details: 'Without ids: every one of the function; on a terminal it asks first. One that runs may end its run.',
  options: { yes: { flags: '--yes', help: 'do not ask' } },
  examples: [{ command: 'kumoi discard send-mail 5f0c9a1e22b3d471', does: 'this one' }, { command: 'kumoi discard --yes send-mail', does: 'all of them' }],
  output: 'value',
  run: (shell, [name = '', ...ids], { yes }) => withDataCenter(shell, async (dc) => {
    if (ids.length === 0 && yes !== true && !await confirm(shell, `Throw away every asynchronous call of ${name}?`)) {
      shell.out.note('Nothing was thrown away.')
      return EXIT.failed
    }
    const discarded = await dc.functions.discard(name, chosen(ids))
    await refuseUnknown(dc, name, discarded)
    shell.out.result({ discarded }, () => `${calls(discarded)} of ${name} thrown away`)
    return EXIT.done
  }),
})

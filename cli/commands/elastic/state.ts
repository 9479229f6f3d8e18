// `kumoi elastic pause|resume|rm GROUP...`.

import { findElasticities } from '../../cloud.ts'
import { defineCommand } from '../../command.ts'
import type { AnyCommand } from '../../command.ts'
import { confirm } from '../../confirm.ts'
import { EXIT } from '../../errors.ts'
import { withDataCenter } from '../../session.ts'
import { sideBySide } from '../../side-by-side.ts'

const VERBS = {
  pause: { summary: 'Leave elastic groups as they are until they are resumed', doing: 'pausing', done: 'paused', example: 'its members go on running' },
  resume: { summary: 'Let elastic groups grow and shrink again', doing: 'resuming', done: 'active', example: 'after pause' },
} as const

export const pauseCommand = (verb: keyof typeof VERBS): AnyCommand => {
  const { summary, doing, done, example } = VERBS[verb]
  return defineCommand({
    name: `elastic ${verb}`, summary, operands: '<groups...>', options: {},
    examples: [{ command: `kumoi elastic ${verb} web1`, does: example }],
    output: 'value',
    run: (shell, names) => withDataCenter(shell, async (dc) => sideBySide(shell, { objects: await findElasticities(dc, shell.out, names), doing, done, work: (group) => group[verb]() })),
  })
}

export const rmCommand = defineCommand({
  name: 'elastic rm',
  summary: 'Remove elastic groups with the members they made; the VM they began with stays',
  operands: '<groups...>',
  options: { keepMembers: { flags: '--keep-members', help: 'leave them running' }, yes: { flags: '--yes', help: 'do not ask' } },
  examples: [{ command: 'kumoi elastic rm web1', does: 'clones are destroyed, the original stays' }, { command: 'kumoi elastic rm web1 --keep-members', does: 'nothing stops' }],
  output: 'value',
  run: (shell, names, { keepMembers, yes }) => withDataCenter(shell, async (dc) => {
    const objects = await findElasticities(dc, shell.out, names)
    if (keepMembers !== true && yes !== true && !await confirm(shell, `Destroy the clones of ${objects.map(({ name }) => name).join(', ')}?`)) return EXIT.failed
    return sideBySide(shell, { objects, doing: 'removing', done: 'removed', work: (group) => group.remove(keepMembers === true ? { keepMembers } : {}) })
  }),
})

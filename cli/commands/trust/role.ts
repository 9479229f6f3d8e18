// `kumoi role ...`, `kumoi key rotate`: rights by role on the whole fabric, and the end of all tokens.

import { rightsOf } from '../../acl.ts'
import { defineCommand, repeated, text } from '../../command.ts'
import { confirm } from '../../confirm.ts'
import { CLI, EXIT } from '../../errors.ts'
import { table } from '../../render/table.ts'
import { withDataCenter } from '../../session.ts'

const many = (value: string, before?: readonly string[]): readonly string[] => repeated(text(value), before)

export const listCommand = defineCommand({
  name: 'role list',
  summary: 'List roles: what they may, and who has them',
  operands: '',
  options: {},
  examples: [{ command: 'kumoi role list', does: 'the built-in ones too: admin, operator, reader' }],
  output: 'value',
  run: (shell) => withDataCenter(shell, async (dc) => {
    const rows = await dc.trust.roles()
    shell.out.result(rows, (layout) => table(
      [{ title: 'name' }, { title: 'rights' }, { title: 'groups' }, { title: 'users' }, { title: '' }],
      rows.map(({ name, patterns, groups, users, builtIn }) => [name, patterns.join(' '), groups.join(', ') || '-', users.join(' ') || '-', builtIn ? 'built in' : '']), layout))
    return EXIT.done
  }),
})

export const setCommand = defineCommand({
  name: 'role set',
  summary: 'Make a role, or replace it as a whole',
  operands: '<name>',
  details: 'Groups and users that are not named do not have it afterwards; rights that are not given stay as they are.',
  options: {
    group: { flags: '--group <group>', help: 'a group of the directory that has it (may be repeated)', parse: many },
    user: { flags: '--user <name>', help: 'a user who has it (may be repeated)', parse: many },
    right: { flags: '--right <pattern>', help: 'KIND:VERB: vm:start, vm:*, *:read (may be repeated)', parse: many },
  },
  examples: [
    { command: 'kumoi role set admin --group infra', does: 'the group infra may do everything' },
    { command: 'kumoi role set vm-ops --group ops --right vm:read --right vm:operate', does: 'a role of one\'s own' },
  ],
  output: 'value',
  async run(shell, [name = ''], { group: groups = [], user: users = [], right }) {
    const rights = right === undefined ? undefined : await rightsOf(right)
    return withDataCenter(shell, async (dc) => {
      const patterns = rights ?? (await dc.trust.roles()).find((role) => role.name === name)?.patterns
      if (patterns === undefined) throw CLI.USAGE({ problem: `kumoi role set: ${name} is a new role and has no rights`, hint: 'Name them: --right vm:read --right vm:start.' })
      const role = await dc.trust.setRole({ name, groups, users, patterns })
      shell.out.result(role, () => `${role.name}: ${role.patterns.join(' ')} for ${[...role.groups.map((group) => `group ${group}`), ...role.users].join(', ') || 'nobody'}`)
      return EXIT.done
    })
  },
})

export const rmCommand = defineCommand({
  name: 'role rm',
  summary: 'Remove a role; a built-in one is as it was made',
  operands: '<name>',
  options: {},
  examples: [{ command: 'kumoi role rm vm-ops', does: 'who had it has its rights no more, at once' }],
  output: 'value',
  run: (shell, [name = '']) => withDataCenter(shell, async (dc) => {
    await dc.trust.removeRole(name)
    shell.out.result({ name }, () => `${name} removed`)
    return EXIT.done
  }),
})

export const rotateCommand = defineCommand({
  name: 'key rotate',
  summary: 'End all tokens of the fabric: everybody logs in again',
  operands: '',
  details: 'For when tokens may have been stolen. Functions that were deployed go on, and so do administrators on a node\'s own socket.',
  options: { yes: { flags: '--yes', help: 'do not ask' } },
  examples: [{ command: 'kumoi key rotate', does: 'says how many sessions of this node it ended' }],
  output: 'value',
  async run(shell, _operands, { yes }) {
    if (yes !== true && !(await confirm(shell, 'End every login of the fabric?'))) return EXIT.done
    return withDataCenter(shell, async (dc) => {
      const answer = await dc.trust.rotate()
      shell.out.result(answer, () => `tokens of before are dead (epoch ${answer.tokenEpoch}); sessions ended on this node: ${answer.sessions}`)
      return EXIT.done
    })
  },
})

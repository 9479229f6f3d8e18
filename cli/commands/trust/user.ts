// `kumoi user ...`: who has logged in, and who may not any more.

import { nearest } from '../../../fabric/base.ts'
import { defineCommand } from '../../command.ts'
import type { AnyCommand } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { table } from '../../render/table.ts'
import { durationText } from '../../render/units.ts'
import { fields } from '../../render/value.ts'
import { withDataCenter } from '../../session.ts'

export const listCommand = defineCommand({
  name: 'user list',
  summary: 'List the users who have logged in',
  operands: '',
  options: {},
  examples: [{ command: 'kumoi user list', does: 'groups and roles as of the last login; sessions of this node' }],
  output: 'value',
  run: (shell) => withDataCenter(shell, async (dc) => {
    const rows = await dc.trust.users()
    const nowMs = shell.world.clock.wallMs()
    shell.out.result(rows, (layout) => rows.length === 0 ? undefined : table(
      [{ title: 'name' }, { title: 'state' }, { title: 'last login', align: 'right' }, { title: 'sessions', align: 'right' }, { title: 'roles' }, { title: 'groups' }],
      rows.map(({ name, state, lastLoginMs, sessions, roles, groups }) => [name, state, durationText(nowMs - lastLoginMs), String(sessions), roles.join(' ') || '-', groups.join(' ') || '-']), layout))
    if (rows.length === 0 && !shell.settings.json) shell.out.note('Nobody has logged in yet. `kumoi trust ldap set` names the directory, `kumoi login NAME` asks it.')
    return EXIT.done
  }),
})

export const showCommand = defineCommand({
  name: 'user show',
  summary: 'Show one user',
  operands: '<name>',
  options: {},
  examples: [{ command: 'kumoi user show alice', does: 'his entry in the directory, groups, roles' }],
  output: 'value',
  run: (shell, [name = '']) => withDataCenter(shell, async (dc) => {
    const rows = await dc.trust.users()
    const user = rows.find((row) => row.name === name.toLowerCase())
    const known = rows.map((row) => row.name)
    if (user === undefined) throw CLI.NOT_FOUND({ what: 'user', name, near: nearest(name, known), known, more: 0 })
    shell.out.result(user, (layout) => fields([
      ['name', user.name], ['state', user.state], ['entry', user.dn], ['groups', user.groups.join(', ') || '-'], ['roles', user.roles.join(', ') || '-'],
      ['last login', `${durationText(shell.world.clock.wallMs() - user.lastLoginMs)} ago`], ['sessions', `${user.sessions} on this node`],
    ], layout.style))
    return EXIT.done
  }),
})

const VERBS = {
  revoke: { summary: 'Cut a user off, everywhere and at once', does: 'his connections end, his tokens are dead, he cannot log in' },
  restore: { summary: 'Let a user in again who was cut off', does: 'he has to log in anew' },
} as const

export const stateCommand = (verb: keyof typeof VERBS): AnyCommand => defineCommand({
  name: `user ${verb}`,
  summary: VERBS[verb].summary,
  operands: '<name>',
  options: {},
  examples: [{ command: `kumoi user ${verb} alice`, does: VERBS[verb].does }],
  output: 'value',
  run: (shell, [name = '']) => withDataCenter(shell, async (dc) => {
    const answer = verb === 'revoke' ? await dc.trust.revokeUser(name) : await dc.trust.restoreUser(name)
    shell.out.result(answer, () => (verb === 'revoke' ? `${answer.user.name} is cut off; sessions ended on this node: ${answer.sessions}` : `${answer.user.name} may log in again`))
    return EXIT.done
  }),
})

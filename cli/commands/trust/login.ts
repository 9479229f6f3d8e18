// `kumoi login NAME`, `logout`, `whoami`: who one is from the next command on.

import { readFile, stat } from 'node:fs/promises'

import { defineCommand, durationMs, integer, repeated, text } from '../../command.ts'
import type { AnyCommand } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { readHidden } from '../../prompt.ts'
import { durationText } from '../../render/units.ts'
import { fields } from '../../render/value.ts'
import { withDataCenter } from '../../session.ts'
import type { Shell } from '../../session.ts'
import { readAll } from '../../world.ts'

const CALLS_MAX = 1_000_000_000
/** Of a file that holds a password: what others may do with it. */
const OTHERS = 0o077

/** "vm:read,vm:start" -> two. */
export const words = (value: string): readonly string[] => value.split(',').map((word) => word.trim()).filter((word) => word !== '')

/** From a file (- is standard input), else asked for without echo. Never an operand: /proc shows those to everybody. */
export async function readPassword(shell: Shell, from: string | undefined, question: string): Promise<string> {
  if (from === undefined) return readHidden(shell, question)
  if (from === '-') return (await readAll(shell.world.stdin)).replace(/\r?\n$/, '')
  const problem = (reason: string): Error => CLI.USAGE({ problem: `kumoi: the password cannot be read from ${from}: ${reason}`, hint: 'Name a file that only you can read (chmod 600), or - for standard input.' })
  const { mode } = await stat(from).catch((error: unknown) => { throw problem(error instanceof Error ? error.message : String(error)) })
  if ((mode & OTHERS) !== 0) throw problem('others may read it')
  return (await readFile(from, 'utf8')).replace(/\r?\n$/, '')
}

export const loginCommand = defineCommand({
  name: 'login',
  summary: 'Be a user of the fabric from the next command on',
  operands: '<name>',
  details: 'The password goes to the directory (LDAP) and is kept nowhere. What is kept is a token of a few minutes, renewed while commands run, in the config directory (KUMOI_CONFIG, else ~/.config/kumoi).',
  options: {
    only: { flags: '--only <rights>', help: 'no more than these: vm:read,vm:start (may be repeated)', parse: (value: string, before?: readonly string[]): readonly string[] => [...before ?? [], ...words(text(value))] },
    for: { flags: '--for <time>', help: 'no longer than this, renewals and all (default: 12h)', parse: durationMs },
    calls: { flags: '--calls <n>', help: 'no more calls than this on each node; such a login is not renewed', parse: integer(1, CALLS_MAX) },
    node: { flags: '--node <name>', help: 'good on this node only (may be repeated)', parse: repeated },
    passwordFile: { flags: '--password-file <file>', help: 'read the password from a file, - from standard input', parse: text },
  },
  examples: [
    { command: 'kumoi login alice', does: 'asks for the password without showing it' },
    { command: 'kumoi login alice --only vm:read,vm:start --for 10m', does: 'for a script that starts VMs and nothing else' },
    { command: 'pass show alice | kumoi login alice --password-file -', does: 'from another program' },
  ],
  output: 'value',
  async run(shell, [name = ''], { only = [], for: lifeMs, calls, node: nodes = [], passwordFile }) {
    const password = await readPassword(shell, passwordFile, `Password of ${name}: `)
    return withDataCenter(shell, async (dc) => {
      const answer = await dc.trust.login({ user: name, password, verbs: only, nodes, ...(calls === undefined ? {} : { calls }), ...(lifeMs === undefined ? {} : { lifeMs }) })
      const { principal, renewableUntilMs } = answer
      shell.out.result(answer, () => `logged in as ${principal} for ${durationText(renewableUntilMs - shell.world.clock.wallMs())}`)
      return EXIT.done
    }, undefined, { login: false })
  },
})

export const logoutCommand = defineCommand({
  name: 'logout',
  summary: 'Forget the login for this fabric',
  operands: '',
  options: {},
  examples: [{ command: 'kumoi logout', does: 'on a node\'s own socket one is its administrator again' }],
  output: 'value',
  run: (shell) => withDataCenter(shell, async (dc) => {
    const there = await dc.trust.logout()
    shell.out.result({ loggedOut: there }, () => (there ? 'logged out' : 'nobody was logged in'))
    return EXIT.done
  }, undefined, { login: false }),
})

export const whoamiCommand: AnyCommand = defineCommand({
  name: 'whoami',
  summary: 'Who one is to this node: principal, groups, roles, what is left of the token',
  operands: '',
  options: {},
  examples: [{ command: 'kumoi whoami', does: 'a user, or the administrator of this machine' }, { command: 'kumoi whoami --json', does: 'for programs' }],
  output: 'value',
  run: (shell) => withDataCenter(shell, async (dc) => {
    const who = await dc.trust.whoAmI()
    const { user, principal, node } = who
    const nowMs = shell.world.clock.wallMs()
    shell.out.result(who, (layout) => fields([
      ['principal', principal], ['node', node],
      ...(user === undefined ? [] : [
        ['groups', user.groups.join(', ') || '-'], ['roles', user.roles.join(', ') || '-'],
        ...(user.verbs.length === 0 ? [] : [['only', user.verbs.join(', ')] as const]), ...(user.calls === undefined ? [] : [['calls', `at most ${user.calls} on each node`] as const]),
        ['token', `${durationText(Math.max(0, user.expiresAtMs - nowMs))} left`], ['login', `${durationText(Math.max(0, user.renewableUntilMs - nowMs))} left`],
      ] as const),
    ], layout.style))
    return EXIT.done
  }),
})

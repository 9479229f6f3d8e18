// The commands of access rules, users and roles through the real shell on two real nodes: what they print, what --json says, what
// a mistake is answered, and that two who grant at once lose nothing.

import t from 'tap'
import type { Test } from 'tap'
import type { AclRule } from '../../rmo/mod.ts'
import { openMemoryShell } from '../support/memory-shell.ts'

t.setTimeout(120_000)
const { run, json, dc } = await openMemoryShell(t, ['alpha', 'beta'])

async function says(t: Test, args: readonly string[], wanted: string | RegExp, status = 0): Promise<void> {
  const said = await run(args)
  t.equal(said.status, status, `${args.join(' ')}: ${said.stderr}`)
  t.match(said.stdout, wanted)
}
/** Is refused with this status and text. */
async function refuses(t: Test, args: readonly string[], status: number, wanted: string | RegExp): Promise<void> {
  const said = await run(args)
  t.equal(said.status, status, args.join(' '))
  t.match(said.stderr, wanted)
  t.equal(said.stdout, '')
}
const none = async (t: Test, args: readonly string[], note: string | RegExp): Promise<void> => {
  const { status, stdout, stderr } = await run(args)
  t.same([status, stdout], [0, ''], args.join(' '))
  t.match(stderr, note)
  t.same(await json(...args), [])
}

t.test('an empty fabric says what would fill it', async (t) => {
  await none(t, ['acl', 'show', 'global'], /There are no rules.*`kumoi acl grant` makes one/)
  await none(t, ['user', 'list'], /Nobody has logged in yet.*kumoi trust ldap set/)
  await says(t, ['role', 'list'], /^name +rights +groups +users\s*\nadmin +\*:\* +- +- +built in\noperator .*function:run +- +- +built in\nreader +\*:read \*:watch function:run/)
  t.match(await json('role', 'list'), [{ name: 'admin', patterns: ['*:*'], groups: [], users: [], builtIn: true }, { name: 'operator' }, { name: 'reader' }])
  await says(t, ['trust', 'show'], /directory +none \(`kumoi trust ldap set` names one\)/)
  t.match(await json('trust', 'show'), { ldap: null, sessions: [], users: 0 })
  t.match(await json('whoami'), { principal: /^local:\d+$/, node: 'alpha' })
})

t.test('grant, show, why, deny, revoke', async (t) => {
  await says(t, ['vm', 'create', 'web', '--host', 'beta', '--memory', '64'], /web/)
  await says(t, ['acl', 'grant', 'group:ops', 'vm:read,vm:start', 'on', 'vms/web'], 'allow group:ops vm:read vm:start\n')
  await says(t, ['acl', 'grant', 'group:ops', 'vm:start', 'vm:stop', 'on', 'vms/web'], 'allow group:ops vm:read vm:start vm:stop\n')
  t.same(await json('acl', 'deny', 'user:bob', 'vm:remove', 'on', 'global'), [{ effect: 'deny', principal: 'user:bob', verbs: ['vm:remove'] }])
  await says(t, ['acl', 'show', 'vms/web'], /^on +who +rights *\nVM web +allow +group:ops +vm:read vm:start vm:stop\nglobal +deny +user:bob +vm:remove\n$/)
  t.match(await json('acl', 'show', 'vms/web'), [{ kind: 'VM', name: 'web', effect: 'allow', principal: 'group:ops' }, { kind: 'Global', effect: 'deny' }])
  for (const verb of ['start', 'vm:start', 'vms:start', '*:start']) await says(t, ['acl', 'why', 'local:0', verb, 'vms/web'], /^local:0 may .*start vms\/web: local administrator \(it needs vm:start, which is "operate"\)\n$/)
  await says(t, ['acl', 'why', 'local:0', 'vm:operate', 'vms/web'], /\(it needs vm:operate\)/)
  await says(t, ['acl', 'why', 'local:0', 'function:deploy', 'global'], /local:0 may function:deploy global/)
  t.match(JSON.parse((await run(['--json', 'acl', 'why', 'user:bob', 'vm:remove', 'vms/web'])).stdout), { who: 'user:bob', path: 'vms/web', allowed: false, known: false })
  const stranger = await run(['acl', 'why', 'user:bob', 'start', 'vms/web'])
  t.match(stranger, { status: 1, stdout: /^user:bob may not start vms\/web: nobody of the name bob has logged in/, stderr: /nobody of the name user:bob has logged in here/ })
  await says(t, ['acl', 'revoke', 'group:ops', 'vm:start,vm:read', 'on', 'vms/web'], 'allow group:ops vm:stop\n')
  await says(t, ['acl', 'revoke', 'group:ops', 'on', 'vms/web'], 'vms/web has no rules of its own\n')
  t.same(await json('acl', 'revoke', 'user:bob', 'on', 'global'), [])
})

t.test('what is refused, and what to write instead', async (t) => {
  for (const [args, wanted] of [
    [['acl', 'grant', 'group:ops', 'vm:start'], /on what\?\n.*kumoi acl grant WHO RIGHTS on PATH/],
    [['acl', 'grant', 'group:ops', 'on', 'vms/web'], /Which rights\?/],
    [['acl', 'grant', 'ops', 'vm:start', 'on', 'vms/web'], /"ops" is nobody that a rule can name\n.*group:ops/],
    [['acl', 'grant', 'user:Alice', 'vm:start', 'on', 'vms/web'], /"user:Alice" is nobody.*Names are lower case/s],
    [['acl', 'grant', 'group:ops', 'vm:fly', 'on', 'vms/web'], /"vm:fly" is no right\n.*one of the verbs/],
    [['acl', 'grant', 'group:ops', 'cloud:read', 'on', 'vms/web'], /"cloud:read" is no right\n.*a kind that exists/],
    [['acl', 'deny', 'group:ops', 'vm:start', 'on', 'vm/web'], /"vm\/web" is no path of an object\n.*Did you mean vms\/web\?/],
    [['acl', 'show', 'web'], /is no path of an object/],
    [['acl', 'show'], /path/],
    [['acl', 'show', 'global', '--all'], /--all/],
    [['acl', 'grant', '--force', 'group:ops', 'vm:start', 'on', 'vms/web'], /--force/],
    [['login'], /name/],
    [['login', 'alice', '--for', 'ever'], /--for/],
    [['login', 'alice', '--calls', '0'], /--calls/],
    [['login', 'alice', '--password', 'secret'], /unknown option '--password'/],
    [['login', 'alice', '--password-file', '/nothing/there'], /cannot be read from \/nothing\/there/],
    [['role', 'set', 'mine', '--group', 'ops'], /mine is a new role and has no rights\n.*--right/],
    [['role', 'set', 'mine', '--right', 'nothing'], /"nothing" is no right/],
    [['role', 'set', 'mine', '--right', 'vm:read,vm:fly'], /"vm:fly" is no right/],
    [['trust', 'ldap', 'sett'], /set/],
    [['trust', 'ldap', 'set'], /--url and --user-base are needed/],
    [['user', 'show'], /name/],
  ] as const) await refuses(t, args, 2, wanted)
  for (const [args, wanted] of [
    [['acl', 'show', 'vms/wen'], /There is no vm "wen"\. Did you mean web\?/],
    [['acl', 'why', 'local:0', 'fly', 'vms/web'], /VM has no verb "fly".*RMO_ERR_VERB_UNKNOWN/],
    [['acl', 'why', 'local:0', 'pool:create', 'vms/web'], /verb must be a verb of vms, such as "vm:read", got "pool:create".*RMO_ERR_ARGUMENT_INVALID/],
    [['acl', 'why', 'local:0', 'function:deploy', 'vms/web'], /"global" for the right function:deploy/],
    [['user', 'show', 'alice'], /There is no user "alice"/],
    [['user', 'revoke', 'alice'], /No user alice has ever logged in.*KALI_ERR_USER_UNKNOWN/],
    [['role', 'rm', 'mine'], /There is no record of a role mine.*KALI_ERR_ROLE_UNKNOWN/],
    [['role', 'set', 'Mine!', '--right', 'vm:read'], /_ERR_/],
  ] as const) await refuses(t, args, 1, wanted)
})

t.test('help tells what to write', async (t) => {
  for (const name of ['acl grant', 'acl deny', 'acl revoke', 'acl show', 'acl why', 'login', 'logout', 'whoami', 'user list', 'user show', 'user revoke', 'user restore', 'role list', 'role set', 'role rm', 'key rotate', 'trust show', 'trust ldap']) {
    const { status, stdout } = await run([...name.split(' '), '--help'])
    t.equal(status, 0, name)
    t.match(stdout, new RegExp(`kumoi ${name}`))
    t.match(stdout, /Examples/i, name)
  }
})

t.test('two who grant at once', async (t) => {
  const pool = await run(['pool', 'create', 'p1'])
  t.equal(pool.status, 0, pool.stderr)
  for (const path of ['vms/web', 'pms/beta', 'pools/p1', 'global']) {
    const names = ['ann', 'ben', 'cat', 'dan', 'eve']
    const said = await Promise.all(names.map((name) => run(['acl', 'grant', `user:${name}`, '*:read', 'on', path])))
    t.same(said.map(({ status }) => status), names.map(() => 0), said.map(({ stderr }) => stderr).join(''))
    const rules = await json('acl', 'show', path) as readonly (AclRule & { readonly kind: string })[]
    t.same(rules.filter(({ principal }) => principal !== '*').map(({ principal }) => principal.slice(5)).filter((name, at, all) => all.indexOf(name) === at).sort(), names, `${path}: none is lost`)
    t.same((await Promise.all(names.map((name) => run(['acl', 'revoke', `user:${name}`, 'on', path])))).map(({ status }) => status), names.map(() => 0))
    t.same(await json('acl', 'show', path), [], `${path}: all are gone`)
  }
  const [web] = await dc.vms
  const rule = { effect: 'allow', principal: 'user:ann', verbs: ['vm:read'] } as const
  await t.rejects(async () => { await web?.acls([rule], { was: [rule] }) }, { code: 'RMO_ERR_VERSION_CONFLICT', message: /changed by somebody else/ })
})

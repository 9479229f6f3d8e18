// Trust as a user and an administrator meet it: three nodes as processes, a real directory (slapd), and the user's command as a
// process of its own for each step, with a config directory for each of the two people. The user comes through the users' socket.

import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { connect, startNode } from '../../kali/mod.ts'
import { fakeKali } from '../support/fake-datacenter.ts'
import { openLab, until, within } from '../support/fabric-lab.ts'
import type { LabNode } from '../support/fabric-lab.ts'
import { runProgram } from '../support/processes.ts'
import type { RunResult } from '../support/processes.ts'
import { LAUNCHER, shellRun } from '../support/shell-run.ts'
import { ALICE_PASSWORD, READER_PASSWORD, slapdAbsent, startSlapd } from '../support/slapd.ts'
import { PATIENCE_MS } from '../support/until.ts'

t.setTimeout(200_000)
type Said = Pick<RunResult, 'status' | 'stdout' | 'stderr'>
const NODE = ['--no-node-snapshot', '--disable-warning=ExperimentalWarning']

t.test('a user of the directory, from login to logout, on three nodes', { skip: slapdAbsent }, async (t) => {
  const slapd = await startSlapd(t)
  const lab = await openLab(t)
  const socketOf = (name: string): string => join(lab.root, `${name}.users`)
  const alpha = await lab.up({ name: 'alpha', driver: 'memory', usersSocket: socketOf('alpha') })
  const ticket = await lab.ticket(alpha)
  const [beta, gamma] = await Promise.all(['beta', 'gamma'].map((name) => lab.up({ name, driver: 'memory', join: ticket, usersSocket: socketOf(name) }))) as [LabNode, LabNode]
  await lab.settled([alpha, beta, gamma])
  const secret = async (name: string, text: string): Promise<string> => {
    const file = lab.dir(name)
    await writeFile(file, text, { mode: 0o600 })
    return file
  }
  const [password, wrong, reader, ca] = await Promise.all([secret('password', `${ALICE_PASSWORD}\n`), secret('wrong', 'battery staple\n'), secret('reader', READER_PASSWORD), secret('ca.pem', slapd.ca)])

  const command = (env: Readonly<Record<string, string>>, args: readonly string[], options: Parameters<typeof runProgram>[2] = {}): Promise<RunResult> =>
    runProgram(process.execPath, [...NODE, LAUNCHER, ...args], { cwd: lab.root, ...options, env: { NO_COLOR: '1', ...env } })
  /** Through the users' socket of a node; the data directory is none, so that nothing else is reached by mistake. */
  const at = (node: LabNode) => (...args: string[]): Promise<RunResult> => command({ KUMOI_CONFIG: lab.dir('alice'), KUMOI_SOCKET: socketOf(node.name), KUMOI_DATA: lab.dir('none') }, args)
  const alice = at(alpha)
  // The administrator's command is the same program, in this process: half of the time goes into starting processes.
  const fake = { ...fakeKali(), kali: { connect, startNode } }
  const admin = (...args: string[]): Promise<Said> => shellRun(args, { fake, env: { KUMOI_CONFIG: lab.dir('admin'), KUMOI_DATA: alpha.data } })
  const done = async (work: Promise<Said>): Promise<string> => {
    const { status, stdout, stderr } = await work
    if (status !== 0) throw new Error(`exit status ${status}: ${stdout}${stderr}`)
    return stdout
  }
  /** A change is everywhere soon, not at once. */
  const soon = (what: string, ask: () => Promise<Said>, wanted: (answer: Said) => boolean): Promise<Said> => until(what, async () => { const answer = await ask(); return wanted(answer) ? answer : undefined })

  const dc = await lab.connect(alpha)
  for (const [name, host] of [['web', 'beta'], ['db', 'alpha'], ['idle', 'gamma']] as const) {
    const vmm = await until(`the hypervisor of ${host}`, async () => (await dc.vmms).find((one) => one.name === host))
    await vmm.add(await vmm.createVM({ name, memoryMiB: 64 }))
  }

  await t.test('login', async (t) => {
    t.match(await alice('login', 'alice', '--password-file', password), { status: 1, stderr: /no directory of users.*kumoi trust ldap set.*KALI_ERR_DIRECTORY_NONE/s })
    await done(admin('trust', 'ldap', 'set', '--url', slapd.ldaps, '--ca', ca, '--bind-dn', 'cn=reader,dc=lab', '--password-file', reader, '--user-base', 'dc=lab'))
    t.match(await soon('the directory is tried', () => admin('trust', 'ldap', 'test'), ({ status }) => status === 0), { stdout: /ok/ })
    t.match(await alice('whoami'), { status: 0, stdout: /principal +nobody/ })
    t.match(await alice('vms'), { status: 1, stderr: /kumoi login NAME.*KALI_ERR_LOGIN_NEEDED/s })
    t.match(await alice('login', 'alice', '--password-file', wrong), { status: 1, stderr: /login of alice was refused.*KALI_ERR_LOGIN_REFUSED/s })
    t.equal(await done(alice('login', 'alice', '--password-file', password)).then((text) => text.replace(/\d+h \d+m|12h/, 'TIME')), 'logged in as user:alice for TIME\n')
    t.match(await done(alice('whoami')), /principal +user:alice\nnode +alpha\ngroups +admins, lab users, ops\nroles +-\n/)
    t.match(await done(at(beta)('whoami')), /principal +user:alice\nnode +beta\n/, 'the token is good on every node')
  })

  await t.test('rules', async (t) => {
    const start = (): Promise<RunResult> => alice('vm', 'start', 'web')
    t.equal(await done(alice('vms', '--json')), '[]\n', 'without a right to see them there are none')
    t.match(await start(), { status: 1, stderr: /There is no VM "web"/ })
    await done(admin('acl', 'grant', 'group:ops', 'vm:read,vm:watch,pm:read', 'on', 'pms/beta'))
    const listed = await soon('the machine beta is seen', () => alice('vms', '--json'), ({ stdout }) => stdout.includes('web'))
    t.notMatch(listed.stdout, /"name":"(?:db|idle)"/, 'only what may be read')
    t.match(await start(), { status: 1, stderr: /user:alice may not start VM web \(needs "operate"\): no rule and no role allows it.*RMO_ERR_DENIED/s })
    t.match(await done(admin('acl', 'grant', 'group:ops', 'vm:start', 'on', 'vms/web')), /allow group:ops vm:start/)
    await soon('alice may start it', start, ({ status }) => status === 0)
    t.match(await done(alice('vms')), /web +running/, 'of the other node')
    t.match(await done(alice('acl', 'why', 'user:alice', 'vm:start', 'vms/web')), /user:alice may vm:start vms\/web.*\nthe rule, on VM web: allow group:ops vm:start/)
    t.match(await alice('acl', 'show', 'vms/web'), { status: 1, stderr: /user:alice may not see or change the access rules of VM web/ }, 'rules are for who administers')
    await done(admin('acl', 'deny', 'user:alice', 'vm:start', 'on', 'global'))
    t.match(await soon('alice may not any more', start, ({ status }) => status !== 0), { status: 1, stderr: /a rule of the whole fabric denies it.*RMO_ERR_DENIED/s }, 'deny wins, wherever it stands')
    t.match(await admin('acl', 'why', 'user:alice', 'start', 'vms/web'), { status: 1, stdout: /may not start vms\/web.*\nthe rule, on global: deny user:alice vm:start/ })
    await done(admin('acl', 'revoke', 'user:alice', 'on', 'global'))
    await soon('alice may again', () => alice('acl', 'why', 'user:alice', 'start', 'vms/web'), ({ status }) => status === 0)
  })

  await t.test('functions', async (t) => {
    const map = (): Promise<RunResult> => alice('pms.dmap((pm) => pm.name)')
    t.match(await map(), { status: 1, stderr: /user:alice may not call .*It needs the right function:run on global.*_DENIED/s })
    await done(admin('role', 'set', 'runner', '--group', 'ops', '--right', 'function:run'))
    t.match(await soon('alice may run functions', map, ({ status }) => status === 0), { stdout: /beta/ }, 'with a role that has function:run')
    t.notMatch((await map()).stdout, /alpha|gamma/, 'on the machines that she sees')
  })

  await t.test('cut off, and let in again', async (t) => {
    const open = Promise.withResolvers<void>()
    const watching = command({ KUMOI_CONFIG: lab.dir('alice'), KUMOI_SOCKET: socketOf('beta'), KUMOI_DATA: lab.dir('none') }, ['--json', 'vm', 'watch', 'web', '--sample', '250ms'], { onText: (text) => { if (text.includes('\n')) open.resolve() } })
    await within('the watch at beta shows something', PATIENCE_MS, Promise.race([open.promise, watching.then(({ stderr }) => { throw new Error(`it ended: ${stderr}`) })]))
    t.match(await done(admin('user', 'revoke', 'alice')), /alice is cut off/)
    t.match(await within('the watch at beta ends', PATIENCE_MS, watching), { status: 1, stderr: /KALI_ERR_SESSION_ENDED/ }, 'by a change at alpha')
    t.match(await alice('vms'), { status: 1, stderr: /The user alice was cut off.*kumoi user restore alice.*KALI_ERR_USER_REVOKED/s })
    t.match(await alice('login', 'alice', '--password-file', password), { status: 1, stderr: /KALI_ERR_USER_REVOKED/ })
    await done(admin('user', 'restore', 'alice'))
    t.match(await alice('vms'), { status: 1, stderr: /Log in again with `kumoi login NAME`.*KALI_ERR_TOKEN_REFUSED/s }, 'the token of before stays dead')
    await done(alice('login', 'alice', '--password-file', password))
    t.match(await done(alice('vms')), /web/)
    await done(admin('key', 'rotate', '--yes'))
    t.match(await alice('vms'), { status: 1, stderr: /KALI_ERR_TOKEN_REFUSED/ }, 'everybody logs in again')
    await done(alice('login', 'alice', '--password-file', password))
  })

  await t.test('without the directory', async (t) => {
    await slapd.stop()
    t.match(await alice('login', 'alice', '--password-file', password), { status: 1, stderr: /could not be asked.*Nobody can log in until it answers.*KALI_ERR_DIRECTORY_AWAY/s }, 'no new login')
    t.match(await done(alice('vms')), /web/, 'who is logged in goes on')
  })

  await t.test('the record of it', async (t) => {
    const rows = (await done(admin('audit', '--json', '--user', 'alice'))).trim().split('\n').map((line) => JSON.parse(line) as { readonly node: string; readonly verb: string; readonly phase: string; readonly outcome?: string })
    const seen = (verb: string, phase: string): boolean => rows.some((row) => row.verb === verb && row.phase === phase)
    t.ok(seen('start', 'refused') && seen('start', 'intent') && seen('start', 'outcome'), 'what she was refused, and what she did')
    const all = await done(admin('audit'))
    for (const verb of ['login', 'acls', 'user.revoke', 'user.restore', 'rotate']) t.match(all, verb)
    t.match(await alice('audit'), { status: 1, stderr: /_DENIED/ }, 'not for everybody')
    const verified = await soon('two witnesses of each log', () => admin('audit', 'verify', '--json'), ({ status, stdout }) => status === 0 && (JSON.parse(stdout) as readonly { readonly witnesses: readonly { readonly says: string }[] }[]).every(({ witnesses }) => witnesses.filter(({ says }) => says === 'agrees').length >= 2))
    t.same((JSON.parse(verified.stdout) as readonly { readonly name: string; readonly verdict: string }[]).map(({ name, verdict }) => `${name} ${verdict}`).sort(), ['alpha sound', 'beta sound', 'gamma sound'])
  })

  t.equal(await done(alice('logout')), 'logged out\n')
  t.match(await alice('vms'), { status: 1, stderr: /KALI_ERR_LOGIN_NEEDED/ })
  await rm(lab.dir('alice'), { recursive: true, force: true })
  t.match(await command({ KUMOI_CONFIG: lab.dir('alice'), KUMOI_DATA: lab.dir('none'), KUMOI_SOCKET: join(lab.root, 'nothing') }, ['whoami']), { status: 3, stderr: /users' socket|nothing/ }, 'a socket that is not there')
})

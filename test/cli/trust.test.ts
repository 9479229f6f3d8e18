// The commands of trust against a real node with a directory in memory: a user's shell through the users' socket, an
// administrator's through the node's own. The config directory is a folder of the test.

import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { connect } from '../../kali/mod.ts'
import { startNode } from '../../kali/start.ts'
import { fakeKali } from '../support/fake-datacenter.ts'
import { shellRun } from '../support/shell-run.ts'
import type { ShellRun } from '../support/shell-run.ts'
import { openTrustNode } from '../support/trust-node.ts'

const PASSWORD = 'correct horse\n'

test('a user logs in, is somebody, and is not any more', async (t) => {
  const lab = await openTrustNode(t)
  const config = join(lab.folder, 'config')
  const fake = { ...fakeKali(), kali: { connect, startNode } }
  const run = (args: readonly string[], env: Readonly<Record<string, string>>, stdin = ''): Promise<ShellRun> => shellRun(args, { fake, stdin, env: { KUMOI_CONFIG: config, KUMOI_DATA: lab.data, ...env } })
  const alice = (args: readonly string[], stdin?: string): Promise<ShellRun> => run(args, { KUMOI_SOCKET: lab.usersSocket }, stdin)
  const admin = (args: readonly string[], stdin?: string): Promise<ShellRun> => run(args, { KUMOI_CONFIG: join(lab.folder, 'nobody') }, stdin)
  const fileOf = async (): Promise<string> => join(config, (await readdir(config))[0] ?? '')

  t.match(await alice(['whoami']), { status: 0, stdout: /nobody/ })
  t.match(await alice(['nodes']), { status: 1, stderr: /KALI_ERR_LOGIN_NEEDED/ })
  t.match(await alice(['login', 'alice', '--password-file', '-'], 'wrong\n'), { status: 1, stderr: /KALI_ERR_LOGIN_REFUSED/ })
  t.match(await alice(['login', 'alice'], PASSWORD), { status: 0, stdout: /logged in as user:alice for 1[12]/ })
  t.equal((await stat(await fileOf())).mode & 0o777, 0o600)
  t.equal((await stat(config)).mode & 0o777, 0o700)
  t.notMatch(await readFile(await fileOf(), 'utf8'), /correct horse/)
  t.match(JSON.parse((await alice(['whoami', '--json'])).stdout), { principal: 'user:alice', user: { groups: ['ops', 'staff'], roles: [] } })
  t.match(await alice(['user', 'list']), { status: 1, stderr: /_DENIED/ })

  t.match(await admin(['role', 'set', 'vm-ops', '--group', 'Ops', '--right', 'vm:operate', '--right', 'read']), { status: 0, stdout: 'vm-ops: *:read vm:operate for group ops\n' })
  t.match(await admin(['role', 'set', 'other', '--user', 'alice']), { status: 2, stderr: /has no rights/ })
  t.match(await admin(['role', 'list']), { status: 0, stdout: /vm-ops.*\n/ })
  t.match(await alice(['whoami']), { stdout: /roles +vm-ops/ })
  t.match(await admin(['user', 'list']), { status: 0, stdout: /alice +active/ })
  t.match(await admin(['user', 'show', 'alise']), { status: 1, stderr: /Did you mean alice/ })
  t.match(await admin(['trust', 'show']), { status: 0, stdout: /directory +none/ })

  t.match(await run(['whoami'], {}), { stdout: /user:alice/ }, 'on the node\'s own socket he is himself too')
  t.match(await run(['--admin', 'whoami'], {}), { stdout: /local:\d+/ })
  t.match(await run(['ticket'], {}), { status: 1, stderr: /KALI_ERR_METHOD_DENIED/ })

  t.match(await admin(['user', 'revoke', 'alice']), { status: 0, stdout: /alice is cut off/ })
  t.match(await alice(['whoami']), { status: 1, stderr: /KALI_ERR_USER_REVOKED/ })
  t.match(await run(['nodes'], {}), { status: 1, stderr: /KALI_ERR_USER_REVOKED/ }, 'never the administrator in silence')
  t.match(await admin(['user', 'restore', 'alice']), { status: 0 })
  t.match(await alice(['whoami']), { status: 1, stderr: /KALI_ERR_TOKEN_REFUSED/ }, 'the old token stays dead')
  t.match(await alice(['login', 'alice', '--only', 'vm:read', '--for', '10m'], PASSWORD), { status: 0, stdout: /user:alice\/vm:read for/ })
  t.match(await alice(['whoami']), { stdout: /only +vm:read/ })

  t.match(await admin(['key', 'rotate']), { status: 0, stdout: /epoch 1/ })
  t.match(await alice(['whoami']), { status: 1, stderr: /KALI_ERR_TOKEN_REFUSED/ })
  t.match(await alice(['logout']), { status: 0, stdout: 'logged out\n' })
  t.match(await alice(['logout']), { status: 0, stdout: 'nobody was logged in\n' })
  t.same(await readdir(config), [])
})

test('a login that others can read, or that is damaged, is not used', async (t) => {
  const lab = await openTrustNode(t)
  const config = join(lab.folder, 'config')
  const fake = { ...fakeKali(), kali: { connect, startNode } }
  const run = (args: readonly string[], stdin = ''): Promise<ShellRun> => shellRun(args, { fake, stdin, env: { KUMOI_CONFIG: config, KUMOI_DATA: lab.data } })
  await run(['login', 'alice'], PASSWORD)
  const file = join(config, (await readdir(config))[0] ?? '')
  await chmod(file, 0o640)
  t.match(await run(['whoami']), { status: 1, stderr: /others may read it.*KALI_ERR_LOGIN_FILE/s })
  await chmod(file, 0o600)
  t.match(await run(['whoami']), { status: 0, stdout: /user:alice/ })
  await writeFile(file, '{}')
  t.match(await run(['whoami']), { status: 1, stderr: /KALI_ERR_LOGIN_FILE/ })
  await run(['logout'])
  t.match(await run(['whoami']), { status: 0, stdout: /local:/ })
  const secret = join(lab.folder, 'password')
  await writeFile(secret, PASSWORD, { mode: 0o644 })
  t.match(await run(['login', 'alice', '--password-file', secret]), { status: 2, stderr: /others may read it/ })
  await chmod(secret, 0o600)
  t.match(await run(['login', 'alice', '--password-file', secret]), { status: 0 })
})

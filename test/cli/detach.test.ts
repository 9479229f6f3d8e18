// `up --detach`: returns when the node is ready, or with the node's own words when it is not.

import { statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

import { ROOT, shellRun } from '../support/shell-run.ts'

const launcher = join(ROOT, 'test/support/fake-shell.ts')
const env = (more: Readonly<Record<string, string>> = {}): Record<string, string> => {
  const { PATH = '', HOME = '' } = process.env
  return { PATH, HOME, ...more }
}

t.test('ready: name, id, address, and how others join', async (t) => {
  const data = join(t.testdir(), 'node')
  const { status, stdout, stderr } = await shellRun(['up', '--name', 'beta', '--data', data, '--join', 'secret-ticket', '--detach'], { launcher, env: env() })
  t.equal(status, 0, stderr)
  const pid = Number(/process +(\d+)/.exec(stdout)?.[1])
  try {
    t.match(stdout, /name +beta\nid +a{64}\nfabric +f{8}, .+\naddress +10\.0\.0\.1:4000/)
    t.match(stderr, new RegExp(`kumoi --data ${data} ticket`))
    t.equal(statSync(join(data, 'node.log')).mode & 0o777, 0o600)
    t.equal(statSync(data).mode & 0o777, 0o700)
    t.doesNotThrow(() => process.kill(pid, 0), 'it stays when the shell is gone')
  } finally {
    process.kill(pid, 'SIGKILL')
  }
})

t.test('not ready: why, in its own words', async (t) => {
  const data = join(t.testdir(), 'node')
  const { status, stdout, stderr } = await shellRun(['up', '--data', data, '--detach'], { launcher, env: env({ FAKE_START_ERROR: 'The ticket has expired.' }) })
  t.equal(status, 1)
  t.equal(stdout, '')
  t.match(stderr, /The node did not start: The ticket has expired\.\nIts log is .*node\.log[^]*CLI_ERR_START_FAILED/)
  const silent = await shellRun(['up', '--data', data, '--detach'], { launcher: join(ROOT, 'absent.ts'), env: env() })
  t.match(silent.stderr, /its process ended without a word/)
})

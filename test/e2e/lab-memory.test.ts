// `kumoi lab` without root: nodes with simulated hypervisors. Up, again, power cut, power on, what is refused, down; and
// a lab that cannot come up leaves nothing.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { tracesOf, useLab } from '../support/lab.ts'
import type { Teardown } from '../support/lab.ts'
import { until } from '../support/fabric-lab.ts'
import { runProgram } from '../support/processes.ts'
import { LAUNCHER } from '../support/shell-run.ts'

t.setTimeout(120_000)

t.test('a lab of two simulated hosts', async (t) => {
  const lab = await useLab(t, { driver: 'memory', hosts: 2 })
  const { id } = JSON.parse(await readFile(join(lab.directory, 'lab.json'), 'utf8')) as { readonly id: string }
  t.match(await lab.status(), { driver: 'memory', hosts: [{ name: 'host1', state: 'up' }, { name: 'host2', state: 'up' }] })
  t.match(await lab.lab('up'), /was up already: host1, host2/, 'up again changes nothing')
  t.equal(await lab.lab('env', 'host2'), `export KUMOI_DATA='${lab.host('host2').data}'\n`)
  await until('host1 sees host2', async () => (await lab.kumoi(['--json', 'pms.dmap(pm => pm.name)'])).stdout === '["host1","host2"]\n')
  t.match(await lab.exec('host2', 'sh', '-c', 'echo "$KUMOI_DATA"; exit 7'), { status: 7, stdout: `${lab.host('host2').data}\n` }, 'exec has the node and the status')

  await t.test('power', async (t) => {
    await lab.kill('host2')
    t.match(await lab.status(), { hosts: [{ state: 'up' }, { state: 'off', processes: 0 }] })
    await lab.start('host2')
    t.match(await lab.status(), { hosts: [{ state: 'up' }, { state: 'up' }] })
    t.match(await lab.lab('log', 'host2'), /"level"/, 'its log is there')
    await lab.stopNode('host1')
    t.match(await lab.status(), { hosts: [{ state: 'off' }, { state: 'up' }] })
    await lab.lab('up')
    t.match(await lab.status(), { hosts: [{ state: 'up' }, { state: 'up' }] }, 'up mends')
    t.equal((await (await lab.host('host1').connect()).node()).name, 'host1', 'the same node, of the same fabric')
  })

  await t.test('what is refused says what to do', async (t) => {
    const refused = (...args: string[]) => runProgram(process.execPath, [LAUNCHER, 'lab', ...args, '--dir', lab.directory])
    t.match(await refused('partition', 'host1'), { status: 1, stderr: /share this machine's network.*--driver libvirt.*CLI_ERR_LAB_REFUSED/s })
    t.match(await refused('kill', 'host9'), { status: 1, stderr: /hosts are host1, host2/ })
    t.match(await refused('up', '--hosts', '5'), { status: 1, stderr: /cannot be changed.*Take it down first/ })
    t.match(await refused('exec', 'host1'), { status: 2, stderr: /which program/ })
  })

  await lab.down()
  t.notOk(existsSync(lab.directory), 'no file is left')
  t.same(await tracesOf(lab.directory, id), [])
  t.match(await lab.lab('down'), /There is no lab/, 'down again is no error')
  t.match(await runProgram(process.execPath, [LAUNCHER, 'lab', 'status', '--dir', lab.directory]), { status: 1, stderr: /kumoi lab up --dir .*CLI_ERR_LAB_UNKNOWN/s })
})

const scratch = async (t: Teardown): Promise<string> => {
  const root = await mkdtemp(join(tmpdir(), 'klab-'))
  t.teardown(() => rm(root, { recursive: true, force: true }))
  return root
}

t.test('a lab that cannot come up leaves nothing', async (t) => {
  const root = await scratch(t)
  const run = (directory: string) => runProgram(process.execPath, [LAUNCHER, 'lab', 'up', '--driver', 'memory', '--hosts', '1', '--dir', directory])
  await writeFile(join(root, 'precious'), 'mine')
  t.match(await run(root), { status: 1, stderr: /not empty/ })
  t.equal(await readFile(join(root, 'precious'), 'utf8'), 'mine', 'what was there is untouched')
  const long = join(root, 'x'.repeat(90))
  t.match(await run(long), { status: 1, stderr: /longer than 107 bytes/ })
  t.notOk(existsSync(long))
})

t.test('Ctrl-C while it comes up leaves nothing', async (t) => {
  const directory = join(await scratch(t), 'd')
  const child = spawn(process.execPath, ['--no-node-snapshot', LAUNCHER, 'lab', 'up', '--driver', 'memory', '--hosts', '2', '--dir', directory], { stdio: 'ignore' })
  const ended = new Promise<number | null>((resolve) => { child.once('close', resolve) })
  await until('the first node starts', () => existsSync(join(directory, 'host1', 'node', 'node.log')))
  child.kill('SIGINT')
  t.equal(await ended, 130)
  t.same(await tracesOf(directory, undefined), [])
  t.notOk(existsSync(directory))
})

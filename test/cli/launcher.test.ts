// The real launcher as a child process: runtimes, argv, exit statuses, signals, streams, scripts.

import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

import { LAUNCHER, ROOT } from '../support/shell-run.ts'
import { runProgram } from '../support/processes.ts'

/** A Node of this machine that is older than 24 and at least 18. */
function olderNode(): string | undefined {
  const candidates = [...new Set((process.env['PATH'] ?? '').split(':').concat('/usr/bin', '/usr/local/bin').map((folder) => join(folder, 'node')))]
  return candidates.find((file) => {
    try {
      const [major = 0] = execFileSync(file, ['-p', 'process.versions.node'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split('.').map(Number)
      return major >= 18 && major < 24
    } catch {
      return false
    }
  })
}

/** Gone, or only waiting for whoever adopted it to collect its status. */
function ended(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return true
  }
}

const older = olderNode()
const FAKE_SHELL = join(ROOT, 'test/support/fake-shell.ts')

t.test('an older Node hands over to the pinned runtime', { skip: older === undefined && 'no Node older than 24 on this machine' }, async (t) => {
  const node = older ?? ''
  t.match((await runProgram(node, [LAUNCHER, '--version'])).stdout, /^\d+\.\d+\.\d+\n$/)
  const dir = t.testdir()
  const wrong = await runProgram(node, [LAUNCHER, 'nodse'], { env: { KUMOI_DATA: dir } })
  t.equal(wrong.status, 2)
  t.match(wrong.stderr, /did you mean `kumoi nodes`/)
  const script = join(dir, 'status.ts')
  writeFileSync(script, 'const v: string = process.versions.node\nconsole.log(v)\nprocess.exitCode = 7\n')
  const ran = await runProgram(node, [LAUNCHER, 'run', script], { env: { KUMOI_DATA: dir } })
  t.equal(ran.status, 7, ran.stderr)
  t.match(ran.stdout, /^24\./)
})

t.test('signals pass through the launcher, and nothing stays behind', { skip: older === undefined && 'no Node older than 24 on this machine' }, async (t) => {
  const dir = t.testdir()
  const script = join(dir, 'wait.ts')
  writeFileSync(script, 'console.log(`pid=${process.pid}`)\nsetInterval(() => {}, 1000)\n')
  for (const [signal, status] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
    let sent = false
    const ended = await runProgram(older ?? '', [LAUNCHER, 'run', script], { onText: (text, child) => { if (!sent && text.includes('pid=')) { sent = true; child.kill(signal) } } })
    t.equal(ended.status, status, ended.stderr)
  }
  let inner = 0, sent = false
  await runProgram(older ?? '', [LAUNCHER, 'run', script], { onText: (text, child) => {
    inner = Number(/pid=(\d+)\n/.exec(text)?.[1] ?? 0)
    if (!sent && inner > 0) { sent = true; child.kill('SIGKILL') }
  } })
  // Its streams close a moment before the process is gone.
  for (let waits = 0; waits < 250 && !ended(inner); waits++) await new Promise((done) => { setTimeout(done, 20) })
  t.ok(ended(inner), 'the lifeline ended what the killed launcher had started')
})

t.test('a script: argv, the import, its own lines in errors', async (t) => {
  const dir = t.testdir()
  mkdirSync(join(dir, 'deep/er'), { recursive: true })
  const run = (name: string, source: string, ...args: string[]) => {
    const file = join(dir, 'deep/er', name)
    writeFileSync(file, source)
    return runProgram(process.execPath, [LAUNCHER, 'run', file, ...args], { env: { KUMOI_DATA: dir } })
  }
  const argv = await run('argv.ts', "import { errorCode } from 'kumoi'\nconsole.log(JSON.stringify(process.argv.slice(2)), typeof errorCode)\n", '--since', 'yesterday', '--json')
  t.equal(argv.stdout, '["--since","yesterday","--json"] function\n', argv.stderr)
  t.equal(argv.status, 0)
  const thrown = await run('thrown.ts', 'type X = string\n\nfunction f(x: X) {\n  throw new TypeError(x)\n}\nf("broken")\n')
  t.equal(thrown.status, 1)
  t.match(thrown.stderr, new RegExp(`error: TypeError: broken\\n {2}at ${dir}/deep/er/thrown.ts:4:9`))
  const late = await run('late.ts', "setTimeout(() => { Promise.reject(new Error('late')) }, 1)\n")
  t.equal(late.status, 1)
  t.match(late.stderr, /error: Error: late\n {2}at .*late\.ts:1:/)
  t.match((await run('syntax.ts', 'const x: number = \n')).stderr, /syntax\.ts:\d/)
  t.match((await runProgram(process.execPath, [LAUNCHER, 'run', join(dir, 'absent.ts')])).stderr, /there is no such file/)
})

t.test('a reader that leaves early ends the shell quietly', async (t) => {
  const ended = await runProgram('/bin/sh', ['-c', `"$0" "$@" | head -1`, process.execPath, LAUNCHER, '--help'])
  t.match(ended.stdout, /^kumoi .*\n$/)
  t.equal(ended.stderr, '')
})

t.test('Ctrl-C ends even an endless loop', async (t) => {
  const script = join(t.testdir(), 'loop.ts')
  writeFileSync(script, "import { writeSync } from 'node:fs'\nwriteSync(1, 'looping\\n'); while (true) {}\n")
  let sent = 0
  const ended = await runProgram(process.execPath, [LAUNCHER, 'run', script], {
    onText: (text, child) => { if (sent++ === 0 && text.includes('looping')) child.kill('SIGINT') },
  })
  t.equal(ended.status, 130, ended.stderr)
})

t.test('NO_COLOR and FORCE_COLOR', async (t) => {
  t.match((await runProgram(process.execPath, [FAKE_SHELL, 'nodes'], { env: { FORCE_COLOR: '1' } })).stdout, /\u001b\[32m/)
  t.notMatch((await runProgram(process.execPath, [FAKE_SHELL, 'nodes'], { env: { FORCE_COLOR: '1', NO_COLOR: '1' } })).stdout, /\u001b/)
})

t.test('completion scripts are accepted by their shells', async (t) => {
  const { stdout } = await runProgram(process.execPath, [LAUNCHER, 'completion', 'bash'])
  const probe = `${stdout}\nCOMP_WORDS=(kumoi nodes); COMP_CWORD=1; _kumoi; echo "\${COMPREPLY[@]}"\nCOMP_WORDS=(kumoi nodes --wa); COMP_CWORD=2; _kumoi; echo "\${COMPREPLY[@]}"`
  t.equal((await runProgram('/bin/bash', ['-c', probe])).stdout, 'nodes\n--watch\n')
  for (const shell of ['zsh', 'fish']) {
    t.match((await runProgram(process.execPath, [LAUNCHER, 'completion', shell])).stdout, /nodes/)
  }
})

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'tap'
import { LIMITS, systemClock } from '../../../fabric/base.ts'
import type { Clock } from '../../../fabric/base.ts'
import { createMachine } from '../../../rmo/mod.ts'
import type { Budget } from '../../../rmo/mod.ts'
import { createSampler } from '../../../rmo/os/sampler.ts'
import { member } from '../../support/rmo-fabric.ts'

const machine = createMachine({ self: () => member(1, 'alpha'), data: '/var/lib/kumoi', clock: systemClock })
const budget = (over: Partial<Budget> = {}): Budget => ({ signal: new AbortController().signal, remainingMs: () => 30_000, ...over })
const sh = (script: string, options = {}, over: Partial<Budget> = {}) => machine.exec('sh', ['-c', script], options, budget(over))

test('exec answers status, signal and both streams', async (t) => {
  t.same(await machine.exec('echo', ['a', 'b c'], {}, budget()), { code: 0, signal: null, stdout: 'a b c\n', stderr: '', truncated: false })
  t.match(await sh('echo out; echo err >&2; exit 3'), { code: 3, stdout: 'out\n', stderr: 'err\n' })
  t.match(await sh('kill -TERM $$'), { code: null, signal: 'SIGTERM' })
  t.match(await machine.exec('cat', [], { input: 'through' }, budget()), { stdout: 'through' })
  t.match(await machine.exec('cat', [], { input: new Uint8Array([104, 105]) }, budget()), { stdout: 'hi' })
  t.match(await machine.exec('true', [], { input: 'x'.repeat(1_000_000) }, budget()), { code: 0 }, 'a program that does not read its input')
})

test('exec runs in a small environment and a known directory', async (t) => {
  process.env.KUMOI_TEST_SECRET = 'leaked'
  t.teardown(() => { delete process.env.KUMOI_TEST_SECRET })
  const { stdout } = await machine.exec('env', [], { env: { EXTRA: 'yes' } }, budget())
  t.notMatch(stdout, /leaked/)
  t.match(stdout, /^EXTRA=yes$/m)
  t.equal((await machine.exec('pwd', [], {}, budget())).stdout, '/\n')
})

test('exec says what could not be started, where', async (t) => {
  await t.rejects(machine.exec('no-such-program', [], {}, budget()), { code: 'RMO_ERR_EXEC_NOT_FOUND', message: /no such program "no-such-program" on alpha/, outcome: 'not-started' })
  await t.rejects(machine.exec('/etc/passwd', [], {}, budget()), { code: 'RMO_ERR_EXEC_FAILED', message: /EACCES/ })
  await t.rejects(machine.exec('echo', ['x'.repeat(3_000_000)], {}, budget()), { code: 'RMO_ERR_EXEC_FAILED', message: /E2BIG/ })
})

test('exec keeps at most maxBytes and lets the program end', async (t) => {
  t.same(await sh('printf 12345678; printf abc >&2; exit 4', { maxBytes: 8 }).then(({ code, stdout, stderr, truncated }) => ({ code, bytes: stdout.length + stderr.length, truncated })), { code: 4, bytes: 8, truncated: true })
  const cut = await sh('printf "aé"', { maxBytes: 2 })
  t.match(cut, { stdout: 'a', truncated: true }, 'a character cut in half is left out')
})

test('exec kills what writes without end', async (t) => {
  await t.rejects(machine.exec('yes', [], { maxBytes: 10 }, budget()), { code: 'RMO_ERR_OUTPUT_TOO_LARGE', outcome: 'unknown' })
})

/** Processes whose command line holds the mark. */
const marked = (mark: string): string[] => {
  try { return execFileSync('pgrep', ['-f', mark], { encoding: 'utf8' }).trim().split('\n') } catch { return [] }
}

test('at the timeout the whole process group ends', async (t) => {
  const mark = `7${process.pid}.25`
  await t.rejects(sh(`echo begun; sleep ${mark} & sleep ${mark}; true`, { timeoutMs: 200 }),
    { code: 'RMO_ERR_EXEC_TIMEOUT', details: { timeoutMs: 200, stdout: 'begun\n' }, outcome: 'unknown' })
  t.same(marked(`^sleep ${mark}`), [])
})

test('the call that has less time left is the bound', async (t) => {
  await t.rejects(machine.exec('sleep', ['30'], { timeoutMs: 60_000 }, budget({ remainingMs: () => 150 })), { code: 'RMO_ERR_EXEC_TIMEOUT' })
})

test('a cancelled call kills its program and rejects with the reason', async (t) => {
  const mark = `8${process.pid}.25`
  const abort = new AbortController()
  const running = machine.exec('sleep', [mark], {}, budget({ signal: abort.signal }))
  abort.abort(new Error('the shell went away'))
  await t.rejects(running, /the shell went away/)
  t.same(marked(`^sleep ${mark}`), [])
  await t.rejects(machine.exec('echo', [], {}, budget({ signal: abort.signal })), /the shell went away/)
})

test('a child left in the background does not hold the answer', async (t) => {
  const mark = `9${process.pid}.25`
  t.match(await sh(`sleep ${mark} & echo done`), { code: 0, stdout: 'done\n' })
  t.same(marked(`^sleep ${mark}`), [], 'and ends with its group')
})

test('no more programs at once than the limit', async (t) => {
  const abort = new AbortController()
  const running = Array.from({ length: LIMITS.execsInFlightMax }, () => machine.exec('sleep', ['20'], {}, budget({ signal: abort.signal })))
  await t.rejects(machine.exec('true', [], {}, budget()), { code: 'RMO_ERR_BUSY', retryable: true })
  abort.abort(new Error('enough'))
  await Promise.allSettled(running)
  t.match(await machine.exec('true', [], {}, budget()), { code: 0 })
})

test('readFile', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'kumoi-rmo-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'file')
  writeFileSync(path, 'é'.repeat(10))
  mkdirSync(join(directory, 'sub'))
  execFileSync('mkfifo', [join(directory, 'fifo')])
  t.equal(await machine.readFile(path, {}, budget()), 'é'.repeat(10))
  t.same(await machine.readFile(path, { encoding: 'bytes', maxBytes: 20 }, budget()), new Uint8Array(readFileSync(path)))
  await t.rejects(machine.readFile(path, { maxBytes: 19 }, budget()), { code: 'RMO_ERR_FILE_TOO_LARGE', message: /file on alpha has more than 19 bytes/ })
  await t.rejects(machine.readFile(join(directory, 'none'), {}, budget()), { code: 'RMO_ERR_FILE_FAILED', message: /none on alpha could not be read: no such file/ })
  await t.rejects(machine.readFile(join(directory, 'sub'), {}, budget()), { code: 'RMO_ERR_FILE_FAILED', message: /it is a directory/ })
  await t.rejects(machine.readFile(join(directory, 'fifo'), {}, budget()), { code: 'RMO_ERR_FILE_FAILED', message: /not a regular file/ })
  await t.rejects(machine.readFile('/dev/zero', {}, budget()), { code: 'RMO_ERR_FILE_FAILED', message: /not a regular file/ })
  t.match(await machine.readFile('/proc/self/status', {}, budget()), /^Name:/, 'files of /proc, which say 0 bytes')
  await t.rejects(machine.readFile('/proc/self/status', { maxBytes: 10 }, budget()), { code: 'RMO_ERR_FILE_TOO_LARGE' })
})

/** A clock that runs when told. */
function manualClock(): Clock & { run(ms: number): void } {
  let nowMs = 0
  let timers: { readonly atMs: number; readonly callback: () => void }[] = []
  return {
    nowMs: () => nowMs, wallMs: () => nowMs,
    after(delayMs, callback) {
      const timer = { atMs: nowMs + delayMs, callback }
      timers.push(timer)
      return { cancel: () => { timers = timers.filter((each) => each !== timer) } }
    },
    run(ms) {
      const untilMs = nowMs + ms
      for (;;) {
        const next = timers.filter((timer) => timer.atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0]
        if (next === undefined) break
        timers = timers.filter((each) => each !== next)
        nowMs = next.atMs
        next.callback()
      }
      nowMs = untilMs
    },
  }
}

test('cpuRatio is the busy share of the last window', async (t) => {
  const clock = manualClock()
  // 100 ticks a second: idle at first, then busy from 10 s on.
  const texts = {
    now: (path: string) => {
      if (path !== '/proc/stat') return undefined
      const ticks = clock.nowMs() / 10, busy = Math.max(0, ticks - 1_000)
      return `cpu  ${Math.round(busy)} 0 0 ${Math.round(ticks - busy + 500)} 0 0 0 0\ncpu0 ${Math.round(busy)} 0 0 ${Math.round(ticks - busy + 500)} 0 0 0 0\n`
    },
    read: async () => undefined,
  }
  const sampler = createSampler({ clock, texts })
  t.equal(sampler.latest().cpu.cpuRatio, 0)
  clock.run(10_200)
  t.ok(sampler.latest().cpu.cpuRatio < 0.05)
  clock.run(2_500)
  t.ok(Math.abs(sampler.latest().cpu.cpuRatio - 0.5) < 0.1, 'half the window busy')
  clock.run(3_000)
  t.equal(sampler.latest().cpu.cpuRatio, 1, 'the burst fills the window')
  t.equal(sampler.latest().windowMs, LIMITS.cpuWindowMs)
  t.equal(sampler.latest().cores.get(0)?.cpuRatio, 1)
  t.ok(sampler.latest().memory.totalBytes > 0, 'without /proc/meminfo, what the runtime knows')
  sampler.stop()
})

test('a machine whose /proc hides everything still answers', async (t) => {
  const blind = createMachine({ self: () => member(2, 'beta'), data: '/d', clock: systemClock, texts: { now: () => undefined, read: async () => undefined } })
  t.match(blind.attributes(), { name: 'beta', cpuRatio: 0, kernel: /./ })
  t.ok(blind.attributes().cores >= 1 && blind.attributes().memoryFreeRatio <= 1)
  t.match(await blind.stats(), { filesystems: [], disks: [], interfaces: [] })
  t.match(await blind.info(), { name: 'beta', hardware: { memoryTotalBytes: Number } })
  blind.stop()
})

test('sampling stops', async (t) => {
  machine.stop()
  t.pass()
})

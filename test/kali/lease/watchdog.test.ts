// The watchdog as a process: what it kills and what not, a node that stands still or dies, its own death.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import t, { test } from 'tap'
import { systemClock } from '../../../fabric/mod.ts'
import { systemBootClock } from '../../../kali/lease/boot-clock.ts'
import { createWatchdog } from '../../../kali/lease/watchdog/client.ts'
import type { Watchdog } from '../../../kali/lease/watchdog/client.ts'
import { processName } from '../../../kali/lease/watchdog/processes.ts'
import { until } from '../../support/until.ts'

// The client holds no process alive; a node has other things that do.
const awake = setInterval(() => {}, 60_000)
t.teardown(() => clearInterval(awake))

type Teardown = { teardown(fn: () => unknown): unknown }
const nowMs = systemBootClock.nowMs
const silent = { info: () => {}, warn: () => {} }
const GIVE_UP_MS = 8_000

const alive = (pid: number): boolean => processName(pid) !== undefined
const gone = (pid: number): Promise<unknown> => until(`process ${pid} is gone`, () => !alive(pid))

/** Stands for an emulator: its command line is as libvirt writes QEMU's. `-uuid` left out: another program that only mentions it. */
function guest(t: Teardown, uuid: string, how: 'emulator' | 'stranger' = 'emulator'): ChildProcess & { readonly pid: number } {
  const args = how === 'emulator' ? ['-name', 'guest=web', '-uuid', uuid, '-m', '64'] : ['--log', uuid]
  const child = spawn('sh', ['-c', 'read line', 'qemu', ...args], { stdio: ['pipe', 'ignore', 'ignore'] })
  t.teardown(() => { child.kill('SIGKILL') })
  return child as ChildProcess & { readonly pid: number }
}
const pidOf = (directory: string): number => (JSON.parse(readFileSync(join(directory, 'ha.sock.pid'), 'utf8')) as { readonly pid: number }).pid

function directoryOf(t: Teardown): string {
  const directory = mkdtempSync(join(tmpdir(), 'kumoi-watchdog-'))
  t.teardown(async () => {
    try {
      const pid = pidOf(directory)
      if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(directory)) { process.kill(pid, 'SIGKILL'); await gone(pid) }
    } catch { /* it has ended, or never was */ }
    rmSync(directory, { recursive: true, force: true })
  })
  return directory
}
function watchdogIn(t: Teardown, directory: string): Watchdog {
  const watchdog = createWatchdog({ directory, giveUpMs: GIVE_UP_MS, clock: systemClock, log: silent })
  t.teardown(() => watchdog.stop())
  return watchdog
}

test('ends what it was fed for when the time is over, by pid or by uuid, and nobody else', async (t) => {
  const directory = directoryOf(t)
  const watchdog = watchdogIn(t, directory)
  await watchdog.start()
  const [known, unknown, other, named, reused] = [randomUUID(), randomUUID(), randomUUID(), randomUUID(), randomUUID()]
  const a = guest(t, known), b = guest(t, unknown), c = guest(t, other), d = guest(t, named, 'stranger'), e = guest(t, reused, 'stranger')
  await until('they run', () => [a, b, c, d, e].every(({ pid }) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('read line')))
  const emulator = processName(a.pid)!
  t.same(await watchdog.feed([
    { uuid: known, name: 'a', emulator }, { uuid: unknown, name: 'b' }, { uuid: named, name: 'd' },
    // The number is another's by now.
    { uuid: reused, name: 'e', emulator: { pid: e.pid, startTicks: processName(e.pid)!.startTicks - 1 } },
  ], nowMs() + 300), [])
  await Promise.all([gone(a.pid), gone(b.pid)])
  await until('the log says that all are off', () => readFileSync(join(directory, 'watchdog.log'), 'utf8').match(/a protected guest is off/g)?.length === 4)
  t.same([c, d, e].map(({ pid }) => alive(pid)), [true, true, true], 'not fed for; only mentions the uuid; another process')
  t.match(readFileSync(join(directory, 'watchdog.log'), 'utf8'), new RegExp(`the time of a protected guest is over.*${known}`))
})

test('each answered renewal moves it; what is dropped is not ended; what comes late is refused', async (t) => {
  const directory = directoryOf(t)
  const watchdog = watchdogIn(t, directory)
  await watchdog.start()
  const [x, y] = [randomUUID(), randomUUID()]
  const a = guest(t, x), b = guest(t, y)
  const both = [{ uuid: x, name: 'a' }, { uuid: y, name: 'b' }]
  const firstMs = nowMs() + 400, secondMs = nowMs() + 1_200
  await watchdog.feed(both, firstMs)
  await watchdog.feed(both, secondMs)
  t.same(await watchdog.feed(both, nowMs() - 1), [x, y], 'a feed of a node that stood still')
  t.same(await watchdog.feed(both, nowMs() + GIVE_UP_MS + 1_000), [x, y], 'further than any lease reaches')
  await watchdog.drop([y])
  await until('the first deadline has passed', () => nowMs() > firstMs)
  t.same([alive(a.pid), alive(b.pid)], [true, true])
  await gone(a.pid)
  t.ok(nowMs() > secondMs && alive(b.pid))
})

const NODE = `
const { createWatchdog } = await import(process.argv[1] + '/kali/lease/watchdog/client.ts')
const { systemBootClock } = await import(process.argv[1] + '/kali/lease/boot-clock.ts')
const { systemClock } = await import(process.argv[1] + '/fabric/mod.ts')
const [, , directory, uuid, simulated] = process.argv
const { processName } = await import(process.argv[1] + '/kali/lease/watchdog/processes.ts')
const log = { info() {}, warn() {} }
const watchdog = createWatchdog({ directory, giveUpMs: ${GIVE_UP_MS}, clock: systemClock, log })
await watchdog.start()
const feed = () => watchdog.feed([{ uuid, name: 'vm', ...simulated === 'simulated' ? { host: processName(process.pid) } : {} }], systemBootClock.nowMs() + 900)
  .then((refused) => { process.stdout.write(refused.length > 0 ? 'refused\\n' : 'fed\\n') }, (error) => { process.stdout.write('error ' + error.message + '\\n') })
setInterval(feed, 200)
await feed()
`
/** A node that renews each 200 ms and gives up after 900. Resolves once it has fed. */
async function node(t: Teardown, directory: string, uuid: string, ...more: readonly string[]): Promise<{ readonly child: ChildProcess; readonly heard: () => string }> {
  const root = join(import.meta.dirname, '..', '..', '..')
  const { NODE_OPTIONS: _options, ...env } = process.env
  const child = spawn(process.execPath, ['--input-type=module', '-e', NODE, root, directory, uuid, ...more], { stdio: ['ignore', 'pipe', 'inherit'], env })
  t.teardown(() => { child.kill('SIGKILL') })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (piece: string) => { text += piece })
  await until('the node has fed', () => text.includes('fed'))
  return { child, heard: () => text }
}

test('a node that stands still: its guest is ended, and nothing that it sends when it wakes brings the time back', async (t) => {
  const directory = directoryOf(t), uuid = randomUUID(), vm = guest(t, uuid)
  const { child, heard } = await node(t, directory, uuid)
  t.ok(alive(vm.pid))
  child.kill('SIGSTOP')
  await gone(vm.pid)
  child.kill('SIGCONT')
  const before = heard().length
  await until('it is told, or begins anew', () => heard().length > before)
})

test('a node that is killed: the watchdog outlives it, ends its guest, and then itself', async (t) => {
  const directory = directoryOf(t), uuid = randomUUID(), vm = guest(t, uuid)
  const { child } = await node(t, directory, uuid)
  const pid = pidOf(directory)
  child.kill('SIGKILL')
  await once(child, 'exit')
  t.ok(alive(pid))
  await gone(vm.pid)
  await gone(pid)
})

test('a node that comes back in time takes the watchdog over, and the guest lives', async (t) => {
  const directory = directoryOf(t), uuid = randomUUID(), vm = guest(t, uuid)
  const before = watchdogIn(t, directory)
  await before.start()
  await before.feed([{ uuid, name: 'vm' }], nowMs() + GIVE_UP_MS - 100)
  const pid = pidOf(directory)
  before.stop()
  const after = watchdogIn(t, directory)
  await after.start()
  t.equal(pidOf(directory), pid, 'the same process')
  t.same(await after.feed([{ uuid, name: 'vm' }], nowMs() + GIVE_UP_MS - 100), [])
  t.ok(alive(vm.pid))
  await after.drop([uuid])
  after.stop()
  await gone(pid)
  t.ok(alive(vm.pid), 'nothing is protected: it ends, and nothing else does')
})

test('its death is told at once, and another one can be had; one that stands still is ended', async (t) => {
  const directory = directoryOf(t)
  const watchdog = watchdogIn(t, directory)
  await watchdog.start()
  const lost = (): Promise<string> => new Promise((resolve) => { const stop = watchdog.onLost((reason) => { stop(); resolve(reason) }) })
  const first = pidOf(directory)
  const died = lost()
  process.kill(first, 'SIGKILL')
  t.match(await died, /ended/)
  await t.rejects(watchdog.feed([], nowMs() + 1_000))
  await watchdog.start()
  const second = pidOf(directory)
  t.not(second, first)
  process.kill(second, 'SIGSTOP')
  const stood = lost()
  await t.rejects(watchdog.feed([], nowMs() + 1_000), /did not answer/)
  t.match(await stood, /did not answer/)
  await gone(second)
  await watchdog.start()
  t.not(pidOf(directory), second)
})

test('guests simulated in the node: the node itself is ended, as a reset would', async (t) => {
  const directory = directoryOf(t)
  const { child } = await node(t, directory, randomUUID(), 'simulated')
  const exited = once(child, 'exit')
  child.kill('SIGSTOP')
  const [, signal] = await exited
  t.equal(signal, 'SIGKILL')
})

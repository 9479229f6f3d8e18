// `kumoi doctor`: everything on this machine that a node or the shell leans on, each tried for real and
// with what to do about it. Checks know nothing of each other and never throw.

import { execFile } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { constants } from 'node:fs'
import { access, mkdtemp, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

import { bytesText } from './render/units.ts'
import { open } from './session.ts'
import type { Shell } from './session.ts'

export type Verdict = 'ok' | 'warn' | 'fail'
export interface Finding { readonly check: string; readonly verdict: Verdict; readonly found: string; readonly advice?: string }
type Answer = Omit<Finding, 'check'>

const GiB = 1024 ** 3
const MiB = 1024 ** 2
const CHILD_TIMEOUT_MS = 10_000
const OPEN_FILES_MIN = 1_024
const FREE_WARN_BYTES = GiB
const FREE_FAIL_BYTES = 64 * MiB
const CELL_ADVICE = 'shipped code is confined by fewer walls; run the node as root, with util-linux, on Linux 5.8 or newer with memory control groups'
const CLOCK_FLOOR_MS = Date.UTC(2025, 0, 1)

const run = promisify(execFile)
const ok = (found: string): Answer => ({ verdict: 'ok', found })
const warn = (found: string, advice: string): Answer => ({ verdict: 'warn', found, advice })
const fail = (found: string, advice: string): Answer => ({ verdict: 'fail', found, advice })
const reason = (error: unknown): string => (error instanceof Error ? error.message.split('\n').find((l) => /error|cannot|denied|not/i.test(l)) ?? error.message.split('\n')[0] ?? '' : String(error)).slice(0, 160)

export interface DoctorOptions { readonly listen: string }

interface Check { readonly name: string; run(shell: Shell, options: DoctorOptions): Promise<Answer> }

const CHECKS: readonly Check[] = [
  { name: 'runtime', run: async () => {
    const [major = 0] = process.versions.node.split('.').map(Number)
    return major >= 24 ? ok(`Node ${process.versions.node}`) : fail(`Node ${process.versions.node}`, 'run kumoi through cli/kumoi.js, or install Node 24: npm install --include=optional')
  } },
  { name: 'isolated-vm', run: async (shell) => {
    const script = 'const ivm = require("isolated-vm"); const i = new ivm.Isolate({ memoryLimit: 8 }); console.log(i.createContextSync().evalSync("6*7"))'
    const { stdout } = await run(process.execPath, ['--no-node-snapshot', '-e', script], { cwd: shell.world.packageRoot, timeout: CHILD_TIMEOUT_MS })
    return stdout.trim() === '42' ? ok('loads and runs') : fail(`answered ${stdout.trim()}`, 'reinstall with npm ci')
  } },
  { name: 'permission model', run: async () => {
    const { stdout } = await run(process.execPath, ['--permission', '-p', 'process.permission.has("child")'], { timeout: CHILD_TIMEOUT_MS })
    return stdout.trim() === 'false' ? ok('cells can be confined') : fail(`answered ${stdout.trim()}`, 'use the pinned runtime: npm ci')
  } },
  { name: 'cells', run: async ({ world }) => {
    const { examineCells } = await world.kali()
    if (examineCells === undefined) return warn('not tried', 'run kumoi doctor of a whole installation')
    const walls = await examineCells()
    const absent = walls.filter(({ state }) => state === 'absent')
    const found = [`walls: ${walls.filter(({ state }) => state === 'up').map(({ wall }) => wall).join(', ')}`, ...absent.map(({ wall, how }) => `not ${wall} (${how})`)].join('; ')
    if (absent.some(({ wall }) => wall === 'engine')) return fail(found, 'install the newest Node 24: npm ci')
    // System calls are filtered nowhere so far: nothing that its reader could mend.
    return absent.every(({ wall }) => wall === 'system calls') ? ok(found) : warn(found, CELL_ADVICE)
  } },
  { name: 'inspector', run: async () => {
    const { Session } = await import('node:inspector')
    const session = new Session()
    session.connect()
    session.disconnect()
    return ok('closures can be captured')
  } },
  { name: 'data directory', run: async ({ settings }) => directory(settings.data) },
  { name: 'temporary files', run: async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kumoi-doctor-'))
    try {
      await writeFile(join(folder, 'probe'), 'x')
      return ok(tmpdir())
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  } },
  { name: 'listen', run: async (_shell, { listen }) => {
    const port = await bindable(listen)
    return ok(`${listen} can be bound (tried port ${port})`)
  } },
  { name: 'udp', run: async (_shell, { listen }) => ok(`datagrams pass on ${await echoUdp(listen)}`) },
  { name: 'open files', run: async () => {
    const limits = await readFile('/proc/self/limits', 'utf8')
    const soft = /^Max open files\s+(\S+)/m.exec(limits)?.[1] ?? '?'
    return soft === 'unlimited' || Number(soft) >= OPEN_FILES_MIN ? ok(`limit ${soft}`) : warn(`limit ${soft}`, `raise it: ulimit -n ${OPEN_FILES_MIN * 4}`)
  } },
  { name: 'clock', run: async ({ world }) => {
    const now = new Date(world.clock.wallMs()).toISOString()
    return world.clock.wallMs() > CLOCK_FLOOR_MS ? ok(now) : fail(now, 'set the clock (timedatectl set-ntp true): tickets carry times')
  } },
  { name: 'node', run: async (shell) => {
    try {
      const dc = await open(shell)
      const node = await dc.node()
      await dc.close()
      return ok(`${node.name} runs (process ${node.pid})`)
    } catch (error) {
      shell.interrupt.signal.throwIfAborted()
      return warn(`none answers in ${shell.settings.data}`, 'start one: kumoi up --detach')
    }
  } },
]

async function directory(data: string): Promise<Answer> {
  const found = await stat(data).catch(() => undefined)
  // Not there yet: the nearest folder above that is decides.
  let above = data
  while (await stat(above).then(() => false, () => true)) above = dirname(above)
  if (!(await stat(above)).isDirectory()) return fail(`${above} is not a directory`, 'choose another with --data DIR')
  if (await access(above, constants.W_OK).then(() => false, () => true)) return fail(`${above} cannot be written`, 'change its owner, or choose another with --data DIR')
  const { bavail, bsize } = await statfs(above)
  const free = bavail * bsize
  if (free < FREE_FAIL_BYTES) return fail(`${data}: ${bytesText(free)} free`, 'make room')
  if (free < FREE_WARN_BYTES) return warn(`${data}: ${bytesText(free)} free`, 'make room: code and bundles are kept here')
  if (found !== undefined && (found.mode & 0o077) !== 0) return warn(`${data} is open to others (mode ${(found.mode & 0o777).toString(8)})`, `chmod 700 ${data}: it holds the node's key`)
  return ok(`${data}${found === undefined ? ' (will be made)' : ''}, ${bytesText(free)} free`)
}

/** "host", "host:port" or "[v6]:port". */
export function splitListen(listen: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(listen)
  return { host: match?.[1] ?? match?.[2] ?? listen, port: Number(match?.[3] ?? 0) }
}

function bindable(listen: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const server = createServer()
  server.once('error', reject)
  server.listen(splitListen(listen), () => {
    const address = server.address()
    server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
  })
  return promise
}

/** A datagram to ourselves; rejects when none arrives in a second. */
async function echoUdp(listen: string): Promise<string> {
  const { host } = splitListen(listen)
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  socket.once('error', reject)
  socket.once('message', () => resolve(host))
  socket.bind(0, host, () => socket.send('kumoi', socket.address().port, host))
  const timer = setTimeout(() => reject(new Error('no datagram came back within a second')), 1_000)
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    socket.close()
  }
}

const ADVICE: Readonly<Record<string, string>> = {
  'isolated-vm': 'reinstall with npm ci; Linux on x64 or arm64 with glibc is needed',
  listen: 'choose an address of this machine with --listen, or a free port',
  udp: 'open UDP on this address in the firewall, or choose another with --listen',
}

/** All findings in the order of the table; the checks run at once. */
export function examine(shell: Shell, options: DoctorOptions): Promise<readonly Finding[]> {
  return Promise.all(CHECKS.map(async ({ name, run: check }): Promise<Finding> => {
    try {
      return { check: name, ...await check(shell, options) }
    } catch (error) {
      shell.interrupt.signal.throwIfAborted()
      return { check: name, ...fail(reason(error), ADVICE[name] ?? 'see the message') }
    }
  }))
}

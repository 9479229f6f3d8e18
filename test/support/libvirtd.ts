// A libvirtd of a test's own: mount namespace with private /run, /etc/libvirt, /var/lib/libvirt and so on, its socket in
// a directory that the test sees. Guests that sit in SeaBIOS are enough for lifecycles, events and migration.
//
//   const host = await startLibvirtd(); host.uri; await host.kill('SIGSTOP'); await host.restart(); await host.stop()

import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, readdir, readlink, rm, writeFile } from 'node:fs/promises'
import { createConnection, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const DAEMON = '/usr/sbin/libvirtd'
/** What is compiled into libvirt and must be this host's own. */
const PRIVATE = ['/run', '/etc/libvirt', '/var/lib/libvirt', '/var/log/libvirt', '/var/cache/libvirt']
const START_MS = 20_000

/** Why these tests cannot run here; undefined when they can. */
export function libvirtdAbsent(): string | undefined {
  if (process.getuid?.() !== 0) return 'absent: root'
  if (!existsSync(DAEMON)) return 'absent: libvirtd'
  return existsSync('/usr/bin/qemu-system-x86_64') ? undefined : 'absent: qemu-system-x86_64'
}

export interface Libvirtd {
  readonly uri: string
  /** How another such daemon reaches this one. */
  readonly migrationUri: string
  /** Visible in both namespaces at the same path. */
  readonly directory: string
  /** Where it writes NAME.pid of each guest, as the test sees it; the numbers are those of its own process namespace. */
  readonly stateDirectory: string
  /** Process id of the guest's QEMU. */
  pidOf(name: string): Promise<number>
  /** To the daemon. */
  signal(signal: NodeJS.Signals): Promise<void>
  /** SIGKILL to the daemon; guests go on. */
  kill(): Promise<void>
  /** Starts the daemon again in the same namespace. */
  start(): Promise<void>
  stop(): Promise<void>
}

const listening = (path: string): Promise<boolean> => new Promise((resolve) => {
  const socket = createConnection(path)
  socket.once('connect', () => { socket.destroy(); resolve(true) })
  socket.once('error', () => resolve(false))
})
const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })
const freePort = (): Promise<number> => new Promise((resolve, reject) => {
  const server = createServer().once('error', reject).listen(0, '127.0.0.1', () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resolve(port))
  })
})
const ended = (child: ChildProcess): Promise<void> => child.exitCode !== null || child.signalCode !== null
  ? Promise.resolve() : new Promise((resolve) => { child.once('exit', () => resolve()) })

export async function startLibvirtd(name = 'host'): Promise<Libvirtd> {
  const directory = await mkdtemp(join(tmpdir(), 'kumoi-libvirtd-'))
  const sockets = join(directory, 'sockets')
  const roots = PRIVATE.map((_, at) => join(directory, `private${at}`))
  // Consoles are locked in /run/lock.
  await Promise.all([sockets, ...roots, join(roots[0] as string, 'lock')].map((path) => mkdir(path, { recursive: true })))
  const etc = roots[1] as string
  const port = await freePort()
  await writeFile(join(etc, 'qemu.conf'), [
    'user = "root"', 'group = "root"', 'dynamic_ownership = 0', 'remember_owner = 0', 'security_driver = "none"',
    'stdio_handler = "file"', 'namespaces = []', 'cgroup_controllers = []', '',
  ].join('\n'))
  await writeFile(join(directory, 'libvirtd.conf'), [
    `unix_sock_dir = "${sockets}"`, 'auth_unix_rw = "none"', 'auth_unix_ro = "none"', 'log_outputs = "3:stderr"', `host_uuid = "${randomUUID()}"`,
    'listen_tls = 0', 'listen_tcp = 1', 'listen_addr = "127.0.0.1"', `tcp_port = "${port}"`, 'auth_tcp = "none"', '',
  ].join('\n'))
  const mounts = PRIVATE.map((path, at) => `[ -d ${path} ] || mkdir -p ${path}; mount --bind ${roots[at] as string} ${path}`).join('\n')
  // The keeper is the first process of a process namespace: it holds the namespaces while the daemon comes and goes,
  // reaps a killed QEMU at once (a container's own first process may take seconds, which libvirtd waits for), and takes
  // every process of the host with it at its end.
  const script = `mount --make-rprivate /\nmount -t proc proc /proc\n${mounts}\nhostname ${name}\nexec perl -e '$SIG{CHLD} = "IGNORE"; $| = 1; print "ready\\n"; sleep while 1'`
  const keeper = spawn('unshare', ['--mount', '--uts', '--pid', '--fork', '--kill-child', 'sh', '-c', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise<void>((resolve, reject) => {
    keeper.stdout?.once('data', () => resolve())
    keeper.once('exit', () => reject(new Error('the namespace of libvirtd did not start')))
  })
  const first = Number((await readFile(`/proc/${keeper.pid}/task/${keeper.pid}/children`, 'utf8')).trim().split(' ')[0])
  const namespace = await readlink(`/proc/${first}/ns/pid`)
  let daemon: ChildProcess | undefined
  const socket = join(sockets, 'libvirt-sock')
  const pidFile = join(directory, 'libvirtd.pid')

  /** What we call the process that the host's namespace knows by the number in `file`. */
  async function pidIn(file: string): Promise<number> {
    const inner = (await readFile(file, 'utf8')).trim()
    for (const pid of (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))) {
      const same = await readlink(`/proc/${pid}/ns/pid`).catch(() => '') === namespace
      if (same && (await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')).match(/^NSpid:.*\t(\d+)$/m)?.[1] === inner) return Number(pid)
    }
    throw new Error(`no process ${inner} in the namespace of ${name}`)
  }

  async function start(): Promise<void> {
    daemon = spawn('nsenter', [`--target=${first}`, '--mount', '--uts', '--pid', DAEMON, '--listen', '-f', join(directory, 'libvirtd.conf'), '-p', pidFile],
      { env: { ...process.env, LC_ALL: 'C.UTF-8' }, stdio: ['ignore', 'ignore', process.env['KUMOI_TEST_VERBOSE'] === undefined ? 'ignore' : 'inherit'] })
    const until = Date.now() + START_MS
    while (!await listening(socket)) {
      if (Date.now() > until || daemon.exitCode !== null) throw new Error(`libvirtd did not start (code ${daemon.exitCode})`)
      await pause(20)
    }
  }
  const signal = async (what: NodeJS.Signals): Promise<void> => { process.kill(await pidIn(pidFile), what) }

  const host: Libvirtd = {
    uri: `qemu:///system?socket=${socket}`, migrationUri: `qemu+tcp://127.0.0.1:${port}/system`, directory, start, signal,
    stateDirectory: join(roots[0] as string, 'libvirt/qemu'),
    pidOf: (guest) => pidIn(join(roots[0] as string, `libvirt/qemu/${guest}.pid`)),
    async kill() {
      await signal('SIGKILL')
      // nsenter stops itself with its child, and must run to see it end.
      daemon?.kill('SIGCONT')
      if (daemon !== undefined) await ended(daemon)
    },
    async stop() {
      keeper.kill('SIGKILL')
      await ended(keeper)
      daemon?.kill('SIGKILL')
      if (daemon !== undefined) await ended(daemon)
      await rm(directory, { recursive: true, force: true })
    },
  }
  try {
    await start()
  } catch (error) {
    await host.stop()
    throw error
  }
  return host
}

// Network namespaces and an Open vSwitch of one's own, for tests; everything is gone after close(), also on failure.
//
// The switch's database, sockets and logs are in a temporary directory; its daemons run inside the namespace, as
// children of the test, and are killed by their own process ids.

import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../fabric/base.ts'
import type { Call } from '../../rmo/driver/contract.ts'

export const ip = (...argv: readonly string[]): string => execFileSync('ip', argv, { stdio: ['ignore', 'pipe', 'pipe'] }).toString()
const quietly = (...argv: readonly string[]): void => { try { ip(...argv) } catch { /* it was not there */ } }
const has = (program: string): boolean => ['/usr/sbin', '/usr/bin', '/sbin', '/bin'].some((folder) => existsSync(join(folder, program)))
const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'

/** Why namespaces cannot be made here; undefined when they can. */
export function namespaceObstacle(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root (network namespaces)'
  if (!has('ip')) return 'absent: ip (iproute2)'
  const name = `kst-${process.pid}-try`
  try {
    ip('netns', 'add', name)
    ip('netns', 'del', name)
    return undefined
  } catch {
    return 'absent: network namespaces'
  }
}
export const ovsObstacle = (): string | undefined =>
  namespaceObstacle() ?? (has('ovsdb-server') && has('ovs-vswitchd') && existsSync(SCHEMA) ? undefined : 'absent: openvswitch-switch')

let made = 0
/** A namespace with a name of this process's own. */
export function openNamespace(what: string): { readonly name: string; close(): void } {
  const name = `kst-${process.pid}-${what}-${++made}`
  ip('netns', 'add', name)
  ip('-n', name, 'link', 'set', 'lo', 'up')
  return { name, close: () => quietly('netns', 'del', name) }
}

/** A call with this much time. */
export function callWithin(timeoutMs: number, signal?: AbortSignal): Call {
  const endsAtMs = systemClock.nowMs() + timeoutMs
  return { remainingMs: () => endsAtMs - systemClock.nowMs(), ...(signal === undefined ? {} : { signal }) }
}

export interface OvsLab {
  readonly namespace: string
  readonly socketPath: string
  /** Kills a daemon, or starts it again. */
  stopDatabase(): Promise<void>
  startDatabase(): Promise<void>
  stopSwitch(): Promise<void>
  startSwitch(): Promise<void>
  vsctl(...argv: readonly string[]): string
  close(): Promise<void>
}

/** Resolves when somebody accepts at the socket. */
async function listening(path: string, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}`)
    const there = await new Promise<boolean>((resolve) => {
      const socket = connect({ path }, () => { socket.destroy(); resolve(true) })
      socket.on('error', () => resolve(false))
    })
    if (there) return
    await new Promise<void>((resolve) => { systemClock.after(10, resolve) })
  }
}

export async function openOvs(): Promise<OvsLab> {
  const namespace = openNamespace('ovs')
  const directory = mkdtempSync(join(tmpdir(), 'kumoi-ovs-'))
  const at = (name: string): string => join(directory, name)
  const socketPath = at('db.sock')
  const env = { PATH: process.env['PATH'] ?? '', OVS_RUNDIR: directory, OVS_LOGDIR: directory, OVS_DBDIR: directory }
  const vsctl = (...argv: readonly string[]): string => execFileSync('ovs-vsctl', ['--timeout=10', `--db=unix:${socketPath}`, ...argv], { env, stdio: ['ignore', 'pipe', 'pipe'] }).toString()
  const daemons = new Map<string, ChildProcess>()
  const start = (file: string, ...argv: readonly string[]): ChildProcess => {
    const child = spawn('ip', ['netns', 'exec', namespace.name, file, ...argv, `--unixctl=${at(`${file}.ctl`)}`, `--log-file=${at(`${file}.log`)}`, '-vconsole:off'], { env, stdio: 'ignore' })
    daemons.set(file, child)
    return child
  }
  const stop = async (file: string): Promise<void> => {
    const child = daemons.get(file)
    daemons.delete(file)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise<void>((resolve) => { child.once('exit', () => resolve()) })
    // `ip netns exec` replaces itself by the program, so this is the daemon's own id.
    child.kill('SIGKILL')
    await gone
  }
  const lab: OvsLab = {
    namespace: namespace.name, socketPath, vsctl,
    async startDatabase() {
      rmSync(socketPath, { force: true })
      await listening(socketPath, start('ovsdb-server', at('conf.db'), `--remote=punix:${socketPath}`))
    },
    stopDatabase: () => stop('ovsdb-server'),
    async startSwitch() { start('ovs-vswitchd', `unix:${socketPath}`) },
    stopSwitch: () => stop('ovs-vswitchd'),
    async close() {
      for (const file of [...daemons.keys()].reverse()) await stop(file)
      namespace.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
  try {
    execFileSync('ovsdb-tool', ['create', at('conf.db'), SCHEMA], { env })
    await lab.startDatabase()
    vsctl('--no-wait', 'init')
    // Devices in namespaces leave checksums to "hardware": with this the userspace datapath passes on that they are owed.
    vsctl('--no-wait', 'set', 'Open_vSwitch', '.', 'other_config:userspace-tso-enable=true')
    await lab.startSwitch()
    return lab
  } catch (error) {
    await lab.close()
    throw error
  }
}

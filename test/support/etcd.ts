// A real etcd for tests: members as processes on loopback ports, data in a temporary directory, stopped and removed with the
// test. A member can be killed (SIGKILL), halted (SIGSTOP) and started again on its data.

import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { systemClock, systemRandom } from '../../fabric/base.ts'
import type { StoreEngine } from '../../fabric/store/engine.ts'
import { openEtcdStore } from '../../fabric/store/etcd/store.ts'

/** Why a test with etcd is skipped; false when it need not be. */
export const etcdAbsent: string | false = spawnSync('etcd', ['--version'], { stdio: 'ignore' }).status === 0 ? false : 'absent: etcd'

export interface EtcdLab {
  /** etcd://host:port,... of all members. */
  readonly url: string
  /** The same with one member first and alone. */
  urlOf(member: number): string
  kill(member: number): Promise<void>
  halt(member: number): void
  go(member: number): void
  start(member: number): Promise<void>
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  await Promise.all(servers.map((server) => new Promise<void>((done) => server.listen(0, '127.0.0.1', () => done()))))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))))
  return ports
}

export async function startEtcd(t: Pick<Test, 'teardown'>, members: number): Promise<EtcdLab> {
  const directory = mkdtempSync(join(tmpdir(), 'kumoi-etcd-'))
  const ports = await freePorts(members * 2)
  const client = (at: number): string => `127.0.0.1:${ports[at * 2]}`
  const peer = (at: number): string => `http://127.0.0.1:${ports[at * 2 + 1]}`
  const cluster = Array.from({ length: members }, (_, at) => `m${at}=${peer(at)}`).join(',')
  const processes = new Map<number, ChildProcess>()
  const exited = (child: ChildProcess): Promise<void> => child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : new Promise((done) => child.once('exit', () => done()))

  const kill = async (at: number): Promise<void> => {
    const child = processes.get(at)
    processes.delete(at)
    if (child === undefined) return
    child.kill('SIGKILL')
    await exited(child)
  }
  // A member says that it serves clients when the cluster has a leader: the first of three waits for a second.
  const start = (at: number): Promise<void> => new Promise((ready, failed) => {
    const child = spawn('etcd', [
      '--name', `m${at}`, '--data-dir', join(directory, `m${at}`), '--listen-client-urls', `http://${client(at)}`, '--advertise-client-urls', `http://${client(at)}`,
      '--listen-peer-urls', peer(at), '--initial-advertise-peer-urls', peer(at), '--initial-cluster', cluster, '--initial-cluster-token', directory, '--log-level', 'info', '--logger', 'zap',
    ], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ETCD_UNSUPPORTED_ARCH: process.arch } })
    processes.set(at, child)
    let log = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-4_000)
      if (/serving (insecure )?client|serving client traffic/.test(text) || /serving insecure client/.test(log)) ready()
    })
    child.once('error', failed)
    child.once('exit', (code, signal) => failed(new Error(`etcd m${at} ended (${code ?? signal}): ${log.slice(-800)}`)))
  })
  t.teardown(async () => {
    await Promise.all([...processes.keys()].map(kill))
    rmSync(directory, { recursive: true, force: true })
  })
  await Promise.all(Array.from({ length: members }, (_, at) => start(at)))
  return {
    url: `etcd://${Array.from({ length: members }, (_, at) => client(at)).join(',')}`,
    urlOf: (at) => `etcd://${client(at)}`,
    kill, start,
    halt: (at) => { processes.get(at)?.kill('SIGSTOP') },
    go: (at) => { processes.get(at)?.kill('SIGCONT') },
  }
}

let opened = 0
/** A prefix that no other test has. */
export const freshPrefix = (): string => `kumoi/${opened++}/`
/** A store of its own prefix, closed with the test. */
export async function openEtcd(t: { teardown(after: () => unknown): void }, url: string, prefix: string = freshPrefix()): Promise<StoreEngine> {
  const store = await openEtcdStore({ url, prefix, clock: systemClock, random: systemRandom })
  t.teardown(() => store.close())
  return store
}

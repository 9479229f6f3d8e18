// `kumoi up --detach`: the same `up`, in a process of its own session, with a log file for a voice and
// one extra pipe (fd 3) on which it says once "ready" with its particulars, or why not.

import { spawn } from 'node:child_process'
import { closeSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'

import { LIMITS, fromErrorRecord, toErrorRecord } from '../fabric/base.ts'
import type { ErrorRecord } from '../fabric/base.ts'
import { makeDataDirectory } from '../fabric/client.ts'
import type { HypervisorOptions, NodeInfo, StartNodeOptions } from '../kali/contract.ts'
import { CLI } from './errors.ts'
import type { Shell } from './session.ts'
import type { World } from './world.ts'

const READY_FD = 3
const READY_ENV = 'KUMOI_READY_FD'

type ReadyLine = { readonly type: 'ready'; readonly info: NodeInfo } | { readonly type: 'failed'; readonly error: ErrorRecord }

export interface ReadyReporter { readonly active: boolean; ready(info: NodeInfo): void; failed(error: unknown): void }

/** The child's end; inactive when nobody waits. Says one thing at most. */
export function readyReporter(env: World['env']): ReadyReporter {
  const fd = env[READY_ENV] === String(READY_FD) ? READY_FD : undefined
  let open = fd !== undefined
  const say = (line: ReadyLine): void => {
    if (fd === undefined || !open) return
    open = false
    delete process.env[READY_ENV]
    writeSync(fd, `${JSON.stringify(line)}\n`)
    closeSync(fd)
  }
  return {
    active: open,
    ready: (info) => say({ type: 'ready', info }),
    failed: (error) => say({ type: 'failed', error: toErrorRecord(error, CLI.START_FAILED.code) }),
  }
}

const HYPERVISOR_FLAGS: Readonly<Record<keyof HypervisorOptions, string>> = {
  driver: '--driver', libvirtUri: '--libvirt-uri', migrationUri: '--migration-uri', switches: '--switches', ovsSocket: '--ovs-socket', hosts: '--hosts', vmsPerHost: '--vms-per-host',
}
const hypervisorArguments = (wish: HypervisorOptions | undefined): readonly string[] =>
  Object.entries(wish ?? {}).flatMap(([option, value]) => [HYPERVISOR_FLAGS[option as keyof HypervisorOptions], String(value)])

const admissionArguments = ({ refuseRights = [], refuseModules = [], codeBytesMax }: NonNullable<StartNodeOptions['admission']> = {}): readonly string[] => [
  ...refuseRights.flatMap((right) => ['--refuse-right', right]), ...refuseModules.flatMap((name) => ['--refuse-module', name]),
  ...(codeBytesMax === undefined ? [] : ['--code-max', String(codeBytesMax / 1_024)]),
]

/** Starts the node and waits until it is ready; what went wrong is thrown in the child's own words. */
export async function startDetached(shell: Shell, wish: Omit<StartNodeOptions, 'data' | 'onLog'>): Promise<NodeInfo> {
  const { data } = shell.settings
  await makeDataDirectory(data)
  const logPath = join(data, 'node.log')
  const log = await open(logPath, 'a', 0o600)
  const args = [...process.execArgv, shell.world.launcher, 'up', '--data', data, '--no-color',
    ...(wish.name === undefined ? [] : ['--name', wish.name]),
    ...(wish.listen === undefined ? [] : ['--listen', wish.listen]),
    ...(wish.http === undefined ? [] : ['--http', wish.http]),
    ...(wish.httpTls === undefined ? [] : ['--http-cert', wish.httpTls.cert, '--http-key', wish.httpTls.key]),
    ...(wish.httpPlain === true ? ['--http-insecure'] : []),
    ...(wish.store === undefined ? [] : ['--store', wish.store]),
    ...(wish.usersSocket === undefined ? [] : ['--users-socket', wish.usersSocket]),
    ...admissionArguments(wish.admission),
    ...hypervisorArguments(wish.hypervisor),
    // Not in argv: a ticket admits, and /proc shows argv to everybody.
    ...(wish.join === undefined ? [] : ['--join', '-'])]
  const child = spawn(process.execPath, args, {
    cwd: '/', detached: true, env: { ...shell.world.env, [READY_ENV]: String(READY_FD) },
    stdio: [wish.join === undefined ? 'ignore' : 'pipe', log.fd, log.fd, 'pipe'],
  })
  child.stdin?.on('error', () => {})
  child.stdin?.end(wish.join)
  await log.close()
  try {
    return await ready(child.stdio[READY_FD] as Readable, shell, { pid: child.pid ?? 0, log: logPath })
  } catch (error) {
    if (child.exitCode === null) child.kill('SIGTERM')
    throw error
  } finally {
    child.unref()
  }
}

async function ready(pipe: Readable, shell: Shell, child: { readonly pid: number; readonly log: string }): Promise<NodeInfo> {
  const { promise, resolve, reject } = Promise.withResolvers<NodeInfo>()
  const { nodeStartTimeoutMs: timeoutMs } = LIMITS
  const timer = shell.world.clock.after(timeoutMs, () => reject(CLI.START_TIMEOUT({ timeoutMs, ...child })))
  const stop = (): void => reject(shell.interrupt.signal.reason)
  shell.interrupt.signal.addEventListener('abort', stop, { once: true })
  let text = ''
  pipe.setEncoding('utf8')
  pipe.on('data', (chunk: string) => { if (text.length < LIMITS.readyLineBytesMax) text += chunk })
  pipe.on('close', () => {
    const line = parseReady(text)
    if (line?.type === 'ready') resolve(line.info)
    else if (line === undefined) reject(CLI.START_FAILED({ reason: 'its process ended without a word', log: child.log }))
    else reject(CLI.START_FAILED({ reason: line.error.message, log: child.log }, { cause: fromErrorRecord(line.error) }))
  })
  try {
    return await promise
  } finally {
    timer.cancel()
    shell.interrupt.signal.removeEventListener('abort', stop)
    pipe.destroy()
  }
}

function parseReady(text: string): ReadyLine | undefined {
  try {
    const line = JSON.parse(text) as ReadyLine
    return line.type === 'ready' || line.type === 'failed' ? line : undefined
  } catch {
    return undefined
  }
}

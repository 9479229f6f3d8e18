// Erlang: N nodes and a caller, each its own process on 127.0.0.1, with an epmd of their own.

import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Scope } from '../figure.ts'
import { stopWith } from './child.ts'

export const ERLANG_ABSENT = 'absent: apt-get install erlang-base'
const EPMD_PORT_FIRST = 42_000
const EPMD_PORTS = 10_000
const NS_PER_MS = 1_000_000

/** Milliseconds of each of `count` multicalls to all nodes. */
export type Multicalls = (count: number) => Promise<number[]>

export const hasErlang = (): boolean => spawnSync('sh', ['-c', 'command -v erl && command -v erlc && command -v epmd'], { stdio: 'ignore' }).status === 0

export async function openErlang(scope: Scope, nodes: number): Promise<Multicalls> {
  const home = await mkdtemp(join(tmpdir(), 'kumoi-bench-erl-'))
  scope.defer(() => rm(home, { recursive: true, force: true }))
  const port = EPMD_PORT_FIRST + Math.floor(Math.random() * EPMD_PORTS)
  const names = Array.from({ length: nodes }, (_, i) => `e${i}@127.0.0.1`)
  const env = { PATH: process.env['PATH'] ?? '', HOME: home, ERL_EPMD_PORT: String(port), ERL_EPMD_ADDRESS: '127.0.0.1', BENCH_NODES: names.join(' ') }
  const start = (file: string, args: readonly string[], stdin: 'ignore' | 'pipe'): ChildProcess => {
    const child = spawn(file, args, { cwd: home, env, stdio: [stdin, 'pipe', 'inherit'] })
    stopWith(scope, child)
    return child
  }
  start('epmd', ['-address', '127.0.0.1', '-port', String(port)], 'ignore').stdout?.resume()
  const compiled = spawnSync('erlc', ['-o', home, join(import.meta.dirname, 'fan_out.erl')], { env })
  if (compiled.status !== 0) throw new Error(`erlc: ${compiled.stdout.toString()}${compiled.stderr.toString()}`)
  const common = ['-setcookie', 'bench', '-kernel', 'inet_dist_use_interface', '{127,0,0,1}', '-start_epmd', 'false']
  for (const name of names) start('erl', ['-noinput', '-name', name, ...common], 'ignore').stdout?.resume()
  const caller = start('erl', ['-noshell', '-name', 'caller@127.0.0.1', ...common, '-pa', home, '-eval', 'fan_out:main().'], 'pipe')
  const lines = createInterface({ input: caller.stdout as NodeJS.ReadableStream })
  const iterator = lines[Symbol.asyncIterator]()
  const next = async (): Promise<string> => {
    const { value, done } = await iterator.next() as IteratorResult<string, undefined>
    if (done === true || value === undefined) throw new Error('the Erlang caller ended')
    return value
  }
  for (let line = await next(); !line.startsWith('ready'); line = await next());
  return async (count) => {
    caller.stdin?.write(`${count}\n`)
    // A long list is printed over several lines.
    let text = ''
    while (!text.includes(']')) text += await next()
    return (JSON.parse(text) as number[]).map((ns) => ns / NS_PER_MS)
  }
}

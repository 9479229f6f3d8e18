// Runs one command line of the shell in this process against a fake fabric, and says what it wrote.

import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'

import { systemClock } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import type { Interrupt } from '../../cli/interrupt.ts'
import { main } from '../../cli/main.ts'
import { fakeKali } from './fake-datacenter.ts'
import type { Fake } from './fake-datacenter.ts'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')
export const LAUNCHER = `${ROOT}/cli/kumoi.js`

export interface ShellRunOptions {
  readonly fake?: Fake
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
  readonly terminal?: boolean
  readonly clock?: Clock
  readonly launcher?: string
  readonly onInterrupt?: (interrupt: Interrupt) => void
  readonly onWrite?: (text: string) => void
}

export interface ShellRun { readonly status: number; readonly stdout: string; readonly stderr: string; readonly fake: Fake }

export async function shellRun(args: readonly string[], options: ShellRunOptions = {}): Promise<ShellRun> {
  const fake = options.fake ?? fakeKali()
  let stdout = '', stderr = ''
  const stdin = new PassThrough()
  stdin.end(options.stdin ?? '')
  const terminal = options.terminal === true
  const world = {
    stdin, env: { KUMOI_DATA: '/data', ...options.env }, clock: options.clock ?? systemClock, packageRoot: ROOT, version: '0.0.0-test', launcher: options.launcher ?? LAUNCHER,
    stdout: { isTTY: terminal, columns: 80, write: (text: string) => { stdout += text; options.onWrite?.(text); return true } },
    stderr: { isTTY: terminal, columns: 80, write: (text: string) => { stderr += text; return true } },
    kali: async () => fake.kali,
  }
  let exited: number | undefined
  const status = await main(args, world, { exit: (code) => { exited ??= code }, ...(options.onInterrupt === undefined ? {} : { onInterrupt: options.onInterrupt }) })
  return { status: exited ?? status, stdout, stderr, fake }
}

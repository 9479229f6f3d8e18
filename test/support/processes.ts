// Starting programs in tests: what they wrote, how they ended, and doing something when they say a word.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  readonly cwd?: string
  readonly onStart?: (child: ChildProcess) => void
  /** Called with all of stdout and stderr so far, at each piece. */
  readonly onText?: (text: string, child: ChildProcess) => void
}
export interface RunResult { readonly status: number | null; readonly signal: string | null; readonly stdout: string; readonly stderr: string }

export function runProgram(file: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { promise, resolve, reject } = Promise.withResolvers<RunResult>()
  // tap asks for no colour, and loads itself into every Node that it can reach.
  const { FORCE_COLOR: _forced, NO_COLOR: _none, NODE_OPTIONS: _options, ...env } = process.env
  const child = spawn(file, [...args], { env: { ...env, ...options.env }, cwd: options.cwd, stdio: ['pipe', 'pipe', 'pipe'] })
  options.onStart?.(child)
  let stdout = '', stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text; options.onText?.(stdout + stderr, child) })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text; options.onText?.(stdout + stderr, child) })
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  child.on('error', reject)
  child.on('close', (status, signal) => resolve({ status, signal, stdout, stderr }))
  return promise
}

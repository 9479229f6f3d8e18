// Peers that run in processes of their own: started, spoken to, and stopped by their own pid.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Scope } from '../figure.ts'

const STOP_MS = 3_000

/** Stops a child with the scope: SIGTERM, and SIGKILL if it lingers. */
export function stopWith(scope: Scope, child: ChildProcess): void {
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()))
  scope.defer(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await gone
    clearTimeout(timer)
  })
}

/** Starts `script` (beside this file) with an IPC channel; resolves with its first message. */
export async function forkPeer<First>(scope: Scope, script: string, argument: unknown): Promise<{ readonly child: ChildProcess; readonly first: First }> {
  const file = fileURLToPath(new URL(script, import.meta.url))
  const child = spawn(process.execPath, [file, JSON.stringify(argument)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  stopWith(scope, child)
  const first = await new Promise<First>((resolve, reject) => {
    child.once('message', (message) => resolve(message as First))
    child.once('exit', (code) => reject(new Error(`${script} ended with ${code}`)))
    child.once('error', reject)
  })
  return { child, first }
}

/** In a peer's process: the argument it was started with; ends with its parent. */
export function peerArgument<T>(): T | undefined {
  const argument = process.argv[2]
  if (argument === undefined || process.send === undefined) return undefined
  process.on('disconnect', () => process.exit(0))
  return JSON.parse(argument) as T
}

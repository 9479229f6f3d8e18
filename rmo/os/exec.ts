// exec: one program, no shell, in a process group of its own that ends with it.
//
// Output up to maxBytes is kept, what follows is read and dropped (so that the program can end and its
// status is known) up to LIMITS.execDrainBytesMax; then, at the timeout, or when the call is cancelled,
// the whole group is killed. A program that leaves its group (setsid) escapes this; a policy that
// forbids that needs cgroups. The environment is small and clean: nothing of the node's own leaks.

import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { LIMITS, errorCode } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import { RMO } from '../errors.ts'
import type { Budget, ExecOptions, ExecResult } from '../kinds/physical-machine.ts'

const INHERITED = ['PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR'] as const
const PATH_DEFAULT = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
/** The error shall reach the caller before its own deadline does. */
const ANSWER_RESERVE_MS = 20
/** Output shown in a timeout's details, from the end of each stream. */
const TAIL_CHARS = 2_048

function environment(added: Readonly<Record<string, string>>): Record<string, string> {
  const env: Record<string, string> = { PATH: PATH_DEFAULT }
  for (const name of INHERITED) {
    const value = process.env[name]
    if (value !== undefined) env[name] = value
  }
  return { ...env, ...added }
}

/** Kills the group the child leads; it may have ended already. */
function killGroup(pid: number): void {
  try { process.kill(-pid, 'SIGKILL') } catch (error) {
    if (errorCode(error) !== 'ESRCH' && errorCode(error) !== 'EPERM') throw error
  }
}

/** Keeps the first `limitBytes` of both streams together, in the order they came. */
function createCapture(limitBytes: number) {
  const kept = { stdout: [] as Buffer[], stderr: [] as Buffer[] }
  let keptBytes = 0, seenBytes = 0
  return {
    add(stream: 'stdout' | 'stderr', chunk: Buffer): void {
      seenBytes += chunk.length
      const part = chunk.subarray(0, limitBytes - keptBytes)
      keptBytes += part.length
      if (part.length > 0) kept[stream].push(part)
    },
    text: (stream: 'stdout' | 'stderr'): string =>
      // `stream: true` holds back a character cut in half at the limit.
      new TextDecoder().decode(Buffer.concat(kept[stream]), { stream: seenBytes > limitBytes }),
    droppedBytes: () => seenBytes - keptBytes,
    truncated: () => seenBytes > keptBytes,
  }
}

export interface Executor {
  exec(file: string, args: readonly string[], options: ExecOptions, budget: Budget): Promise<ExecResult>
  readonly running: number
}

interface Started { readonly file: string; readonly child: ChildProcessWithoutNullStreams; readonly options: ExecOptions; readonly timeoutMs: number; readonly signal: AbortSignal }

export function createExecutor({ machine, clock }: { readonly machine: string; readonly clock: Clock }): Executor {
  let running = 0

  const start = (file: string, args: readonly string[], env: Readonly<Record<string, string>>): ChildProcessWithoutNullStreams => {
    try {
      return spawn(file, args, { detached: true, shell: false, cwd: '/', env: environment(env), stdio: 'pipe' })
    } catch (error) {
      throw RMO.EXEC_FAILED({ file, machine, reason: errorCode(error) ?? String(error) }, { cause: error })
    }
  }
  const startError = (file: string, error: Error): Error => errorCode(error) === 'ENOENT'
    ? RMO.EXEC_NOT_FOUND({ file, machine }, { cause: error })
    : RMO.EXEC_FAILED({ file, machine, reason: errorCode(error) ?? error.message }, { cause: error })

  const finish = ({ file, child, options, timeoutMs, signal }: Started): Promise<ExecResult> => new Promise((resolve, reject) => {
    const capture = createCapture(options.maxBytes ?? LIMITS.execOutputBytes)
    let failure: unknown
    const kill = (why: unknown): void => {
      failure ??= why
      if (child.pid !== undefined) killGroup(child.pid)
      // A program that left the group may still hold the pipes; this side stops listening.
      child.stdout.destroy()
      child.stderr.destroy()
    }
    const cancelled = (): void => kill(signal.reason)
    const timer = clock.after(timeoutMs, () => kill(RMO.EXEC_TIMEOUT({
      file, machine, timeoutMs, stdout: capture.text('stdout').slice(-TAIL_CHARS), stderr: capture.text('stderr').slice(-TAIL_CHARS),
    })))
    signal.addEventListener('abort', cancelled, { once: true })
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].on('data', (chunk: Buffer) => {
        capture.add(stream, chunk)
        if (capture.droppedBytes() > LIMITS.execDrainBytesMax) kill(RMO.OUTPUT_TOO_LARGE({ file, machine, limitBytes: LIMITS.execDrainBytesMax }))
      })
    }
    // A program may end without reading its input.
    child.stdin.on('error', () => {})
    child.stdin.end(options.input ?? '')

    let grace: { cancel(): void } | undefined
    const settle = (settled: () => void): void => {
      timer.cancel()
      grace?.cancel()
      signal.removeEventListener('abort', cancelled)
      settled()
    }
    child.once('error', (error) => {
      // Without a pid it never started, and 'close' may not come.
      if (child.pid === undefined) settle(() => reject(failure ?? startError(file, error)))
    })
    child.once('exit', () => {
      if (child.pid !== undefined) killGroup(child.pid)
      grace = clock.after(LIMITS.execOutputGraceMs, () => { child.stdout.destroy(); child.stderr.destroy() })
    })
    child.once('close', (code, endedBy) => settle(() => {
      if (failure !== undefined) reject(failure)
      else resolve({ code, signal: endedBy, stdout: capture.text('stdout'), stderr: capture.text('stderr'), truncated: capture.truncated() })
    }))
  })

  return {
    get running() { return running },
    async exec(file, args, options, { signal, remainingMs }) {
      signal.throwIfAborted()
      if (running >= LIMITS.execsInFlightMax) throw RMO.BUSY({ what: 'programs', machine, limit: LIMITS.execsInFlightMax })
      const timeoutMs = Math.max(1, Math.floor(Math.min(options.timeoutMs ?? Infinity, remainingMs() - ANSWER_RESERVE_MS, LIMITS.callTimeoutMsMax)))
      running++
      try {
        return await finish({ file, child: start(file, args, options.env ?? {}), options, timeoutMs, signal })
      } finally {
        running--
      }
    },
  }
}

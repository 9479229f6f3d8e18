// Runs ip and tc (iproute2): no shell, a deadline, bounded output, errors with the tool's own words.
//
// The kernel's links are reached by these tools and not by netlink from here: no kept npm library speaks rtnetlink, and
// koffi bindings to libnl would be a second native interface for what a 3 ms child process does. `namespace`: of which
// network namespace (ip netns), so that a lab or a test needs no process inside it.

import { existsSync } from 'node:fs'
import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { LIMITS, errorCode } from '../../../fabric/base.ts'
import type { Clock } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { Call } from '../contract.ts'
import type { Purpose } from '../switch/rules.ts'

export interface Iproute {
  /** Standard output. Throws TOOL_MISSING, SWITCH_TIMEOUT, SWITCH_FAILED with the last line of standard error. */
  run(tool: 'ip' | 'tc', args: readonly string[], purpose: Purpose, call: Call): Promise<string>
  /** As run, parsed as JSON; an empty answer is an empty list. */
  json(tool: 'ip' | 'tc', args: readonly string[], purpose: Purpose, call: Call): Promise<readonly unknown[]>
  /** A child that prints a line on each change of a link. */
  monitor(): ChildProcess
}

/** The part of the environment that the tools need; C locale, so that errors read the same everywhere. */
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' } as const

const SETPRIV = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path))

export function createIproute({ clock, namespace, hostName }: { readonly clock: Clock; readonly namespace?: string | undefined; readonly hostName: () => string }): Iproute {
  const inside = namespace === undefined ? [] : ['-n', namespace]
  const run: Iproute['run'] = async (tool, args, { operation, name }, call) => {
    call.signal?.throwIfAborted()
    const timeoutMs = Math.max(1, Math.min(call.remainingMs(), LIMITS.callTimeoutMsMax))
    const end = new AbortController()
    const timer = clock.after(timeoutMs, () => end.abort())
    const signal = call.signal === undefined ? end.signal : AbortSignal.any([end.signal, call.signal])
    try {
      return await new Promise<string>((resolve, reject) => {
        execFile(tool, [...inside, ...args], { env: ENVIRONMENT, maxBuffer: LIMITS.iprouteOutputBytesMax, signal, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
          if (error === null) resolve(stdout)
          else if (call.signal?.aborted === true) reject(call.signal.reason as Error)
          else if (end.signal.aborted) reject(RMO.SWITCH_TIMEOUT({ operation, name, timeoutMs: Math.round(timeoutMs) }))
          else if (errorCode(error) === 'ENOENT') reject(RMO.TOOL_MISSING({ tool, machine: hostName(), does: 'makes and reads Linux bridges', install: 'apt-get install iproute2' }, { cause: error }))
          else reject(RMO.SWITCH_FAILED({ operation, name, text: stderr.trim().split('\n').at(-1) || error.message }, { cause: error }))
        })
      })
    } finally {
      timer.cancel()
    }
  }
  return {
    run,
    async json(tool, args, purpose, call) {
      const text = await run(tool, ['-j', ...args], purpose, call)
      const value: unknown = text.trim() === '' ? [] : JSON.parse(text)
      return Array.isArray(value) ? value : []
    },
    monitor() {
      const command = ['ip', ...inside, 'monitor', 'link']
      // A node that is killed cannot stop its child; util-linux's setpriv makes the kernel do it.
      const [program = 'ip', ...args] = SETPRIV === undefined ? command : [SETPRIV, '--pdeathsig', 'KILL', ...command]
      return spawn(program, args, { env: ENVIRONMENT, stdio: ['ignore', 'pipe', 'ignore'] })
    },
  }
}

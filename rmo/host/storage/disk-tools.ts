// The host's own programs for disks: qemu-img, cp, xorrisofs. One process each, without a shell, a few at a time.
//
// A program gets a deadline (the caller's, at most LIMITS.diskToolTimeoutMs), is killed with its process group when that
// passes or the call is cancelled, and speaks the C locale, so that what it says can be told apart: full or not.

import { LIMITS, errorCode } from '../../../fabric/base.ts'
import type { Clock } from '../../../fabric/base.ts'
import type { Call } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import { createExecutor } from '../../os/exec.ts'

export interface ToolAnswer { readonly code: number | null; readonly stdout: string; readonly stderr: string }
export interface DiskTools {
  /** Waits for its turn, then runs it. Throws TOOL_MISSING, BUSY, EXEC_TIMEOUT; any exit status is an answer. */
  run(tool: string, args: readonly string[], call: Call): Promise<ToolAnswer>
}

/** What each program is for and where Debian has it. */
const TOOLS: Readonly<Record<string, { readonly does: string; readonly install: string }>> = {
  'qemu-img': { does: 'makes and copies disks', install: 'apt-get install qemu-utils' },
  'cp': { does: 'copies images', install: 'apt-get install coreutils' },
  'xorrisofs': { does: 'makes the seed disks of contextualised VMs', install: 'apt-get install xorriso' },
}

/** A program's words for a full disk or quota, in the C locale. */
export const saysFull = (text: string): boolean => /No space left on device|Disk quota exceeded/.test(text)

export function createDiskTools({ machine, clock }: { readonly machine: () => string; readonly clock: Clock }): DiskTools {
  const executor = createExecutor({ machine: 'this host', clock })
  const waiting: (() => void)[] = []
  let running = 0

  const turn = async (signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted()
    if (running < LIMITS.diskToolsInFlightMax) { running++; return }
    if (waiting.length >= LIMITS.diskToolsQueuedMax) throw RMO.BUSY({ what: 'disk jobs', machine: machine(), limit: LIMITS.diskToolsQueuedMax })
    // Who leaves hands its place on, so `running` does not change here.
    await new Promise<void>((resolve, reject) => {
      const go = (): void => { signal.removeEventListener('abort', leave); resolve() }
      const leave = (): void => {
        waiting.splice(waiting.indexOf(go), 1)
        reject(signal.reason)
      }
      waiting.push(go)
      signal.addEventListener('abort', leave, { once: true })
    })
  }
  const leave = (): void => {
    const next = waiting.shift()
    if (next === undefined) running--
    else next()
  }

  return {
    async run(tool, args, call) {
      const signal = call.signal ?? new AbortController().signal
      await turn(signal)
      try {
        return await executor.exec(tool, args, { env: { LC_ALL: 'C' }, timeoutMs: LIMITS.diskToolTimeoutMs }, { signal, remainingMs: () => call.remainingMs() })
      } catch (error) {
        if (errorCode(error) !== RMO.EXEC_NOT_FOUND.code) throw error
        throw RMO.TOOL_MISSING({ tool, machine: machine(), ...TOOLS[tool] ?? { does: 'is needed here', install: `apt-get install ${tool}` } }, { cause: error })
      } finally {
        leave()
      }
    },
  }
}

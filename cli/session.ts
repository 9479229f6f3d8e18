// One run of one command: settings, output, interruption and the connection, in one hand. Commands
// get a Shell and nothing else, so that a test gives them a fake one.

import { errorCode, LIMITS } from '../fabric/base.ts'
import type { ConnectOptions, DataCenter } from '../kali/contract.ts'
import { CLI, EXIT, exitStatusOf } from './errors.ts'
import type { Interrupt } from './interrupt.ts'
import type { Output } from './output.ts'
import type { Settings, World } from './world.ts'

export interface Shell {
  readonly world: World
  readonly settings: Settings
  readonly out: Output
  readonly interrupt: Interrupt
}

/** What may change while a connection lives: a REPL gives each expression a signal of its own. */
export interface CallDefaults { signal(): AbortSignal; timeoutMs(): number | undefined }

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Connects to the node of the data directory; whatever keeps us from it is exit status 3. `login: false`: as nobody in particular, to log in or out. */
export async function open(shell: Shell, defaults?: CallDefaults, { login = shell.settings.login }: { readonly login?: boolean } = {}): Promise<DataCenter> {
  const { settings, out, interrupt, world } = shell
  const options: ConnectOptions = {
    data: settings.data, login, config: settings.config,
    ...(settings.socket === undefined ? {} : { socket: settings.socket }),
    ...(settings.as === undefined ? {} : { as: settings.as }),
    // Getters: read again at each call, so that a cancelled expression does not cancel the next.
    defaults: {
      get signal() { return defaults?.signal() ?? interrupt.signal },
      get timeoutMs() { return defaults?.timeoutMs() ?? interrupt.remainingMs() ?? LIMITS.mapTimeoutMs },
      onProgress: (progress) => out.progress.update(progress),
    },
    onConsole: (line) => out.console(line),
  }
  try {
    const { connect } = await world.kali()
    return await interrupt.race(connect(options))
  } catch (error) {
    if (interrupt.signal.aborted) throw interrupt.signal.reason
    // Without a code it is a fault of the program, not of the way to the node.
    // So it is when the node answered, and refused who we are.
    throw errorCode(error) === undefined || errorCode(error)?.startsWith('KALI_ERR_') === true || exitStatusOf(error) === EXIT.noNode ? error : CLI.NO_NODE({ data: settings.data, reason: reasonOf(error) }, { cause: error })
  }
}

/** Connects, works, closes; an interruption ends the wait at once and still closes. */
export async function withDataCenter<T>(shell: Shell, work: (dc: DataCenter) => PromiseLike<T>, defaults?: CallDefaults, options: { readonly login?: boolean } = {}): Promise<T> {
  const dc = await open(shell, defaults, options)
  try {
    return await shell.interrupt.race(work(dc))
  } finally {
    shell.out.progress.stop()
    await dc.close().catch((error: unknown) => { if (shell.settings.verbose) shell.out.warn(`closing the connection: ${reasonOf(error)}`) })
  }
}

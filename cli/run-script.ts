// `kumoi run FILE [args]`: a program in a file, wherever it lies, with `kumoi` resolved to this very
// installation, argv of its own, and errors that name its own lines.

import { access } from 'node:fs/promises'
import { registerHooks } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

import { LIMITS } from '../fabric/base.ts'
import { CLI, EXIT, exitStatusOf } from './errors.ts'
import { settleAssignments } from './expression.ts'
import { configureRun, connections } from './run-api.ts'
import type { Shell } from './session.ts'

// Beside this file, with this file's ending: .ts in a checkout, .js when packed.
const API_URL = new URL(`./run-api${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`, import.meta.url).href

export async function runScript(shell: Shell, file: string, args: readonly string[]): Promise<number> {
  const { settings, interrupt, out, world } = shell
  const path = resolve(file)
  await access(path).catch((error: unknown) => {
    throw CLI.SCRIPT_MISSING({ file: path, reason: error instanceof Error && 'code' in error && error.code === 'ENOENT' ? 'there is no such file' : String(error) })
  })
  configureRun({
    data: settings.data,
    ...(settings.as === undefined ? {} : { as: settings.as }),
    defaults: { signal: interrupt.signal, timeoutMs: interrupt.remainingMs() ?? LIMITS.mapTimeoutMs },
    onConsole: (line) => out.console(line),
  }, () => world.kali())
  registerHooks({
    resolve: (specifier, context, next) => (specifier === 'kumoi' ? { url: API_URL, shortCircuit: true } : next(specifier, context)),
  })
  process.argv = [process.argv[0] ?? process.execPath, path, ...args]
  const failed = Promise.withResolvers<never>()
  process.on('uncaughtException', failed.reject)
  failed.promise.catch(() => {})
  try {
    await interrupt.race(Promise.race([import(pathToFileURL(path).href), failed.promise]))
    // Timers, servers and calls that the script left running belong to it: it ends when they do.
    await interrupt.race(Promise.race([idle(), failed.promise]))
    let status: number = EXIT.done
    for (const dc of connections()) status = await settleAssignments(dc, out) || status
    return Number(process.exitCode ?? status)
  } catch (error) {
    if (interrupt.signal.aborted) throw interrupt.signal.reason
    if (error instanceof SyntaxError) throw syntaxError(error)
    out.error(error)
    return exitStatusOf(error) || EXIT.failed
  }
}

/** Nothing keeps the process alive any more. */
const idle = (): Promise<void> => new Promise((done) => { process.once('beforeExit', () => done()) })

/** Node puts file, line and caret above a syntax error's stack; that is what to show. */
function syntaxError(error: SyntaxError): Error {
  const [head = ''] = (error.stack ?? '').split('\n\n')
  // An import that fails to link has no blank line between the excerpt and the engine's frames.
  const lines = head.replace(/^file:\/\//, '').split('\n')
  const end = lines.findIndex((line) => /^SyntaxError: |^ {4}at /.test(line))
  return CLI.SYNTAX({ what: 'script', reason: error.message, excerpt: lines.slice(0, end < 0 ? undefined : end).join('\n') }, { cause: error })
}

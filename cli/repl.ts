// `kumoi repl`: Node's own REPL for editing, history and multi-line input, over our evaluator.
//
// Each expression has an AbortSignal of its own (session.ts reads the session's defaults at each call),
// so Ctrl-C ends what runs and leaves the session. History lies in the data directory, mode 0600:
// expressions may hold what others should not read.

import { mkdir } from 'node:fs/promises'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import repl from 'node:repl'
import type { REPLServer } from 'node:repl'

import { LIMITS } from '../fabric/base.ts'
import type { DataCenter } from '../kali/contract.ts'
import { CLI, EXIT, exitStatusOf } from './errors.ts'
import { Evaluator } from './evaluate.ts'
import { bindingsOf, settleAssignments, show } from './expression.ts'
import { manifestText } from './render/manifest.ts'
import { nodesTable } from './render/nodes.ts'
import { kindsByPlural, relationOf, wordsOf } from './render/references.ts'
import { parseDurationMs } from './render/units.ts'
import { complete } from './repl-complete.ts'
import type { CompletionSource } from './repl-complete.ts'
import { holdKeys, lineByLine } from './repl-input.ts'
import { open } from './session.ts'
import type { Shell } from './session.ts'
import { toScript } from './source.ts'

/** Until the user leaves; always 0 (each expression has reported itself) unless no node answers. */
export async function startRepl(shell: Shell): Promise<number> {
  const session = new ReplSession(shell)
  return session.run()
}

class ReplSession {
  readonly #shell: Shell
  #running: AbortController | undefined
  #timeoutMs: number | undefined
  #tail: Promise<void> = Promise.resolve()
  #dc!: DataCenter
  #evaluator!: Evaluator
  #server!: REPLServer

  constructor(shell: Shell) {
    this.#shell = shell
  }

  async run(): Promise<number> {
    const { world, out } = this.#shell
    this.#dc = await open(this.#shell, { signal: () => this.#running?.signal ?? new AbortController().signal, timeoutMs: () => this.#timeoutMs })
    this.#evaluator = new Evaluator(await bindingsOf(this.#dc), 'kumoi:repl')
    await this.#evaluator.open()
    const node = await this.#dc.node()
    if (world.stdin.isTTY === true) out.note(`Connected to ${node.name}. pms, vms, images, fn, range, from, dc, explain are here; .help lists more; Ctrl-D leaves.`)
    const terminal = world.stdin.isTTY === true && world.stdout.isTTY === true
    this.#server = repl.start({
      prompt: terminal ? 'kumoi> ' : '',
      input: terminal ? world.stdin : lineByLine(world.stdin, () => this.#tail), output: world.stdout as NodeJS.WritableStream, terminal,
      preview: false, ignoreUndefined: true, useColors: false,
      eval: (text, _context, _file, done) => { this.#accept(text, done) },
      completer: (line: string, done: (error: Error | null, result: [string[], string]) => void) => {
        complete(line, this.#completion()).then((result) => done(null, result), () => done(null, [[], line]))
      },
    })
    this.#commands()
    // Without a terminal nobody wants to see "| " in the results.
    if (!terminal) this.#server.displayPrompt = () => {}
    if (terminal) {
      await this.#history()
      holdKeys(this.#server, () => this.#running !== undefined, () => this.#tail)
    }
    this.#interrupts()
    await new Promise<void>((left) => { this.#server.once('exit', left) })
    await this.#tail
    this.#evaluator.close()
    await this.#dc.close()
    return EXIT.done
  }

  /** Asks for more at once when the text stops in the middle; else it takes its turn. */
  #accept(text: string, done: (error: Error | null, result: unknown) => void): void {
    let incomplete = false
    try {
      incomplete = toScript(text).incomplete
    } catch {
      // Said when its turn comes.
    }
    if (incomplete) return done(new repl.Recoverable(new SyntaxError('incomplete')), undefined)
    this.#queue(async () => {
      if (text.trim() !== '') await this.#evaluate(text)
      done(null, undefined)
    })
  }

  /** Lines that arrive while one runs (a pipe, a paste) wait for it. */
  #queue(turn: () => Promise<void>): void { this.#tail = this.#tail.then(turn) }

  async #evaluate(text: string): Promise<void> {
    const work = new AbortController()
    this.#running = work
    try {
      const completion = await raced(work.signal, this.#evaluator.run(text, {
        timeoutMs: this.#timeoutMs, ...(this.#raw === undefined ? {} : { breakable: (run: () => unknown) => this.#cooked(run) }),
      }))
      await raced(work.signal, show(completion?.value, this.#shell.out, this.#shell.settings))
    } catch (error) {
      this.#report(work.signal.aborted ? work.signal.reason : error)
    } finally {
      // An assignment that failed is told under its own line, not at the end of the session.
      await raced(work.signal, settleAssignments(this.#dc, this.#shell.out)).catch((error: unknown) => this.#report(error))
      this.#running = undefined
    }
  }

  #report(error: unknown): void {
    this.#shell.out.progress.stop()
    if (exitStatusOf(error) === EXIT.interrupted) this.#shell.out.note('interrupted')
    else this.#shell.out.error(error)
  }

  /** Switches raw mode; undefined without a terminal. */
  get #raw(): ((mode: boolean) => void) | undefined {
    const stdin = this.#shell.world.stdin as { readonly isRaw?: boolean; setRawMode?(mode: boolean): void }
    return stdin.isRaw === true ? (mode) => stdin.setRawMode?.(mode) : undefined
  }

  /** In raw mode Ctrl-C is a byte that nobody reads during an endless loop; out of it, a signal. */
  #cooked(run: () => unknown): unknown {
    const raw = this.#raw
    raw?.(false)
    try {
      return run()
    } finally {
      raw?.(true)
    }
  }

  #completion(): CompletionSource {
    return {
      names: () => this.#evaluator.names(),
      properties: (expression) => this.#evaluator.properties(expression),
      collections: kindsByPlural,
      words: wordsOf,
      kindOf: (name) => this.#evaluator.kindOf(name),
      relation: relationOf,
      functions: async () => (await this.#dc.functions.list()).map(({ name }) => name),
    }
  }

  #interrupts(): void {
    const cancel = (): boolean => {
      if (this.#running === undefined) return false
      this.#running.abort(CLI.INTERRUPTED({}))
      return true
    }
    // Ahead of the REPL's own handler, which clears the line, and asks before leaving.
    const [own] = this.#server.listeners('SIGINT')
    this.#server.removeAllListeners('SIGINT')
    this.#server.on('SIGINT', () => { if (!cancel()) own?.call(this.#server) })
    this.#shell.interrupt.divert(cancel)
    this.#shell.interrupt.signal.addEventListener('abort', () => { cancel(); this.#server.close() }, { once: true })
  }

  async #history(): Promise<void> {
    const { data } = this.#shell.settings
    await mkdir(data, { recursive: true, mode: 0o700 })
    const path = join(data, 'repl_history')
    closeSync(openSync(path, 'a', 0o600))
    await new Promise<void>((ready) => {
      this.#server.setupHistory({ filePath: path, size: LIMITS.historyEntriesMax, removeHistoryDuplicates: true, onHistoryFileLoaded: () => ready() })
    })
  }

  #commands(): void {
    const { out, world } = this.#shell
    const define = (name: string, help: string, action: (text: string) => Promise<void>): void => {
      this.#server.defineCommand(name, {
        help,
        action: (text) => {
          this.#queue(async () => {
            await action(text).catch((error: unknown) => this.#report(error))
            this.#server.displayPrompt()
          })
        },
      })
    }
    // Node's .clear makes a new context, which our names are not in.
    Reflect.deleteProperty(this.#server.commands, 'clear')
    define('nodes', 'The nodes of the fabric', async () => {
      const rows = await this.#dc.nodes()
      out.result(rows, (layout) => nodesTable(rows, layout, world.clock.wallMs()))
    })
    define('explain', 'What a function would carry: .explain pm => pm.name', async (text) => {
      const fn = (await this.#evaluator.run(`(${text}\n)`, {}))?.value
      if (typeof fn !== 'function') throw CLI.NOT_A_FUNCTION({ type: typeof fn })
      const manifest = this.#dc.explain(fn as (...args: never[]) => unknown)
      out.result(manifest, (layout) => manifestText(manifest, layout))
    })
    define('timeout', 'Bound of each expression: .timeout 5s, .timeout off', async (text) => {
      const chosen = text.trim() === 'off' ? undefined : parseDurationMs(text)
      if (chosen === undefined && text.trim() !== 'off') throw CLI.USAGE({ problem: `.timeout: "${text}" is no time`, hint: 'Write a number and a unit: 500ms, 2s, 5m; or off.' })
      this.#timeoutMs = chosen
    })
    const { help } = this.#server.commands
    if (help !== undefined) help.help = 'This list'
  }
}

/** Ends the wait when the signal does; the work itself is told through the same signal. */
async function raced<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = (): void => reject(signal.reason)
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

// The two mouths of the shell: stdout holds results and nothing else, stderr everything for people.
// With --json stdout holds one JSON value, and an error is one JSON object on stderr.

import { stripVTControlCharacters } from 'node:util'

import { errorCode } from '../fabric/base.ts'
import type { Clock } from '../fabric/base.ts'
import type { Outcome } from '../functions/mod.ts'
import { toJson } from './render/json.ts'
import { mergeOutcomes, mergedText } from './render/merge.ts'
import { ProgressLine } from './render/progress.ts'
import { outcomesOf } from './render/shapes.ts'
import { styleFor } from './render/style.ts'
import type { Style } from './render/style.ts'
import { neutral } from './render/text.ts'
import { cellText, failuresTable, forPeople } from './render/value.ts'
import type { PeopleLayout } from './render/value.ts'
import type { Settings, Sink, World } from './world.ts'

export interface ConsoleText { readonly nodeName: string; readonly level: string; readonly text: string }

export class Output {
  readonly style: Style
  readonly errorStyle: Style
  readonly progress: ProgressLine
  readonly clock: Clock
  readonly #stdout: Sink
  readonly #stderr: Sink
  readonly #settings: Settings

  constructor(world: Pick<World, 'stdout' | 'stderr' | 'env'> & { readonly clock: Clock }, settings: Settings) {
    this.#stdout = world.stdout
    this.#stderr = world.stderr
    this.#settings = settings
    this.clock = world.clock
    this.style = styleFor({ color: settings.color, env: world.env, terminal: world.stdout.isTTY === true })
    this.errorStyle = styleFor({ color: settings.color, env: world.env, terminal: world.stderr.isTTY === true })
    this.progress = new ProgressLine(settings.quiet ? { write: () => true } : world.stderr, world.clock)
  }

  get layout(): PeopleLayout {
    const terminal = this.#stdout.isTTY === true
    return { style: this.style, terminal, columns: terminal ? this.#stdout.columns || 80 : undefined }
  }

  /** One result: JSON when asked for, else what `people` makes of it, else the general rendering. */
  result(value: unknown, people?: (layout: PeopleLayout) => string | undefined): void {
    if (this.#settings.json) return this.#write(`${toJson(value)}\n`)
    const text = people === undefined ? forPeople(value, this.layout) : people(this.layout)
    if (text === undefined && Array.isArray(value) && this.#stdout.isTTY === true) this.note(this.errorStyle.dim('(empty)'))
    if (text !== undefined) this.#write(text.endsWith('\n') ? text : `${text}\n`)
  }

  /** Results of many nodes, equal ones once. */
  merged(outcomes: readonly Outcome<unknown>[]): void {
    const groups = mergeOutcomes(outcomes, (value) => {
      const text = forPeople(value, { ...this.layout, terminal: true }) ?? 'undefined'
      return text.replace(/\n$/, '')
    })
    this.result(groups, () => mergedText(groups))
  }

  /** What came back of a map of which a part failed; the failures go to stderr with the error. */
  partial(outcomes: readonly Outcome<unknown>[]): void {
    const values = outcomes.flatMap((o) => (o.status === 'value' ? [o.value] : []))
    if (values.length > 0 || this.#settings.json) this.result(values)
  }

  /** For people; not with --quiet. */
  note(text: string): void {
    if (this.#settings.quiet) return
    this.#tell(`${text}\n`)
  }

  warn(text: string): void { this.#tell(`${this.errorStyle.yellow('warning:')} ${neutral(text)}\n`) }

  /** A line printed by a shipped function. */
  console(line: ConsoleText): void {
    const prefix = this.errorStyle.cyan(`${neutral(line.nodeName)}|`)
    this.#tell(line.text.replace(/\n$/, '').split('\n').map((part) => `${prefix} ${neutral(part)}\n`).join(''))
  }

  error(error: unknown): void {
    const outcomes = outcomesOf(error)
    if (this.#settings.json) return this.#tell(`${toJson(errorObject(error, outcomes, this.#settings.verbose))}\n`)
    const style = this.errorStyle
    const code = errorCode(error)
    const head = error instanceof Error ? `${code === undefined && error.name !== 'CodedError' ? `${error.name}: ` : ''}${error.message}` : `Thrown: ${cellText(error)}`
    let text = `${style.red('error:')} ${neutral(head)}${code === undefined || code.startsWith('ERR_') ? '' : ` ${style.dim(`[${neutral(code)}]`)}`}\n`
    if (outcomes !== undefined) text += `${failuresTable(outcomes, { style, columns: this.#stderr.isTTY === true ? this.#stderr.columns || 80 : undefined })}\n`
    // Our own refusals say what they are about; a frame would only show where we noticed.
    const place = error instanceof Error && code?.startsWith('CLI_ERR_') !== true ? userFrame(error) : undefined
    // Where the function threw, on the machine that ran it, when it stands on a line of its own.
    const thrown = (outcomes !== undefined || place === undefined) && error instanceof Error && error.cause instanceof Error ? userFrame(error.cause) : undefined
    if (this.#settings.verbose) text += style.dim(causes(error).map(neutral).join('\n')) + '\n'
    else {
      if (thrown !== undefined && thrown !== place && !/^kumoi:\w+:1:/.test(thrown)) text += `${style.dim(`  thrown at ${neutral(thrown)}`)}\n`
      if (place !== undefined) text += `${style.dim(`  at ${neutral(place)}`)}\n`
    }
    this.#tell(text)
  }

  #write(text: string): void { this.progress.around(() => this.#stdout.write(text)) }
  #tell(text: string): void { this.progress.around(() => this.#stderr.write(text)) }
}

function errorObject(error: unknown, outcomes: readonly Outcome<unknown>[] | undefined, verbose: boolean): Record<string, unknown> {
  const { details, stack } = (typeof error === 'object' && error !== null ? error : {}) as { details?: Record<string, unknown>; stack?: string }
  const { outcomes: _held, ...rest } = details ?? {}
  return {
    code: errorCode(error) ?? (error instanceof Error ? error.name : 'Thrown'),
    message: error instanceof Error ? stripVTControlCharacters(error.message) : cellText(error),
    details: rest,
    ...(outcomes === undefined ? {} : { failures: outcomes.filter((o) => o.status !== 'value') }),
    ...(verbose && stack !== undefined ? { stack } : {}),
  }
}

/** First frame in the user's own text: the expression, the REPL, a script, the file of a deployed function ("hot.ts:8:5"); never ours or Node's. */
export function userFrame(error: Error): string | undefined {
  for (const line of (error.stack ?? '').split('\n')) {
    const match = /(?:\(|at (?:async )?)((?:kumoi:(?:expression|repl)[^():]*|file:\/\/[^()]+?|\/[^()]+?|[^():\s]+\.[cm]?[jt]sx?):\d+:\d+)\)?$/.exec(line.trim())
    const place = match?.[1]
    if (place !== undefined && !OURS.test(place)) return place.replace(/^file:\/\//, '')
  }
  return undefined
}

// Folder of this program: frames inside it say nothing to a user.
const ROOT = new URL('..', import.meta.url).pathname
const OURS = new RegExp(`^(?:file://)?${ROOT.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}(?:cli|kali|rmo|functions|fabric|node_modules)/|/node_modules/`)

function causes(error: unknown): string[] {
  const lines: string[] = []
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    lines.push(`${depth === 0 ? '' : 'caused by '}${at.stack ?? at.message}`)
  }
  return lines
}

// A command as data: usage, option table, run. Help, checking, completion and --json derive from it.
// The only file that knows commander.

import { Command, CommanderError, InvalidArgumentError } from 'commander'

import { CLI } from './errors.ts'
import { parseDurationMs } from './render/units.ts'
import type { Shell } from './session.ts'

/** An option with a value, or a flag (no `parse`). */
export interface ValueOption<T> { readonly flags: string; readonly help: string; readonly parse: (text: string, before?: T) => T }
export interface FlagOption { readonly flags: string; readonly help: string }
export type OptionTable = Readonly<Record<string, ValueOption<unknown> | FlagOption>>
export type OptionValues<O extends OptionTable> = { readonly [K in keyof O]?: O[K] extends ValueOption<infer T> ? T : boolean }

export interface Example { readonly command: string; readonly does: string }

export interface CommandSpec<O extends OptionTable = OptionTable> {
  readonly name: string
  readonly aliases?: readonly string[]
  readonly summary: string
  /** Commander's words for operands: "<file> [args...]"; '' when there is none. */
  readonly operands: string
  readonly details?: string
  readonly options: O
  readonly examples: readonly Example[]
  /** 'value': prints one result, honours --json. 'text': prints text (a script, a session). */
  readonly output: 'value' | 'text'
  /** Everything after the first operand belongs to it, options too. */
  readonly passThrough?: true
  /** Answers the exit status. */
  run(shell: Shell, operands: readonly string[], options: OptionValues<O>): Promise<number>
}

export type AnyCommand = Omit<CommandSpec, 'run'> & { run(shell: Shell, operands: readonly string[], options: Readonly<Record<string, unknown>>): Promise<number> }

/** Types `run`'s options from the table. */
export const defineCommand = <const O extends OptionTable>(spec: CommandSpec<O>): AnyCommand => spec as unknown as AnyCommand

/** The same options where what is not given stays as it is: their help names no default. */
export const withoutDefaults = <O extends OptionTable>(table: O): O =>
  Object.fromEntries(Object.entries(table).map(([key, option]) => [key, { ...option, help: option.help.replace(/ \(default: [^)]*\)$/, '') }])) as unknown as O

const refuse = (message: string): never => { throw new InvalidArgumentError(message) }

export const text = (value: string): string => (value === '' ? refuse('It must not be empty.') : value)
export const choice = <const V extends readonly string[]>(...values: V) => (value: string): V[number] =>
  values.includes(value) ? value : refuse(`It is one of ${values.join(', ')}.`)
/** A word that is no option but one of a few: `kumoi ha mode freeze`. */
export const wordOf = <const V extends readonly string[]>(command: string, values: V, word: string): V[number] => {
  if (values.includes(word)) return word
  throw CLI.USAGE({ problem: `kumoi ${command}: "${word}" is none of ${values.join(', ')}`, hint: `See \`kumoi ${command} --help\`.` })
}
export const integer = (min: number, max: number) => (value: string): number => {
  const parsed = /^\d+$/.test(value) ? Number(value) : NaN
  return parsed >= min && parsed <= max ? parsed : refuse(`Write a whole number from ${min} to ${max}.`)
}
/** An option that may stand several times. */
export const repeated = (value: string, before?: readonly string[]): readonly string[] => [...before ?? [], value]
export const durationMs = (value: string): number => parseDurationMs(value) ?? refuse('Write a number and a unit: 500ms, 2s, 5m, 1h.')

export const GLOBAL_OPTIONS = {
  data: { flags: '--data <dir>', help: 'directory of the node (default: KUMOI_DATA, else ~/.kumoi)', parse: text },
  socket: { flags: '--socket <path>', help: 'users\' socket of a node instead of its own (default: KUMOI_SOCKET, else none)', parse: text },
  admin: { flags: '--admin', help: 'leave a login aside and act as this machine\'s administrator' },
  json: { flags: '--json', help: 'one JSON value on stdout and nothing else; errors as {code,message,details} on stderr' },
  timeout: { flags: '--timeout <time>', help: 'bound on the whole command: 500ms, 2s, 5m', parse: durationMs },
  merge: { flags: '--merge', help: 'print equal answers of many nodes once, under their folded names' },
  color: { flags: '--no-color', help: 'no colours (NO_COLOR and FORCE_COLOR are honoured)' },
  quiet: { flags: '--quiet', help: 'no notes and no progress on stderr' },
  verbose: { flags: '--verbose', help: 'stacks and causes of errors' },
  as: { flags: '--as <name>', help: 'run functions in a cell of their own, by this name', parse: text },
} as const satisfies OptionTable

export interface Parsed { readonly operands: readonly string[]; readonly options: Readonly<Record<string, unknown>> }

/** "--data" of "--data <dir>": the long flag. */
export const longFlag = (flags: string): string => /--[a-z-]+/.exec(flags)?.[0] ?? flags
export const takesValue = (option: ValueOption<unknown> | FlagOption): boolean => 'parse' in option

function declare(command: Command, table: OptionTable, group: string): void {
  command.optionsGroup(group)
  for (const option of Object.values(table)) {
    if ('parse' in option) command.option(option.flags, option.help, option.parse)
    else command.option(option.flags, option.help)
  }
}

function build(spec: AnyCommand): Command {
  const command = new Command(`kumoi ${spec.name}`)
  command.exitOverride().configureOutput({ writeOut: () => {}, writeErr: () => {} })
    .description(spec.details === undefined ? spec.summary : `${spec.summary}\n\n${spec.details}`)
  for (const operand of spec.operands.split(' ')) if (operand !== '') command.argument(operand)
  declare(command, spec.options, 'Options:')
  command.helpOption('-h, --help', 'show this help')
  declare(command, GLOBAL_OPTIONS, 'Global options:')
  if (spec.passThrough === true) command.passThroughOptions()
  return command
}

/** Help of one command, examples last. */
export function helpOf(spec: AnyCommand, columns: number): string {
  const command = build(spec)
  command.configureHelp({ helpWidth: columns })
  const aliases = spec.aliases === undefined ? '' : `Also: ${spec.aliases.map((a) => `kumoi ${a}`).join(', ')}\n\n`
  return `${command.helpInformation()}\n${aliases}Examples:\n${examplesText(spec.examples)}\n`
}

export const examplesText = (examples: readonly Example[]): string => {
  const widest = Math.min(58, Math.max(...examples.map((e) => e.command.length)))
  return examples.map((e) => `  ${e.command.padEnd(widest)}  # ${e.does}`).join('\n')
}

/** Checked operands and options; 'help' when asked for; a usage error (exit 2) otherwise. */
export function parse(spec: AnyCommand, args: readonly string[]): Parsed | 'help' {
  const command = build(spec)
  try {
    command.parse([...args], { from: 'user' })
    return { operands: command.args, options: command.opts() }
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.code === 'commander.helpDisplayed' || error.code === 'commander.help') return 'help'
    const [problem = '', ...hints] = error.message.replace(/^error: /, '').split('\n').filter((line) => line !== '')
    throw CLI.USAGE({ problem: `kumoi ${spec.name}: ${problem}`, hint: [...hints, `See \`kumoi ${spec.name} --help\`.`].join(' ') })
  }
}

// argv -> command -> exit status. Loaded by the launcher (cli/kumoi.js) under the pinned runtime.
//
//   kumoi [global options] [command] [options] [operands]
//
// The first word that is no option names the command; when it names none it is an expression, unless
// it looks like a mistyped command. Each command's file is loaded only when it is the one.

import { systemClock } from '../fabric/base.ts'
import { GLOBAL_OPTIONS, helpOf, longFlag, parse, takesValue } from './command.ts'
import type { AnyCommand, OptionValues } from './command.ts'
import { COMMANDS } from './commands/index.ts'
import type { RegistryEntry } from './commands/index.ts'
import { CLI, EXIT, exitStatusOf } from './errors.ts'
import { Interrupt } from './interrupt.ts'
import { Output } from './output.ts'
import { outcomesOf } from './render/shapes.ts'
import type { Shell } from './session.ts'
import { nearest } from './suggest.ts'
import { configDirectory, dataDirectory, socketPath } from './world.ts'
import type { Kali, Settings, World } from './world.ts'

/** `dashed`: the word stood behind "--" and is an operand whatever it looks like. */
interface Split { readonly word: string | undefined; readonly dashed?: true; readonly before: readonly string[]; readonly after: readonly string[] }

/** Global options may stand before the command's name. */
export function splitArgs(args: readonly string[]): Split {
  const table = Object.values(GLOBAL_OPTIONS)
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? ''
    if (arg === '--') return { word: args[i + 1], dashed: true, before: args.slice(0, i), after: args.slice(i + 2) }
    if (!arg.startsWith('-') || arg === '-') return { word: arg, before: args.slice(0, i), after: args.slice(i + 1) }
    const option = table.find((o) => longFlag(o.flags) === arg)
    if (option !== undefined && takesValue(option)) i++
  }
  return { word: undefined, before: args, after: [] }
}

const VERSION_FLAGS: ReadonlySet<string> = new Set(['--version', '-V'])
const COMMAND_WORD = /^[a-z][a-z-]*$/
const LITERALS: ReadonlySet<string> = new Set([
  'true', 'false', 'null', 'undefined', 'dc', 'range', 'from', 'load', 'explain', 'mac',
  'global', 'pools', 'elasticities', 'highAvailabilities', 'pms', 'vmms', 'vms', 'images', 'volumes', 'networks', 'switches', 'ports', 'snapshots',
])

/** A lone lower-case word that means nothing in an expression: a command mistyped. */
const isMistyped = (word: string, rest: readonly string[]): boolean =>
  COMMAND_WORD.test(word) && !LITERALS.has(word) && !(word in globalThis) && (rest.length === 0 || rest.every((r) => r.startsWith('-')) || nearest(word, commandNames()) !== undefined)

const commandNames = (): string[] => COMMANDS.flatMap((c) => [c.name, ...(c.aliases ?? [])])

/** `kumoi vm create ...`: the second word names the command; without one the group shows what it has. */
async function chooseOfGroup(group: RegistryEntry, commands: readonly RegistryEntry[], before: readonly string[], rest: readonly string[]): Promise<Chosen> {
  const { word, before: between, after } = splitArgs(rest)
  if (word === undefined) return { spec: await group.load(), args: [...before, ...rest] }
  const entry = commands.find(({ name }) => name === `${group.name} ${word}`)
  if (entry !== undefined) return { spec: await entry.load(), args: [...before, ...between, ...after] }
  // What looked like a second word is an option's value.
  if (group.itself === true && rest[0]?.startsWith('-') === true) return { spec: await group.load(), args: [...before, ...rest] }
  const names = commands.map(({ name }) => name.slice(group.name.length + 1))
  const guess = nearest(word, names)
  throw CLI.USAGE({ problem: `kumoi ${group.name}: there is no "${word}"${guess === undefined ? '' : `; did you mean \`kumoi ${group.name} ${guess}\`?`}`, hint: `It has: ${names.join(', ')}. See \`kumoi ${group.name} --help\`.` })
}

interface Chosen { readonly spec: AnyCommand; readonly args: readonly string[] }

async function choose(args: readonly string[]): Promise<Chosen> {
  const { word, dashed, before, after } = splitArgs(args)
  const load = async (name: string): Promise<AnyCommand> => {
    const entry = COMMANDS.find((c) => c.name === name || c.aliases?.includes(name) === true)
    if (entry === undefined) throw new Error(`no command ${name} in the registry`)
    return entry.load()
  }
  if (word === undefined) {
    // `kumoi` alone and `kumoi --help`; a stray option is still refused, by `help`'s own table.
    return { spec: await load('help'), args: before.filter((a) => a !== '--help' && a !== '-h') }
  }
  const evaluate = async (): Promise<Chosen> => ({ spec: await load('eval'), args: [...before, ...(dashed === true ? ['--'] : []), word, ...after] })
  if (dashed === true) return evaluate()
  const entry = COMMANDS.find((c) => c.name === word || c.aliases?.includes(word) === true)
  if (entry?.commands !== undefined) return chooseOfGroup(entry, entry.commands, before, after)
  if (entry !== undefined) return { spec: await entry.load(), args: [...before, ...after] }
  if (isMistyped(word, after)) {
    const guess = nearest(word, commandNames())
    throw CLI.USAGE({ problem: `kumoi: there is no command "${word}"${guess === undefined ? '' : `; did you mean \`kumoi ${guess}\`?`}`, hint: 'See `kumoi --help`. An expression goes in quotes: kumoi \'pms.dmap(pm => pm.name)\'.' })
  }
  return evaluate()
}

function settingsOf(options: OptionValues<typeof GLOBAL_OPTIONS>, env: World['env']): Settings {
  return {
    data: dataDirectory(options.data, env),
    json: options.json === true, merge: options.merge === true, quiet: options.quiet === true, verbose: options.verbose === true,
    color: options.color !== false, timeoutMs: options.timeout, as: options.as,
    socket: socketPath(options.socket, env), login: options.admin !== true, config: configDirectory(env),
  }
}

/** Runs one command line to its exit status; never rejects. */
export async function main(args: readonly string[], world: World, hooks: { readonly exit: (status: number) => void; readonly onInterrupt?: (interrupt: Interrupt) => void }): Promise<number> {
  let out = new Output(world, { ...settingsOf({}, world.env), json: args.includes('--json'), verbose: args.includes('--verbose'), color: !args.includes('--no-color') })
  const interrupt = new Interrupt({ clock: world.clock, exit: hooks.exit })
  hooks.onInterrupt?.(interrupt)
  try {
    if (VERSION_FLAGS.has(args[0] ?? '')) {
      world.stdout.write(`${world.version}\n`)
      return EXIT.done
    }
    const { spec, args: own } = await choose(args)
    const parsed = parse(spec, own)
    if (parsed === 'help') {
      world.stdout.write(helpOf(spec, world.stdout.columns || 100))
      return EXIT.done
    }
    const settings = settingsOf(parsed.options as OptionValues<typeof GLOBAL_OPTIONS>, world.env)
    out = new Output(world, settings)
    if (settings.timeoutMs !== undefined) interrupt.limit(settings.timeoutMs)
    const shell: Shell = { world, settings, out, interrupt }
    return await spec.run(shell, parsed.operands, parsed.options)
  } catch (error) {
    const cause = interrupt.signal.aborted ? withOutcomes(interrupt.signal.reason, error) : error
    out.progress.stop()
    if (exitStatusOf(cause) === EXIT.interrupted) {
      out.note('interrupted')
      return interrupt.status
    }
    out.error(cause)
    return exitStatusOf(cause)
  } finally {
    out.progress.stop()
    interrupt.done()
  }
}

/** What the work's own error knows of each element belongs under the reason that ended it. */
function withOutcomes(reason: unknown, error: unknown): unknown {
  const outcomes = outcomesOf(error)
  return outcomes === undefined || !(reason instanceof Error) ? reason : Object.assign(reason, { outcomes })
}

export interface Place { readonly packageRoot: string; readonly version: string; readonly launcher: string }

/** The real world; called by the launcher. */
export async function start(args: readonly string[], place: Place): Promise<void> {
  const world: World = {
    stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: process.env, clock: systemClock, ...place,
    kali: async (): Promise<Kali> => import('../kali/mod.ts'),
  }
  const leave = (status: number): void => process.exit(status)
  // The reader went away (`| head -1`): nothing is left to say, and nobody to say it to.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => { if (error.code === 'EPIPE') leave(EXIT.done) })
  process.stderr.on('error', () => {})
  const status = await main(args, world, {
    exit: leave,
    onInterrupt: (interrupt) => {
      process.on('SIGINT', () => interrupt.press(EXIT.interrupted))
      process.on('SIGTERM', () => interrupt.press(EXIT.terminated))
      process.on('SIGHUP', () => interrupt.press(EXIT.terminated))
    },
  })
  // Whatever an expression left running (a timer, a socket) does not keep the shell: its answer is out.
  process.stdout.write('', () => process.stderr.write('', () => leave(status)))
}

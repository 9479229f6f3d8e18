// `kumoi help [COMMAND]`, `kumoi --help`, `kumoi`: the overview with the README's examples.

import { defineCommand, examplesText, GLOBAL_OPTIONS, helpOf } from '../command.ts'
import { CLI, EXIT } from '../errors.ts'
import { nearest } from '../suggest.ts'
import { everyCommand, SECTIONS } from './index.ts'

const EXAMPLES = [
  { command: 'kumoi up --name alpha --listen 10.0.0.1 --detach', does: 'first node: makes the fabric' },
  { command: 'kumoi ticket', does: 'prints what a joiner needs' },
  { command: 'kumoi up --name beta --join <ticket> --detach', does: 'on another machine' },
  { command: 'kumoi nodes', does: 'name, state, address, cpu, memory, version, since' },
  { command: "kumoi 'pms.dmap(pm => pm.name)'", does: 'ask every machine' },
  { command: "kumoi --json 'pms.dfilter(pm => pm.cpuRatio < 0.5).dmap(pm => pm.name)'", does: 'as JSON' },
  { command: "kumoi 'const limit = 0.9; pms.dfilter(pm => pm.memoryFreeRatio < 1 - limit).dmap(pm => pm.name)'", does: 'with a captured variable' },
  { command: "kumoi \"pms.dmap(pm => pm.exec('uname', ['-r'])).settled()\"", does: 'what became of each' },
  { command: "kumoi 'range(1e6).dmap(x => x * x).dreduce((a, b) => a + b)'", does: 'spare cores' },
  { command: 'kumoi run report.ts --since yesterday', does: 'a script' },
  { command: 'kumoi deploy hot.ts', does: 'a function that stays' },
  { command: "kumoi invoke hot-machines --payload '{\"limit\": 0.5}'", does: 'call it by its name' },
  { command: 'kumoi rollback hot-machines', does: 'the version before' },
  { command: 'kumoi repl', does: 'interactive' },
  { command: 'kumoi down', does: 'leave cleanly' },
  { command: 'kumoi doctor', does: 'check this machine' },
] as const

export const helpCommand = defineCommand({
  name: 'help',
  summary: 'Show help, of everything or of one command',
  operands: '[command...]',
  options: {},
  examples: [{ command: 'kumoi help nodes', does: 'the same as kumoi nodes --help' }],
  output: 'text',
  async run({ world }, words) {
    const topic = words.length === 0 ? undefined : words.join(' ')
    if (topic === undefined) {
      world.stdout.write(await overview(world.version))
      return EXIT.done
    }
    const entry = everyCommand().find((c) => c.name === topic || c.aliases?.includes(topic) === true)
    if (entry === undefined) {
      const guess = nearest(topic, everyCommand().map((c) => c.name))
      throw CLI.USAGE({ problem: `kumoi help: there is no command "${topic}"${guess === undefined ? '' : `; did you mean "${guess}"?`}`, hint: 'See `kumoi --help`.' })
    }
    world.stdout.write(helpOf(await entry.load(), world.stdout.columns || 100))
    return EXIT.done
  },
})

async function overview(version: string): Promise<string> {
  const sections = await Promise.all(SECTIONS.map(async ({ title, commands }) => {
    const specs = await Promise.all(commands.map((c) => c.load()))
    return [`${title}:`, ...specs.map((spec) => `  ${spec.name.padEnd(12)}${spec.summary}`), '']
  }))
  const options = Object.values(GLOBAL_OPTIONS).map((o) => `  ${o.flags.padEnd(18)}${o.help}`)
  return [
    `kumoi ${version}: a data center as one programmable collection`, '',
    "Usage: kumoi [options] 'EXPRESSION'", '       kumoi [options] COMMAND ...', '',
    ...sections.flat(), 'Global options:', ...options, '',
    'Examples:', examplesText(EXAMPLES), '',
    'Exit status: 0 done, 1 the expression threw or an element failed, 2 wrong usage, 3 no node to talk to, 130 interrupted.',
    'More: kumoi help COMMAND', '',
  ].join('\n')
}

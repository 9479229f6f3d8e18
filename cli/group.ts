// A group of commands (`kumoi vm`): alone it lists what it has.

import { defineCommand, examplesText } from './command.ts'
import type { AnyCommand } from './command.ts'
import type { RegistryEntry } from './commands/index.ts'
import { EXIT } from './errors.ts'

export const groupCommand = (name: string, summary: string, commands: readonly RegistryEntry[]): AnyCommand => defineCommand({
  name, summary,
  operands: '[command]',
  details: `Commands: ${commands.map((entry) => entry.name.slice(name.length + 1)).join(', ')}.`,
  options: {},
  examples: [{ command: `kumoi ${name}`, does: 'its commands, with an example of each' }, { command: `kumoi help ${commands[0]?.name ?? name}`, does: 'one of them' }],
  output: 'text',
  async run({ world }) {
    const specs = await Promise.all(commands.map((entry) => entry.load()))
    const widest = Math.max(...specs.map((spec) => spec.name.length))
    const examples = specs.flatMap((spec) => spec.examples.slice(0, 1))
    world.stdout.write(`${summary}\n\n${specs.map((spec) => `  kumoi ${spec.name.padEnd(widest)}  ${spec.summary}`).join('\n')}\n\nExamples:\n${examplesText(examples)}\n`)
    return EXIT.done
  },
})

// `kumoi completion SHELL`: a script made from the registry.

import { defineCommand, GLOBAL_OPTIONS, longFlag } from '../command.ts'
import { completionScript, SHELLS } from '../completion.ts'
import type { CompletionEntry } from '../completion.ts'
import { CLI, EXIT } from '../errors.ts'
import { COMMANDS } from './index.ts'
import type { RegistryEntry } from './index.ts'

async function entryOf(entry: RegistryEntry): Promise<CompletionEntry> {
  const { name, summary, options } = await entry.load()
  const flags = [...Object.values(options), ...Object.values(GLOBAL_OPTIONS)].map((o) => longFlag(o.flags))
  return { name, summary, flags, ...(entry.commands === undefined ? {} : { commands: await Promise.all(entry.commands.map(entryOf)) }) }
}

export const completionCommand = defineCommand({
  name: 'completion',
  summary: 'Print a completion script for bash, zsh or fish',
  operands: '<shell>',
  options: {},
  examples: [
    { command: 'source <(kumoi completion bash)', does: 'in ~/.bashrc' },
    { command: 'kumoi completion fish > ~/.config/fish/completions/kumoi.fish', does: 'for fish' },
  ],
  output: 'text',
  async run({ world }, [name = '']) {
    const shell = SHELLS.find((s) => s === name)
    if (shell === undefined) throw CLI.USAGE({ problem: `kumoi completion: no script for "${name}"`, hint: `Choose ${SHELLS.join(', ')}.` })
    world.stdout.write(completionScript(shell, await Promise.all(COMMANDS.map(entryOf))))
    return EXIT.done
  },
})

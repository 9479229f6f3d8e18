// `kumoi completion SHELL`: a script made from the registry.

import { defineCommand, GLOBAL_OPTIONS, longFlag } from '../command.ts'
import { completionScript, SHELLS } from '../completion.ts'
import { CLI, EXIT } from '../errors.ts'
import { COMMANDS } from './index.ts'

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
    const specs = await Promise.all(COMMANDS.map((c) => c.load()))
    world.stdout.write(completionScript(shell, specs.map((spec) => ({
      name: spec.name, summary: spec.summary,
      flags: [...Object.values(spec.options), ...Object.values(GLOBAL_OPTIONS)].map((o) => longFlag(o.flags)),
    }))))
    return EXIT.done
  },
})

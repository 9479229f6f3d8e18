// `kumoi explain 'FN'`: the manifest of a function, without sending it anywhere.

import { defineCommand } from '../command.ts'
import { CLI, EXIT } from '../errors.ts'
import { Evaluator } from '../evaluate.ts'
import { bindingsOf } from '../expression.ts'
import { manifestText } from '../render/manifest.ts'
import { withDataCenter } from '../session.ts'

export const explainCommand = defineCommand({
  name: 'explain',
  summary: 'Show what a function would carry with it; nothing is sent',
  operands: '<function>',
  options: {},
  examples: [
    { command: "kumoi explain 'pm => pm.name'", does: 'code hash, captured values, bytes' },
    { command: "kumoi explain 'const limit = 0.9; pm => pm.cpuRatio > limit'", does: 'with a captured variable' },
  ],
  output: 'value',
  run: (shell, [text = '']) => withDataCenter(shell, async (dc) => {
    const evaluator = new Evaluator(await bindingsOf(dc), 'kumoi:expression')
    try {
      await evaluator.open()
      const completion = await evaluator.run(text, { timeoutMs: shell.settings.timeoutMs })
      const fn = completion?.value
      if (typeof fn !== 'function') throw CLI.NOT_A_FUNCTION({ type: fn === null ? 'null' : typeof fn })
      const manifest = dc.explain(fn as (...args: never[]) => unknown)
      shell.out.result(manifest, (layout) => manifestText(manifest, layout))
      return EXIT.done
    } finally {
      evaluator.close()
    }
  }),
})

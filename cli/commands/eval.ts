// `kumoi 'EXPRESSION'`, the default command: read, connect, evaluate (cli/evaluate.ts), show.

import type { DataCenter } from '../../kali/contract.ts'
import { defineCommand } from '../command.ts'
import { CLI, EXIT } from '../errors.ts'
import { Evaluator } from '../evaluate.ts'
import { bindingsOf, settleAssignments, show } from '../expression.ts'
import { noteDead } from '../objects.ts'
import { JSON_RULES } from '../render/json.ts'
import { withDataCenter } from '../session.ts'
import type { Shell } from '../session.ts'
import { toScript } from '../source.ts'
import { readAll } from '../world.ts'

export const evaluateCommand = defineCommand({
  name: 'eval',
  summary: 'Evaluate a TypeScript expression over the fabric (the default command)',
  operands: '<expression>',
  details: [
    'pms (every machine), vms, images and the collections of all other kinds, range, from, load, dc, explain and',
    'what makes devices (FileDiskAuto, Bridge, mac, ...) are there. Statements are allowed: the value of the',
    'last expression counts, and it is awaited. "-" reads the text from standard input.',
    '', 'With --json:', ...JSON_RULES.map((rule) => `  ${rule}`),
  ].join('\n'),
  options: {},
  examples: [
    { command: "kumoi 'pms.dmap(pm => pm.name)'", does: 'the name of every machine' },
    { command: "kumoi --json 'pms.dfilter(pm => pm.cpuRatio < 0.5).dmap(pm => pm.name)'", does: 'as JSON' },
    { command: "kumoi --merge \"pms.dmap(pm => pm.exec('uname', ['-r']))\"", does: 'equal answers once' },
  ],
  output: 'value',
  async run(shell, [given = '']) {
    const text = given === '-' ? await readAll(shell.world.stdin) : given
    if (text.trim() === '') throw CLI.USAGE({ problem: 'kumoi: the expression is empty', hint: "Write one, in quotes: kumoi 'pms.dmap(pm => pm.name)'." })
    // A text that cannot be read need not wait for a connection.
    const script = toScript(text)
    if (script.incomplete) throw script.error
    return withDataCenter(shell, async (dc) => {
      const evaluator = new Evaluator(await bindingsOf(dc), 'kumoi:expression')
      // One value on stdout and nothing else: what the text prints itself is for people.
      const restore = shell.settings.json ? printAside() : undefined
      try {
        await evaluator.open()
        const status = await settling(dc, shell, async () => {
          const completion = await evaluator.run(text, { timeoutMs: shell.settings.timeoutMs })
          return show(completion?.value, shell.out, shell.settings)
        })
        if (/\bpms\b/.test(text)) await noteDead(dc, shell.out)
        return status
      } finally {
        evaluator.close()
        restore?.()
      }
    })
  },
})

/** The text's own status, or that of assignments that failed without anybody being told; they are waited for in any case. */
async function settling(dc: DataCenter, shell: Shell, work: () => Promise<number>): Promise<number> {
  let status: number = EXIT.failed
  try {
    status = await work()
  } finally {
    const assigned = await settleAssignments(dc, shell.out)
    if (status === EXIT.done) status = assigned
  }
  return status
}

/** Sends the console's stdout methods to stderr; answers how to undo it. */
function printAside(): () => void {
  const { log, info, debug, dir } = console
  console.log = console.info = console.debug = console.error
  console.dir = (value) => console.error(value)
  return () => Object.assign(console, { log, info, debug, dir })
}

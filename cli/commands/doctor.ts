// `kumoi doctor`: the checks are in cli/doctor.ts.

import { defineCommand, text } from '../command.ts'
import { EXIT } from '../errors.ts'
import { examine } from '../doctor.ts'
import { table } from '../render/table.ts'
import type { Column } from '../render/table.ts'

const COLUMNS: readonly Column[] = [
  { title: '', paint: (cell, style) => (cell.trim() === 'ok' ? style.green(cell) : cell.trim() === 'warn' ? style.yellow(cell) : style.red(cell)) },
  { title: 'check' }, { title: 'found' }, { title: 'what to do' },
]

export const doctorCommand = defineCommand({
  name: 'doctor',
  summary: 'Check this machine and say what to install or open',
  operands: '',
  details: 'Exit status 1 when a check fails; warnings do not count.',
  options: { listen: { flags: '--listen <address>', help: 'address a node here would listen on (default: 127.0.0.1)', parse: text } },
  examples: [{ command: 'kumoi doctor', does: 'before the first `kumoi up`' }, { command: 'kumoi doctor --listen 10.0.0.1:4000', does: 'can that address be served?' }],
  output: 'value',
  async run(shell, _operands, { listen }) {
    const findings = await shell.interrupt.race(examine(shell, { listen: listen ?? '127.0.0.1' }))
    shell.out.result(findings, (layout) =>
      table(COLUMNS, findings.map((f) => [f.verdict, f.check, f.found, f.advice ?? '']), { ...layout, columns: undefined }))
    return findings.some((f) => f.verdict === 'fail') ? EXIT.failed : EXIT.done
  },
})

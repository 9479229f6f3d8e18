// `kumoi logs NAME`: lines of deployed functions from all nodes, the last ones first, then, with --follow, as they come.

import { LIMITS } from '../../fabric/base.ts'
import type { LogLine } from '../../functions/mod.ts'
import { choice, defineCommand, integer, text } from '../command.ts'
import { EXIT } from '../errors.ts'
import { logText } from '../render/log-line.ts'
import { toJson } from '../render/json.ts'
import { withDataCenter } from '../session.ts'
import { unknownFunction } from '../unknown-function.ts'

const LEVELS = ['debug', 'info', 'warn', 'error', 'system'] as const satisfies readonly LogLine['level'][]
const levelName = choice(...LEVELS)
const lineCount = integer(0, LIMITS.logRingLinesMax)

export const logsCommand = defineCommand({
  name: 'logs',
  summary: 'Show what deployed functions log, on all nodes',
  operands: '[name]',
  details: 'Each node keeps the last lines of its functions in memory, until it restarts. Lines of level "system" are about a function or a node, not by it.',
  options: {
    follow: { flags: '--follow', help: 'stay and show lines as they come, until Ctrl-C' },
    call: { flags: '--call <id>', help: 'of one call, on whichever nodes it ran', parse: text },
    level: { flags: '--level <level>', help: `this level and above: ${LEVELS.join(', ')}`, parse: levelName },
    lines: { flags: '--lines <n>', help: 'last lines to show (default: 100)', parse: lineCount },
  },
  examples: [
    { command: 'kumoi logs hot-machines --follow', does: 'time, node, level, text' },
    { command: 'kumoi logs --level warn', does: 'warnings and errors of all functions' },
    { command: 'kumoi --json logs hot-machines --follow | jq .fields', does: 'one JSON object a line' },
  ],
  output: 'value',
  run: (shell, [name], { follow, call, level, lines }) => withDataCenter(shell, async (dc) => {
    const { world: { stdout }, settings: { json }, interrupt, out } = shell
    // Lines outlive their function, and one may wait for the first of a function that is still to come.
    const unknown = name === undefined ? undefined : await unknownFunction(dc, name)
    if (unknown !== undefined && follow === true) out.warn(unknown.message)
    const found = dc.functions.logs({
      signal: interrupt.signal, follow: follow === true,
      ...(name === undefined ? {} : { name }), ...(call === undefined ? {} : { callId: call }), ...(level === undefined ? {} : { level }), ...(lines === undefined ? {} : { lines }),
    })
    let shown = 0
    for await (const line of found) {
      // A word about a node is no line of a function.
      if (line.name !== '' || line.callId !== '') shown++
      stdout.write(`${json ? toJson(line) : logText(line, { style: out.style, withName: name === undefined })}\n`)
    }
    if (shown === 0 && unknown !== undefined && follow !== true) throw unknown
    if (shown === 0 && !json) out.note(name === undefined ? 'No lines.' : `No lines of ${name}. Lines are kept until their node restarts.`)
    return interrupt.signal.aborted ? interrupt.status : EXIT.done
  }),
})

// `kumoi audit`: what was done and refused, by whom, on all nodes, then, with --follow, as it happens.

import { LIMITS } from '../../../fabric/base.ts'
import { defineCommand, durationMs, integer, text } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { auditText } from '../../render/audit.ts'
import { toJson } from '../../render/json.ts'
import { withDataCenter } from '../../session.ts'

const count = integer(1, LIMITS.auditAnswerMax)

export const auditCommand = defineCommand({
  name: 'audit',
  summary: 'Show what was done and what was refused, by whom, on all nodes',
  operands: '',
  details: 'Each node keeps a record before each privileged act and one after it, each chained to the one before. `kumoi audit verify` says whether somebody changed them. It needs the right audit:read on the fabric, or *:administer on the object.',
  options: {
    object: { flags: '--object <object>', help: 'of one object: vm:web1, VM/UUID, function/NAME, user/alice', parse: text },
    user: { flags: '--user <user>', help: 'of one user, and of what acts in his name; local:0 is a machine\'s administrator', parse: text },
    node: { flags: '--node <node>', help: 'of one node\'s log', parse: text },
    since: { flags: '--since <time>', help: 'not older than this: 10m, 1h, 7d', parse: durationMs },
    lines: { flags: '--lines <n>', help: `newest records to show, at most ${LIMITS.auditAnswerMax} (default: 100)`, parse: count },
    follow: { flags: '--follow', help: 'stay and show records as they come, until Ctrl-C' },
  },
  examples: [
    { command: 'kumoi audit --object vm:web1 --follow', does: 'time, node and record, who, verb, object, outcome' },
    { command: 'kumoi audit --user alice --since 1h', does: 'what alice did, and was refused' },
    { command: 'kumoi --json audit --since 7d | jq -r .verb', does: 'one JSON object a line' },
  ],
  output: 'value',
  run: (shell, _operands, { object, user, node, since, lines, follow }) => withDataCenter(shell, async (dc) => {
    const { world: { stdout, clock }, settings: { json }, interrupt, out } = shell
    const found = dc.audit.list({
      signal: interrupt.signal, follow: follow === true,
      ...(object === undefined ? {} : { object }), ...(user === undefined ? {} : { user }), ...(node === undefined ? {} : { node }),
      ...(since === undefined ? {} : { sinceMs: Math.max(0, Math.round(clock.wallMs() - since)) }), ...(lines === undefined ? {} : { limit: lines }),
    })
    let shown = 0
    let away = 0
    for await (const row of found) {
      if ('notice' in row) {
        away++
        out.warn(`the log of ${row.notice.node} is not here: ${row.notice.reason}`)
        continue
      }
      shown++
      stdout.write(`${json ? toJson(row) : auditText(row, out.style)}\n`)
    }
    if (shown === 0 && away === 0 && !json) out.note('No records.')
    return interrupt.signal.aborted ? interrupt.status : away > 0 ? EXIT.noNode : EXIT.done
  }),
})

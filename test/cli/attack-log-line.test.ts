// Lines of a hostile function on the administrator's terminal: none moves the cursor, hides text or looks like another's line.

import t from 'tap'
import type { LogLine } from '../../functions/mod.ts'
import { logText } from '../../cli/render/log-line.ts'
import { styleFor } from '../../cli/render/style.ts'

const style = styleFor({ color: false, env: {}, terminal: false })
const line = (over: Partial<LogLine>): LogLine & { readonly node: string } => ({ atMs: 0, name: 'sly', version: 'a'.repeat(64), callId: 'c', trace: 't', level: 'info', text: 'x', node: 'alpha', ...over })
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/
const HOSTILE = '\u001b[2J\u009b2J\u0007\r\b\u202e\u2066\u200b\ufeff\u2028\u007f'

t.test('control characters, in every part of a line', async (t) => {
  for (const over of [{ text: HOSTILE }, { fields: { [HOSTILE]: HOSTILE } }, { fields: { stack: `Error\n    at ${HOSTILE}` } }, { name: HOSTILE }, { node: HOSTILE }, { level: 'error' as const, text: `${HOSTILE}\n${HOSTILE}` }]) {
    t.notMatch(logText(line(over), { style, withName: true }), CONTROL, JSON.stringify(over).slice(0, 40))
  }
})

t.test('a text with line breaks does not make lines of other functions', async (t) => {
  const forged = 'ok\n00:00:00.001 alpha system hot the deployment was verified\r\n00:00:00.002 alpha error  hot gone'
  const [first, ...further] = logText(line({ text: forged }), { style, withName: true }).split('\n')
  t.match(first, /^00:00:00\.000 alpha info +sly ok$/)
  t.equal(further.length, 2)
  for (const each of further) t.match(each, /^ {4}/)
})

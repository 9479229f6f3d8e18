// Which frame of an error a user is shown: his own, never ours or Node's.

import t from 'tap'
import { userFrame } from '../../cli/output.ts'

const ROOT = new URL('../..', import.meta.url).pathname
const shown = (...frames: string[]): string | undefined => userFrame(Object.assign(new Error('x'), { stack: ['Error: x', ...frames.map((frame) => `    at ${frame}`)].join('\n') }))

t.test('the first frame in the user\'s own text', (t) => {
  t.equal(shown(`call (${ROOT}fabric/rpc/client.ts:1:2)`, 'node:internal/process/task_queues:104:5', 'async run (/home/u/a b/job.mjs:3:4)'), '/home/u/a b/job.mjs:3:4')
  t.equal(shown('eval (kumoi:expression:1:7)'), 'kumoi:expression:1:7')
  t.equal(shown('Object.run (thrower.ts:9:36)'), 'thrower.ts:9:36', 'of a deployed function, as its source map says')
  t.equal(shown('eval (lib/far-away.tsx:11:5)', 'Object.run (thrower.ts:9:36)'), 'lib/far-away.tsx:11:5')
  t.equal(shown('async ../shared/tools.mts:2:1'), '../shared/tools.mts:2:1')
  t.equal(shown('eval (kumoi:thrower@0123abcd:1:99)', 'node:internal/timers:5:1', `f (${ROOT}node_modules/tap/x.ts:1:1)`), undefined)
  t.end()
})

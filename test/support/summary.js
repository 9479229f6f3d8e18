// Prints the line that CI reads, `N passed, N failed, N skipped`, from tap's own final count; under CI a
// test skipped because a component is absent is a failure.

import { readFileSync } from 'node:fs'

/** Of one failed point: message, difference, stack. */
const DETAIL_LINES = 60

const text = readFileSync(process.argv[2], 'utf8')
const last = [...text.matchAll(/^# \{ total: (\d+)(.*)\}$/gm)].at(-1)
if (last === null || last === undefined) {
  console.log('no count from tap')
  process.exit(1)
}
const figure = (name) => Number(new RegExp(`${name}: (\\d+)`).exec(last[2])?.[1] ?? 0)
// What failed, once more, where a log that is cut in the middle still shows it: the innermost points, with their details.
const lines = text.split('\n')
for (const [at, line] of lines.entries()) {
  const found = /^(\s*)not ok \d+/.exec(line)
  if (found === null || lines.slice(Math.max(0, at - 1), at).some((above) => /^\s+1\.\.\d+|^\s+# time=/.test(above))) continue
  const rest = lines.slice(at + 1, at + 1 + DETAIL_LINES)
  const end = rest.findIndex((below) => /^\s*\.\.\.\s*$/.test(below))
  const file = /^# Subtest: (.*)$/.exec(lines.slice(0, at).findLast((above) => above.startsWith('# Subtest: ')) ?? '')?.[1] ?? ''
  console.log([`failed in ${file}:`, line, ...(end === -1 ? rest : rest.slice(0, end + 1))].join('\n'))
}
const skips = [...text.matchAll(/^\s*ok \d+ .*# SKIP (.*)$/gm)].map((match) => match[1])
for (const reason of skips) console.log(`skipped: ${reason}`)
console.log(`${figure('pass')} passed, ${figure('fail')} failed, ${figure('skip')} skipped`)
const absent = skips.filter((reason) => /absent|not installed|needs root|no such component/i.test(reason))
process.exit(figure('fail') > 0 || figure('pass') === 0 || (process.env.CI === 'true' && absent.length > 0) ? 1 : 0)

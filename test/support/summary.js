// Prints the line that CI reads, `N passed, N failed, N skipped`, from tap's own final count; under CI a
// test skipped because a component is absent is a failure.

import { readFileSync } from 'node:fs'

const text = readFileSync(process.argv[2], 'utf8')
const last = [...text.matchAll(/^# \{ total: (\d+)(.*)\}$/gm)].at(-1)
if (last === null || last === undefined) {
  console.log('no count from tap')
  process.exit(1)
}
const figure = (name) => Number(new RegExp(`${name}: (\\d+)`).exec(last[2])?.[1] ?? 0)
const skips = [...text.matchAll(/^\s*ok \d+ .*# SKIP (.*)$/gm)].map((match) => match[1])
for (const reason of skips) console.log(`skipped: ${reason}`)
console.log(`${figure('pass')} passed, ${figure('fail')} failed, ${figure('skip')} skipped`)
const absent = skips.filter((reason) => /absent|not installed|needs root|no such component/i.test(reason))
process.exit(figure('fail') > 0 || figure('pass') === 0 || (process.env.CI === 'true' && absent.length > 0) ? 1 : 0)

// The stand-in for a host's first process takes orphans in and reaps them, whatever the machine's own first process does.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { missingFor } from '../../../cli/lab/requirements.ts'
import { until } from '../../support/until.ts'

const REAPER = fileURLToPath(new URL('../../../cli/lab/reaper.pl', import.meta.url))
const perlIsMissing = (await missingFor('linux')).some(({ program }) => program === 'perl')
const skip = process.platform !== 'linux' ? 'absent: Linux' : perlIsMissing ? 'absent: perl' : false

test('an orphan is the reaper\'s, and gone as soon as it ends', { skip }, async (t) => {
  // The program outlives its orphan: what is gone then was reaped, not swept out with everything.
  const child = spawn('perl', [REAPER, 'sh', '-c', '(sleep 1000 & echo $!); read -r _; exit 7'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit') as Promise<[number | null]>
  const [line] = await once(createInterface({ input: child.stdout }), 'line') as [string]
  const orphan = Number(line)
  t.teardown(() => { try { process.kill(orphan, 'SIGKILL') } catch { /* ended */ } child.kill('SIGKILL') })
  await until('it is taken in', () => new RegExp(`^PPid:\\s*${child.pid}$`, 'm').test(readFileSync(`/proc/${orphan}/status`, 'utf8')))
  process.kill(orphan, 'SIGKILL')
  await until('it is reaped', () => !existsSync(`/proc/${orphan}`))
  child.stdin.end()
  t.equal((await ended)[0], 7, 'its own status is the program\'s')
})

test('a program that is ended, or is not there', { skip }, async (t) => {
  const statusOf = async (...command: readonly string[]): Promise<unknown> => (await once(spawn('perl', [REAPER, ...command], { stdio: 'ignore' }), 'exit'))[0]
  t.equal(await statusOf('sh', '-c', 'kill -9 $$'), 137)
  t.equal(await statusOf('/nothing/here'), 127)
})

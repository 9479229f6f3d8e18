// A process that ends while its libvirt event thread starts: the thread sleeps in C before anybody can wake it, and a process
// joins its threads when it exits. (As `kumoi down` right after `kumoi up` on a busy machine: the node said "down" and stayed.)

import { join } from 'node:path'
import t from 'tap'
import { libvirtInstalled } from '../../../../kali/hosts.ts'
import { runProgram } from '../../../support/processes.ts'
import type { RunResult } from '../../../support/processes.ts'

t.setTimeout(180_000)
const PROGRAM = join(import.meta.dirname, 'exit.program.ts')
/** Far more than the thread needs to start. */
const STARTED_MS = 2_000
const HUNG_MS = 30_000

async function ended(...moment: string[]): Promise<RunResult> {
  let killer: NodeJS.Timeout | undefined
  try {
    return await runProgram(process.execPath, ['--no-node-snapshot', '--disable-warning=ExperimentalWarning', PROGRAM, ...moment], { onStart: (child) => { killer = setTimeout(() => child.kill('SIGKILL'), HUNG_MS) } })
  } finally {
    clearTimeout(killer)
  }
}
const skip = libvirtInstalled() ? false : 'absent: libvirt.so.0'

t.test('it sleeps, and nobody has heard of it yet', { skip }, async (t) => {
  t.match(await ended('unheard', String(STARTED_MS)), { status: 7, signal: null })
})

t.test('it has just begun', { skip }, async (t) => {
  for (const waitMs of [0, 200]) t.match(await ended('unheard', String(waitMs)), { status: 7, signal: null })
})

t.test('it is at work', { skip }, async (t) => {
  t.match(await ended('at-work'), { status: 7, signal: null })
})

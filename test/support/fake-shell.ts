// Program: the shell of cli/main.ts over the fake fabric, as a process of its own (signals, streams).

import { CodedError, systemClock } from '../../fabric/base.ts'
import { main } from '../../cli/main.ts'
import { fakeKali } from './fake-datacenter.ts'
import { LAUNCHER, ROOT } from './shell-run.ts'

const refusal = process.env['FAKE_START_ERROR']
const { kali } = fakeKali({ pid: process.pid, ...(refusal === undefined ? {} : { startError: new CodedError(refusal, { code: 'FAKE_ERR' }) }) })
// A real node has sockets; the fake one must be kept alive.
if (process.argv[2] === 'up') setInterval(() => {}, 60_000)
process.exit(await main(process.argv.slice(2), {
  stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: process.env, clock: systemClock,
  packageRoot: ROOT, version: '0.0.0-fake', launcher: LAUNCHER, kali: async () => kali,
}, {
  exit: (status) => process.exit(status),
  onInterrupt: (interrupt) => { process.on('SIGINT', () => interrupt.press()) },
}))

// Program: the shell of cli/main.ts over the fake fabric, as a process of its own (signals, streams).

import { systemClock } from '../../fabric/base.ts'
import { main } from '../../cli/main.ts'
import { fakeKali } from './fake-datacenter.ts'
import { LAUNCHER, ROOT } from './shell-run.ts'

const { kali } = fakeKali()
process.exitCode = await main(process.argv.slice(2), {
  stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: process.env, clock: systemClock,
  packageRoot: ROOT, version: '0.0.0-fake', launcher: LAUNCHER, kali: async () => kali,
}, {
  exit: (status) => process.exit(status),
  onInterrupt: (interrupt) => { process.on('SIGINT', () => interrupt.press()) },
})

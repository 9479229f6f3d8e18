// `kumoi lab exec HOST -- CMD`: a program inside a host, with this terminal, and its exit status.

import { spawn } from 'node:child_process'

import { defineCommand } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { enter } from '../../lab/namespaces.ts'
import { hostOf } from '../../lab/record.ts'
import { LAB_OPTIONS, openLab } from '../../lab/shell.ts'

const SIGNAL_STATUS = 128

/** Same working directory as here, where the host has it; then the command in the shell's place. */
const IN_DIRECTORY = ['sh', '-c', 'cd "$0" 2>/dev/null; exec "$@"'] as const

export const execCommand = defineCommand({
  name: 'lab exec',
  summary: 'Run a program inside a host',
  operands: '<host> [command...]',
  details: 'In the host\'s namespaces, with KUMOI_DATA set to its node; in a memory lab only the latter.',
  options: LAB_OPTIONS,
  examples: [
    { command: 'kumoi lab exec host2 -- virsh list --all', does: 'what its libvirtd says' },
    { command: 'kumoi lab exec host2 -- ip address', does: 'its network' },
  ],
  output: 'text',
  async run(shell, [name, ...command], choice) {
    if (command.length === 0) throw CLI.USAGE({ problem: 'kumoi lab exec: which program?', hint: 'kumoi lab exec host1 -- virsh list' })
    const { record } = await openLab(shell, choice)
    const host = hostOf(record, name)
    const [file = '', ...args] = [...record.driver === 'libvirt' ? await enter({ record }, host.name) : [], ...IN_DIRECTORY, process.cwd(), ...command]
    const child = spawn(file, args, { stdio: 'inherit', env: { ...shell.world.env, KUMOI_DATA: host.data } })
    const stop = (): void => { child.kill('SIGTERM') }
    shell.interrupt.signal.addEventListener('abort', stop, { once: true })
    return new Promise<number>((resolve, reject) => {
      child.once('error', (error) => reject(CLI.LAB_FAILED({ step: `Running ${command[0] ?? ''} on ${host.name}`, reason: error.message })))
      child.once('close', (status, signal) => resolve(status ?? (signal === null ? EXIT.failed : SIGNAL_STATUS)))
    }).finally(() => shell.interrupt.signal.removeEventListener('abort', stop))
  },
})

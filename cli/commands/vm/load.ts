// `kumoi vm load FILE`: makes a VM of a dump.

import { readFile } from 'node:fs/promises'

import type { ObjectDump, VM } from '../../../rmo/mod.ts'
import { defineCommand, text } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { findVmm } from '../../objects.ts'
import { vmFields } from '../../render/vm.ts'
import { withDataCenter } from '../../session.ts'
import { readAll } from '../../world.ts'

export const loadCommand = defineCommand({
  name: 'vm load',
  summary: 'Make a virtual machine of a dump',
  operands: '<file>',
  options: {
    host: { flags: '--host <machine>', help: 'where it lives (default: the only machine with a hypervisor)', parse: text },
    fresh: { flags: '--fresh', help: 'with a new uuid, MAC addresses and instance id' },
    name: { flags: '--name <name>', help: 'another name', parse: text },
    start: { flags: '--start', help: 'start it now' },
  },
  examples: [{ command: 'kumoi vm load web1.json --host host2', does: 'the same VM again' }, { command: 'kumoi vm dump web1 | kumoi vm load - --fresh --name web9', does: 'another one like it' }],
  output: 'value',
  run: (shell, [file = ''], { host, fresh, name, start }) => withDataCenter(shell, async (dc) => {
    const content = file === '-' ? await readAll(shell.world.stdin) : await readFile(file, 'utf8').catch((cause: unknown) => { throw CLI.FILE_UNREADABLE({ file, reason: cause instanceof Error ? cause.message : String(cause) }) })
    let dump: ObjectDump
    try { dump = JSON.parse(content) as ObjectDump } catch { throw CLI.USAGE({ problem: `kumoi vm load: ${file === '-' ? 'standard input' : file} is not JSON`, hint: 'Give what `kumoi vm dump` printed.' }) }
    const vm = dc.load<VM>(dump, fresh === true ? { fresh } : {})
    if (name !== undefined) vm.name = name
    const made = await (await findVmm(dc, shell.out, host)).add(vm, { start: start === true })
    shell.out.result(made, (layout) => vmFields(made, layout.style))
    return EXIT.done
  }),
})

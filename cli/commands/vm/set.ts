// `kumoi vm set NAME key=value...`: a patch of settings, checked against the version that was read.

import { defineCommand, text } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { findVm } from '../../objects.ts'
import { withDataCenter } from '../../session.ts'

/** JSON where it reads as JSON, else text: memoryMiB=256, name=web2, labels={"tier":"front"}. */
function valueOf(written: string): unknown {
  try { return JSON.parse(written) as unknown } catch { return written }
}

export const setCommand = defineCommand({
  name: 'vm set',
  summary: 'Change settings of a virtual machine',
  operands: '<name> <changes...>',
  details: 'Settings: name, memoryMiB, vcpus, autostart, description, labels. If somebody else changed it since, nothing is changed and the exit status is 1.',
  options: { version: { flags: '--version <version>', help: 'change only this version (see `kumoi vm dump`); default: the present one', parse: text } },
  examples: [{ command: 'kumoi vm set web1 memoryMiB=256 description="front end"', does: 'two settings at once' }],
  output: 'value',
  run: (shell, [name = '', ...changes], options) => withDataCenter(shell, async (dc) => {
    const change = Object.fromEntries(changes.map((written) => {
      const at = written.indexOf('=')
      if (at < 1) throw CLI.USAGE({ problem: `kumoi vm set: "${written}" is no change`, hint: 'Write SETTING=VALUE.' })
      return [written.slice(0, at), valueOf(written.slice(at + 1))]
    }))
    const vm = await findVm(dc, shell.out, name)
    const version = options.version ?? (await vm.dump()).version
    const done = await vm.patch(change, { version })
    shell.out.result(done, () => `${vm.name} changed (version ${done.version})`)
    return EXIT.done
  }),
})

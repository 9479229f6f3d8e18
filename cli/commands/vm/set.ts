// `kumoi vm set NAME key=value...`: a patch of settings, checked against the version that was read.

import { defineCommand, text } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { findVm } from '../../objects.ts'
import { withDataCenter } from '../../session.ts'
import { nearest } from '../../suggest.ts'

const SETTINGS = ['name', 'memoryMiB', 'vcpus', 'autostart', 'description', 'labels'] as const

/** JSON where it reads as JSON, else text: memoryMiB=256, name=web2, labels={"tier":"front"}. */
function valueOf(written: string): unknown {
  try { return JSON.parse(written) as unknown } catch { return written }
}

/** A misspelt setting is told with its neighbour; what may be said of it is the machine's to check. */
async function refuseUnknown(settings: readonly string[]): Promise<void> {
  const { rmoKinds } = await import('../../../rmo/base.ts')
  const { settable = [] } = rmoKinds.kindOf('VM').shape
  const wrong = settings.find((setting) => !settable.includes(setting))
  if (wrong === undefined) return
  const near = nearest(wrong, SETTINGS) ?? SETTINGS.find((setting) => setting.toLowerCase().startsWith(wrong.toLowerCase()))
  throw CLI.USAGE({ problem: `kumoi vm set: a VM has no setting "${wrong}"${near === undefined ? '' : `; did you mean ${near}?`}`, hint: `Settings: ${SETTINGS.join(', ')}.` })
}

export const setCommand = defineCommand({
  name: 'vm set',
  summary: 'Change settings of a virtual machine',
  operands: '<name> <changes...>',
  details: `Settings: ${SETTINGS.join(', ')}. If somebody else changed it since, nothing is changed and the exit status is 1.`,
  options: { version: { flags: '--version <version>', help: 'change only this version (see `kumoi vm dump`); default: the present one', parse: text } },
  examples: [{ command: 'kumoi vm set web1 memoryMiB=256 description="front end"', does: 'two settings at once' }],
  output: 'value',
  run: (shell, [name = '', ...changes], options) => withDataCenter(shell, async (dc) => {
    const change = Object.fromEntries(changes.map((written) => {
      const at = written.indexOf('=')
      if (at < 1) throw CLI.USAGE({ problem: `kumoi vm set: "${written}" is no change`, hint: 'Write SETTING=VALUE.' })
      return [written.slice(0, at), valueOf(written.slice(at + 1))]
    }))
    await refuseUnknown(Object.keys(change))
    const vm = await findVm(dc, shell.out, name)
    const version = options.version ?? (await vm.dump()).version
    const done = await vm.patch(change, { version })
    shell.out.result(done, () => `${typeof change['name'] === 'string' ? change['name'] : vm.name} changed (version ${done.version})`)
    const resized = Object.keys(change).filter((setting) => setting === 'memoryMiB' || setting === 'vcpus')
    if (vm.state === 'running' && resized.length > 0) shell.out.note(`${vm.name} is running: ${resized.join(' and ')} may take effect at its next start only (\`kumoi vm show ${vm.name} --definition\` says what it has now).`)
    return EXIT.done
  }),
})

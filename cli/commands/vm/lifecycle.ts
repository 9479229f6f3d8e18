// `kumoi vm start|stop|destroy|suspend|resume|reboot|save NAME...`: one table, a command each. Several names are
// worked on side by side; each failure is told, and the exit status says that there was one.

import type { VM } from '../../../rmo/mod.ts'
import { defineCommand, durationMs } from '../../command.ts'
import type { AnyCommand, OptionTable } from '../../command.ts'
import { findVms } from '../../objects.ts'
import { withDataCenter } from '../../session.ts'
import { sideBySide } from '../../side-by-side.ts'

interface Options { readonly force?: boolean | undefined; readonly wait?: number | undefined }
interface Lifecycle { readonly summary: string; readonly doing: string; readonly done: string; readonly example: string; readonly options?: OptionTable; run(vm: VM, options: Options): Promise<void> }

const LIFECYCLE: Readonly<Record<string, Lifecycle>> = {
  start: { summary: 'Start virtual machines; a saved one goes on where it was', doing: 'starting', done: 'started', example: 'by its name', run: (vm) => vm.start() },
  stop: {
    summary: 'Ask virtual machines to shut down, and wait', doing: 'stopping', done: 'stopped', example: 'cleanly',
    options: {
      force: { flags: '--force', help: 'pull the plug of what has not stopped in time' },
      wait: { flags: '--wait <time>', help: 'how long the guest may take (default: 30s)', parse: durationMs },
    },
    run: (vm, { force, wait }) => vm.stop({ ...(force === true ? { force } : {}), ...(wait === undefined ? {} : { timeoutMs: wait }) }),
  },
  destroy: { summary: 'Pull the plug of virtual machines; they can be started again', doing: 'turning off', done: 'turned off', example: 'at once, without asking the guest', run: (vm) => vm.destroy() },
  suspend: { summary: 'Freeze virtual machines in memory', doing: 'suspending', done: 'suspended', example: 'frozen where it is', run: (vm) => vm.suspend() },
  resume: { summary: 'Let suspended virtual machines go on', doing: 'resuming', done: 'running', example: 'after suspend', run: (vm) => vm.resume() },
  reboot: { summary: 'Restart the guests', doing: 'rebooting', done: 'rebooting', example: 'asks the guest', run: (vm) => vm.reboot() },
  save: { summary: 'Write the memory of virtual machines to disk and stop them', doing: 'saving', done: 'saved', example: 'start goes on from there', run: (vm) => vm.save() },
}

export const lifecycleCommand = (verb: string): AnyCommand => {
  const lifecycle = LIFECYCLE[verb]
  if (lifecycle === undefined) throw new Error(`no lifecycle command ${verb}`)
  const { summary, doing, done, example, options, run } = lifecycle
  return defineCommand({
    name: `vm ${verb}`, summary,
    operands: '<names...>',
    options: options ?? {},
    examples: [{ command: `kumoi vm ${verb} web1`, does: example }, { command: `kumoi vm ${verb} web1 web2 host2/db1`, does: 'several, side by side' }],
    output: 'value',
    run: (shell, names, wishes: Options) => withDataCenter(shell, async (dc) =>
      sideBySide(shell, { objects: await findVms(dc, shell.out, names), doing, done, work: (vm) => run(vm, wishes) })),
  })
}

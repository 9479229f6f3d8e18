// `kumoi vm start|stop|destroy|suspend|resume|reboot|save NAME...`: one table, a command each. Several names are
// worked on side by side; each failure is told, and the exit status says that there was one.

import type { VM } from '../../../rmo/mod.ts'
import { defineCommand, durationMs } from '../../command.ts'
import type { AnyCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { findVm } from '../../objects.ts'
import { withDataCenter } from '../../session.ts'

interface Options { readonly force?: boolean | undefined; readonly wait?: number | undefined }
interface Lifecycle { readonly summary: string; readonly done: string; readonly example: string; run(vm: VM, options: Options): Promise<void> }

const LIFECYCLE: Readonly<Record<string, Lifecycle>> = {
  start: { summary: 'Start virtual machines; a saved one goes on where it was', done: 'started', example: 'by its name', run: (vm) => vm.start() },
  stop: {
    summary: 'Ask virtual machines to shut down, and wait', done: 'stopped', example: 'cleanly',
    run: (vm, { force, wait }) => vm.stop({ ...(force === true ? { force } : {}), ...(wait === undefined ? {} : { timeoutMs: wait }) }),
  },
  destroy: { summary: 'Pull the plug of virtual machines', done: 'off', example: 'at once, without asking the guest', run: (vm) => vm.destroy() },
  suspend: { summary: 'Freeze virtual machines in memory', done: 'suspended', example: 'frozen where it is', run: (vm) => vm.suspend() },
  resume: { summary: 'Let suspended virtual machines go on', done: 'running', example: 'after suspend', run: (vm) => vm.resume() },
  reboot: { summary: 'Restart the guests', done: 'rebooting', example: 'asks the guest', run: (vm) => vm.reboot() },
  save: { summary: 'Write the memory of virtual machines to disk and stop them', done: 'saved', example: 'start goes on from there', run: (vm) => vm.save() },
}

export const lifecycleCommand = (verb: string): AnyCommand => {
  const lifecycle = LIFECYCLE[verb]
  if (lifecycle === undefined) throw new Error(`no lifecycle command ${verb}`)
  return defineCommand({
    name: `vm ${verb}`,
    summary: lifecycle.summary,
    operands: '<names...>',
    options: {
      force: { flags: '--force', help: 'stop: pull the plug of what has not stopped in time' },
      wait: { flags: '--wait <time>', help: 'stop: how long the guest may take (default: 30s)', parse: durationMs },
    },
    examples: [{ command: `kumoi vm ${verb} web1`, does: lifecycle.example }, { command: `kumoi vm ${verb} web1 web2 host2/db1`, does: 'several, side by side' }],
    output: 'value',
    run: (shell, names, options) => withDataCenter(shell, async (dc) => {
      const vms: VM[] = []
      for (const name of names) vms.push(await findVm(dc, shell.out, name))
      const results = await Promise.allSettled(vms.map((vm) => lifecycle.run(vm, options)))
      const done = vms.flatMap((vm, i) => results[i]?.status === 'fulfilled' ? [{ name: vm.name, uuid: vm.uuid, [verb]: lifecycle.done }] : [])
      const failed = results.flatMap((result) => result.status === 'rejected' ? [result.reason as unknown] : [])
      if (failed.length === 1 && done.length === 0) throw failed[0]
      shell.out.result(done, () => done.length === 0 ? undefined : done.map(({ name }) => `${name} ${lifecycle.done}`).join('\n'))
      for (const error of failed) shell.out.error(error)
      return failed.length > 0 ? EXIT.failed : EXIT.done
    }),
  })
}

// `kumoi deploy FILE...`: checks a function's file, bundles it, and makes it stay.

import { defineCommand, integer, text } from '../command.ts'
import { CLI, EXIT } from '../errors.ts'
import { deployText } from '../render/function.ts'
import { withDataCenter } from '../session.ts'
import type { Shell } from '../session.ts'
import type { DeployOptions, DeployReport } from '../../functions/mod.ts'
import type { DataCenter } from '../../kali/contract.ts'

interface Wish { readonly file: string; readonly types: 'check' | 'skip'; readonly options: Omit<DeployOptions, 'onProgress'> }

async function deployFile(shell: Shell, dc: DataCenter, { file, types, options }: Wish): Promise<DeployReport> {
  const { out, world, interrupt } = shell
  const { buildBundle } = await import('../../functions/mod.ts')
  out.progress.show(`${file}: ${types === 'check' ? 'checking types and bundling' : 'bundling'}`, undefined)
  const built = await interrupt.race(buildBundle({ file, types, packageRoot: world.packageRoot }))
  for (const warning of built.warnings) out.warn(warning)
  const report = await dc.functions.deploy(built, { ...options, onProgress: (step) => out.progress.show(`${file}: ${step}`, undefined) })
  out.progress.stop()
  return report
}

export const deployCommand = defineCommand({
  name: 'deploy',
  summary: 'Make functions stay: check, bundle and deploy their files',
  operands: '<files...>',
  details: 'A file has `export default defineFunction({ name, run })`. The version before stays, and `kumoi rollback NAME` goes back to it.',
  options: {
    alias: { flags: '--alias <alias>', help: 'deploy beside the stable version, under this name', parse: text },
    percent: { flags: '--percent <n>', help: 'share of the calls that the alias takes', parse: integer(1, 99) },
    dryRun: { flags: '--dry-run', help: 'show what it is and what would change; write nothing' },
    check: { flags: '--no-check', help: 'do not check types' },
  },
  examples: [
    { command: 'kumoi deploy hot.ts', does: 'all calls, ticks and events go to it from now on' },
    { command: 'kumoi deploy hot.ts --dry-run', does: 'manifest, size, rights, difference to the version before' },
    { command: 'kumoi deploy hot.ts --alias canary --percent 10', does: 'one call in ten' },
  ],
  output: 'value',
  run(shell, files, { alias, percent, dryRun, check }) {
    if (percent !== undefined && alias === undefined) throw CLI.USAGE({ problem: 'kumoi deploy: --percent needs --alias', hint: 'Write --alias canary --percent 10; what is stable takes the rest.' })
    const options = { ...(alias === undefined ? {} : { alias }), ...(percent === undefined ? {} : { percent }), ...(dryRun === true ? { dryRun } : {}) }
    return withDataCenter(shell, async (dc) => {
      const { triggerText } = await import('../../functions/mod.ts')
      const reports: DeployReport[] = []
      const failed: { readonly file: string; readonly error: unknown }[] = []
      for (const file of files) {
        shell.interrupt.signal.throwIfAborted()
        try {
          reports.push(await deployFile(shell, dc, { file, types: check === false ? 'skip' : 'check', options }))
        } catch (error) {
          shell.out.progress.stop()
          if (files.length === 1) throw error
          failed.push({ file, error })
        }
      }
      shell.out.result(files.length === 1 ? reports[0] : reports, (layout) => (reports.length === 0 ? undefined
        : reports.map((report) => deployText(report, { dryRun: dryRun === true, alias: alias ?? 'stable' }, triggerText, layout)).join('\n\n')))
      if (dryRun !== true && reports.length > 0) {
        const late = (await dc.members()).filter(({ name, state }) => state === 'alive' && !reports.every(({ ready }) => ready.includes(name))).map(({ name }) => name)
        if (late.length > 0) shell.out.warn(`not ready yet: ${late.join(', ')}. They follow as soon as they see the store; the version before answers there until then.`)
      }
      for (const { file, error } of failed) {
        if (!shell.settings.json) shell.out.warn(`${file} was not deployed:`)
        shell.out.error(error)
      }
      return failed.length > 0 ? EXIT.failed : EXIT.done
    })
  },
})

// `kumoi vms`, `kumoi images`, ...: all objects of a kind, with the columns that the kind declares.
//
// --watch stays: on a terminal the table is drawn again at each change, otherwise (and with --json) one line a change.

import type { DataCenter } from '../../kali/contract.ts'
import { defineCommand, text } from '../command.ts'
import type { AnyCommand } from '../command.ts'
import { EXIT } from '../errors.ts'
import { watchObjects } from '../object-watch.ts'
import { warnOfFailures } from '../objects.ts'
import type { Named } from '../objects.ts'
import { columnsOf, referencesTable } from '../render/references.ts'
import { withDataCenter } from '../session.ts'
import type { Shell } from '../session.ts'

const TITLES: Readonly<Record<string, string>> = {
  VM: 'virtual machines', Image: 'images', Volume: 'volumes', StoragePool: 'storage pools', Snapshot: 'snapshots', Network: 'networks of the hypervisors',
  Switch: 'switches: bridges and Open vSwitches', Port: 'switch ports', VMM: 'hypervisors (VMMs)',
}

async function printOnce(shell: Shell, dc: DataCenter, kind: string, options: { readonly host: string | undefined; readonly wide: boolean }): Promise<number> {
  const listing = await dc.list(kind)
  const objects = (listing.objects as readonly Named[]).filter((object) => options.host === undefined || (object as { readonly host?: string }).host === options.host)
  const columns = await columnsOf(kind, { wide: options.wide }) ?? []
  shell.out.result(objects, (layout) => objects.length === 0 ? undefined : referencesTable(objects, columns, layout))
  if (objects.length === 0 && !shell.settings.json) shell.out.note(`No ${TITLES[kind] ?? kind}.`)
  warnOfFailures(shell.out, TITLES[kind] ?? kind, listing)
  return listing.failures.length > 0 ? EXIT.failed : EXIT.done
}

export const listCommand = (name: string, kind: string): AnyCommand => defineCommand({
  name,
  summary: `List ${TITLES[kind] ?? kind}`,
  operands: '',
  options: {
    host: { flags: '--host <name>', help: 'of this machine only', parse: text },
    wide: { flags: '--wide', help: 'all columns' },
    watch: { flags: '--watch', help: 'stay: the table again at each change; with --json one line a change' },
  },
  examples: [
    { command: `kumoi ${name}`, does: `all ${TITLES[kind] ?? kind}` },
    { command: `kumoi --json ${name}`, does: 'for programs' },
    { command: `kumoi ${name} --watch --json`, does: 'one JSON line a change, until Ctrl-C' },
  ],
  output: 'value',
  run(shell, _operands, { host, wide, watch }) {
    return withDataCenter(shell, async (dc) => {
      const options = { host, wide: wide === true }
      if (watch !== true) return printOnce(shell, dc, kind, options)
      const { world, out, settings, interrupt } = shell
      const table = world.stdout.isTTY === true && !settings.json
      for await (const change of watchObjects(dc, kind, { host, clock: world.clock, signal: interrupt.signal })) {
        if (table) {
          world.stdout.write('\u001b[H\u001b[2J')
          await printOnce(shell, dc, kind, options)
        } else if (settings.json) {
          world.stdout.write(`${JSON.stringify(change)}\n`)
        } else {
          out.result(`${new Date(change.atMs).toISOString()} ${change.host === '' ? '' : `${change.host}/`}${change.name} ${change.event}${change.state === undefined ? '' : ` (${change.state})`}`)
        }
      }
      return EXIT.done
    })
  },
})

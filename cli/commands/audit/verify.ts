// `kumoi audit verify`: whether the logs are whole, of one node, of all, or of an exported file without any node.

import { open } from 'node:fs/promises'

import type { AuditReport } from '../../../rmo/mod.ts'
import { defineCommand, text } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { auditTable } from '../../render/audit.ts'
import type { Shell } from '../../session.ts'
import { withDataCenter } from '../../session.ts'

/** 1 when something was changed, 3 when not everybody who could tell was asked. */
function show({ out }: Shell, reports: readonly AuditReport[]): number {
  out.result(reports, (layout) => auditTable(reports, layout))
  for (const { name, findings, verdict, error, witnesses } of reports) {
    for (const { text: finding } of findings) out.warn(`${name}: ${finding}`)
    if (verdict === 'away') out.warn(`${name} could not be asked: ${error ?? 'it does not answer'}`)
    if (verdict === 'unwitnessed') out.warn(`${name}: no other node has a checkpoint of its log, so that nobody can tell whether its end was cut off`)
    const away = witnesses.filter(({ says }) => says === 'away')
    if (away.length > 0) out.warn(`${name}: not asked: ${away.map((witness) => witness.name).join(', ')}`)
  }
  if (reports.some(({ verdict }) => verdict === 'tampered')) return EXIT.failed
  return reports.some(({ verdict, witnesses }) => verdict === 'away' || witnesses.some(({ says }) => says === 'away')) ? EXIT.noNode : EXIT.done
}

async function ofFile(shell: Shell, file: string, fabric: string | undefined): Promise<number> {
  const [{ createCertifiedVerifier }, { verifyExport }] = await Promise.all([import('../../../fabric/mod.ts'), import('../../../rmo/mod.ts')])
  const handle = await open(file).catch((error: unknown) => { throw CLI.FILE_UNREADABLE({ file, reason: error instanceof Error ? error.message : String(error) }) })
  try {
    const judged = await verifyExport(handle.readLines(), { file, verifierOf: (named) => createCertifiedVerifier(() => fabric ?? named) })
    if (fabric === undefined) shell.out.note(`Judged by the fabric that the file names: ${judged.fabric}. Is it yours? Compare with \`kumoi info\`, or give --fabric.`)
    return show(shell, judged.reports)
  } finally {
    await handle.close()
  }
}

export const verifyCommand = defineCommand({
  name: 'audit verify',
  summary: 'Judge audit logs by their chain, their checkpoints and their witnesses; exit status 1 when one was changed, 3 when a node or a witness could not be asked',
  operands: '',
  details: 'Finds records that were changed, moved, taken out or cut off, also by somebody who has the node\'s key. Not found: records that no other node was told of, which are those of about the last second.',
  options: {
    node: { flags: '--node <node>', help: 'one node\'s log', parse: text },
    all: { flags: '--all', help: 'the logs of all nodes (the default)' },
    file: { flags: '--file <file>', help: 'an exported file, without any node', parse: text },
    fabric: { flags: '--fabric <id>', help: 'with --file: the fabric that it must be of, as `kumoi --json info` tells it', parse: text },
  },
  examples: [
    { command: 'kumoi audit verify', does: 'node, records, head, checkpoints, witnesses, verdict' },
    { command: 'kumoi audit verify --file audit.jsonl', does: 'a file that `kumoi audit export` wrote' },
  ],
  output: 'value',
  async run(shell, _operands, { node, all, file, fabric }) {
    if (file !== undefined && (node !== undefined || all === true)) throw CLI.USAGE({ problem: 'kumoi audit verify: --file goes without --node and --all' })
    if (file !== undefined) return ofFile(shell, file, fabric)
    if (node !== undefined && all === true) throw CLI.USAGE({ problem: 'kumoi audit verify: one of --node and --all' })
    return withDataCenter(shell, async (dc) => show(shell, await dc.audit.verify(node === undefined ? {} : { node })))
  },
})

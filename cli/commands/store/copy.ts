// `kumoi store copy TO`: takes everything to another store, and all nodes with it.

import { defineCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { withDataCenter } from '../../session.ts'

export const copyCommand = defineCommand({
  name: 'store copy',
  summary: 'Copy the global store to another one, compare, and make all nodes use it',
  operands: '<to>',
  details: 'To "etcd://host:port,host:port" or "node:NAME". Writes wait while it is copied; when anything goes wrong the fabric stays with the store that it has.',
  options: { keep: { flags: '--keep', help: 'only copy; the nodes stay with the present one' } },
  examples: [
    { command: 'kumoi store copy etcd://10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379', does: 'from the founder to a replicated one' },
    { command: 'kumoi store copy node:beta', does: 'to another node, before the present one is taken away' },
    { command: 'kumoi store copy --keep etcd://10.0.0.9:2379', does: 'a copy on the side' },
  ],
  output: 'value',
  run: (shell, [to = ''], { keep }) => withDataCenter(shell, async (dc) => {
    shell.out.progress.show('copying the global store', undefined)
    const copied = await dc.store.copy(to, { keep: keep === true }).finally(() => shell.out.progress.stop())
    shell.out.result(copied, () => `${copied.keys} keys copied; ${copied.switched ? `the store is ${copied.to} now` : `the nodes stay with the present store, the copy is ${copied.to}`}`)
    return EXIT.done
  }),
})

// `kumoi nodes`: the member list with figures asked of each live node.

import { defineCommand } from '../command.ts'
import { CLI, EXIT } from '../errors.ts'
import { nodesTable } from '../render/nodes.ts'
import { withDataCenter } from '../session.ts'

export const nodesCommand = defineCommand({
  name: 'nodes',
  summary: 'List the nodes of the fabric',
  operands: '',
  options: { watch: { flags: '--watch', help: 'again at each change, until Ctrl-C' } },
  examples: [
    { command: 'kumoi nodes', does: 'name, state, address, cpu, memory, version, since' },
    { command: 'kumoi nodes --watch', does: 'stay and show joins, failures and leaves' },
    { command: "kumoi --json nodes | jq -r '.[] | select(.state == \"dead\").name'", does: 'the dead ones' },
  ],
  output: 'value',
  run(shell, _operands, { watch }) {
    if (watch === true && shell.settings.json) {
      throw CLI.USAGE({ problem: 'kumoi nodes: --watch and --json do not go together', hint: 'With --json stdout holds one value; use dc.watchMembers() in a script.' })
    }
    const { out, world, interrupt } = shell
    return withDataCenter(shell, async (dc) => {
      const print = async (): Promise<void> => {
        const rows = await dc.nodes(shell.settings.timeoutMs === undefined ? {} : { timeoutMs: shell.settings.timeoutMs })
        if (watch === true && world.stdout.isTTY === true) world.stdout.write('\u001b[H\u001b[2J')
        out.result(rows, (layout) => nodesTable(rows, layout, world.clock.wallMs()))
      }
      if (watch !== true) {
        await print()
        return EXIT.done
      }
      // Subscribed before the first print: a change between the two is shown by a second print.
      const events = dc.watchMembers(interrupt.signal)[Symbol.asyncIterator]()
      let next = events.next()
      await print()
      for (let step = await next; step.done !== true; step = await next) {
        next = events.next()
        if (world.stdout.isTTY !== true) out.note(`${step.value.member.name} ${step.value.type}`)
        await print()
      }
      return EXIT.done
    })
  },
})

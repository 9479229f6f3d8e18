// `kumoi up`: starts a node in this process, or, with --detach, in one of its own (cli/detach.ts).

import { readFile } from 'node:fs/promises'

import type { NodeInfo } from '../../kali/contract.ts'
import { defineCommand, text } from '../command.ts'
import { readyReporter, startDetached } from '../detach.ts'
import { EXIT } from '../errors.ts'
import { fields } from '../render/value.ts'
import type { Shell } from '../session.ts'
import { dataDirectory, readAll } from '../world.ts'

export const upCommand = defineCommand({
  name: 'up',
  summary: 'Start a node: found a fabric, join one, or come back to one',
  operands: '',
  details: 'In the foreground until Ctrl-C, which leaves the fabric cleanly; --detach puts it in the background once it is ready.',
  options: {
    name: { flags: '--name <name>', help: 'name of this node (default: the host name)', parse: text },
    listen: { flags: '--listen <address>', help: 'host or host:port (default: first non-internal address, any port)', parse: text },
    join: { flags: '--join <ticket>', help: 'ticket of a fabric; @FILE reads it from a file, - from standard input', parse: text },
    detach: { flags: '--detach', help: 'return when the node is ready' },
  },
  examples: [
    { command: 'kumoi up --name alpha --listen 10.0.0.1 --detach', does: 'the first node makes the fabric' },
    { command: 'kumoi up --name beta --join "$(cat ticket)" --detach', does: 'another machine joins' },
  ],
  output: 'value',
  async run(shell, _operands, { name, listen, join, detach }) {
    const wish = {
      ...(name === undefined ? {} : { name }),
      ...(listen === undefined ? {} : { listen }),
      ...(join === undefined ? {} : { join: await ticketText(join, shell) }),
    }
    if (detach === true) {
      const info = await shell.interrupt.race(startDetached(shell, wish))
      printReady(shell, info)
      return EXIT.done
    }
    const report = readyReporter(shell.world.env)
    try {
      const { startNode } = await shell.world.kali()
      const node = await shell.interrupt.race(startNode({
        data: shell.settings.data, ...wish,
        ...(shell.settings.quiet ? {} : { onLog: (line: string) => shell.out.note(line) }),
      }))
      if (report.active) report.ready(node.info)
      else printReady(shell, node.info)
      await Promise.race([node.stopped, interrupted(shell.interrupt.signal)])
      // Bounded by the interruption's grace; a second Ctrl-C does not wait for it.
      await node.stop()
      return shell.interrupt.signal.aborted && shell.interrupt.status === EXIT.interrupted ? EXIT.interrupted : EXIT.done
    } catch (error) {
      report.failed(error)
      throw error
    }
  },
})

const interrupted = (signal: AbortSignal): Promise<void> => new Promise((done) => {
  if (signal.aborted) done()
  else signal.addEventListener('abort', () => done(), { once: true })
})

async function ticketText(given: string, shell: Shell): Promise<string> {
  if (given === '-') return (await readAll(shell.world.stdin)).trim()
  return given.startsWith('@') ? (await readFile(given.slice(1), 'utf8')).trim() : given.trim()
}

const ORIGINS: Readonly<Record<NodeInfo['origin'], string>> = { founded: 'new, founded by this node', joined: 'joined', returned: 'returned to it' }

function printReady(shell: Shell, info: NodeInfo): void {
  const { data } = shell.settings
  const flag = data === dataDirectory(undefined, shell.world.env) ? '' : ` --data ${data}`
  shell.out.result(info, (layout) => fields([
    ['name', info.name], ['id', info.id], ['fabric', `${info.fabric.slice(0, 8)}, ${ORIGINS[info.origin]}`], ['address', info.addresses.join(', ') || '-'], ['process', String(info.pid)], ['data', info.data],
  ], layout.style))
  shell.out.note(`To add a node: \`kumoi${flag} ticket\` here, then \`kumoi up --name NAME --join TICKET --detach\` there.`)
}

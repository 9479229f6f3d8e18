// `kumoi invoke NAME`: one call of a deployed function, by name; its value on stdout, or the error with the line that threw.

import { readFile } from 'node:fs/promises'

import type { InvokeOptions, TargetText } from '../../functions/mod.ts'
import { defineCommand, text } from '../command.ts'
import { CLI, EXIT } from '../errors.ts'
import { withDataCenter } from '../session.ts'
import type { Shell } from '../session.ts'
import { readAll } from '../world.ts'

const textOf = (file: string): Promise<string> => readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => { throw CLI.FILE_UNREADABLE({ file, reason: error.message }, { cause: error }) })

async function payloadOf(shell: Shell, given: string | undefined): Promise<unknown> {
  if (given === undefined) return undefined
  const json = given === '-' ? await readAll(shell.world.stdin) : given.startsWith('@') ? await textOf(given.slice(1)) : given
  try {
    return JSON.parse(json) as unknown
  } catch (error) {
    throw CLI.USAGE({ problem: `kumoi invoke: the payload is no JSON: ${(error as Error).message}`, hint: `Write it in quotes, as in --payload '{"pool": "web"}', or name a file: --payload @payload.json.` })
  }
}

export const invokeCommand = defineCommand({
  name: 'invoke',
  summary: 'Call a deployed function by its name',
  operands: '<name>',
  details: 'NAME may be name@alias or name@version. With --async the call is kept, tried again when it fails, and its id is printed.',
  options: {
    payload: { flags: '--payload <json>', help: 'what it is called with: JSON, @file, or - for standard input', parse: text },
    target: { flags: '--target <where>', help: 'any, home, or node:NAME (default: what the function says)', parse: text },
    all: { flags: '--all', help: 'on every node; one answer a node' },
    async: { flags: '--async', help: 'do not wait: keep the call until it has been made' },
    key: { flags: '--key <key>', help: 'the same key again within ten minutes: one effect, the same answer', parse: text },
  },
  examples: [
    { command: `kumoi invoke hot-machines --payload '{"limit": 0.9}'`, does: 'its value; exit status 1 when it throws' },
    { command: 'kumoi invoke report@canary --target node:beta', does: 'this version, on this node' },
    { command: 'kumoi invoke clean-up --all', does: 'on every node' },
    { command: 'kumoi invoke send-mail --async --key order-17 --payload @mail.json', does: 'once, and certainly' },
  ],
  output: 'value',
  async run(shell, [name = ''], options) {
    if (options.all === true && (options.async === true || options.target !== undefined)) throw CLI.USAGE({ problem: 'kumoi invoke: --all goes neither with --async nor with --target', hint: 'See `kumoi invoke --help`.' })
    const payload = await payloadOf(shell, options.payload)
    const wish: InvokeOptions = {
      ...(options.target === undefined ? {} : { target: options.target as TargetText }), ...(options.key === undefined ? {} : { idempotencyKey: options.key }),
      ...(shell.settings.timeoutMs === undefined ? {} : { timeoutMs: shell.settings.timeoutMs }),
    }
    return withDataCenter(shell, async (dc) => {
      if (options.async === true) {
        const id = await dc.functions.enqueue(name, payload, wish)
        shell.out.result({ id })
        return EXIT.done
      }
      if (options.all !== true) {
        shell.out.result(await dc.functions.invoke(name, payload, wish))
        return EXIT.done
      }
      const answers = await dc.functions.invokeAll(name, payload, wish)
      shell.out.result(answers.map(({ node, value, error }) => (error === undefined ? { node, value } : { node, error: { code: error.code ?? error.name, message: error.message } })))
      return answers.some(({ error }) => error !== undefined) ? EXIT.failed : EXIT.done
    })
  },
})

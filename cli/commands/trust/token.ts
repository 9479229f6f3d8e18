// `kumoi token`: the two headers with which one HTTP request is the user's own; stdout holds them and nothing else.

import { readFile } from 'node:fs/promises'

import { defineCommand, text } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { withDataCenter } from '../../session.ts'
import { readAll } from '../../world.ts'

export const tokenCommand = defineCommand({
  name: 'token',
  summary: 'Print the headers that make one HTTP request the logged-in user\'s',
  operands: '<url>',
  details: 'Good for this method, address and body only, once, within half a minute. The address is signed as it is given: write it as curl gets it.',
  options: {
    method: { flags: '--method <method>', help: 'default: POST', parse: text },
    body: { flags: '--body <json>', help: 'body of the request; @FILE reads it from a file, - from standard input', parse: text },
  },
  examples: [
    { command: "curl -H @<(kumoi token --body '{}' \"$url\") --json '{}' \"$url\"", does: 'calls the function at https://HOST:PORT/functions/NAME as oneself' },
    { command: 'kumoi token --method GET https://alpha:8443/functions', does: 'for the list of functions' },
  ],
  output: 'value',
  async run(shell, [given = ''], { method = 'POST', body }) {
    const usage = (problem: string, hint: string): Error => CLI.USAGE({ problem: `kumoi token: ${problem}`, hint })
    if (!URL.canParse(given) || !/^https?:$/.test(new URL(given).protocol)) throw usage(`${given} is no address`, 'Write https://HOST:PORT/functions/NAME.')
    const bytes = body === undefined ? new Uint8Array(0) : body === '-' ? Buffer.from(await readAll(shell.world.stdin))
      : body.startsWith('@') ? await readFile(body.slice(1)).catch((error: unknown) => { throw usage(`${body.slice(1)} cannot be read: ${error instanceof Error ? error.message : String(error)}`, 'Name a file, - for standard input, or the JSON itself.') })
      : Buffer.from(body)
    return withDataCenter(shell, async (dc) => {
      const headers = await dc.trust.signRequest({ url: given, method: method.toUpperCase(), body: bytes })
      shell.out.result(headers, () => Object.entries(headers).map(([name, value]) => `${name}: ${value}`).join('\n'))
      return EXIT.done
    })
  },
})

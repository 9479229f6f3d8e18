// A word that nobody may see: asked for on the terminal without echo, or read from a pipe. Never from the command line,
// which /proc shows to everybody and the history of the shell keeps.

import { CLI } from './errors.ts'
import type { Shell } from './session.ts'
import { readAll } from './world.ts'

const ENTER = /[\r\n]/
const CTRL_C = '\u0003', CTRL_D = '\u0004', BACKSPACE = '\u007f', CTRL_H = '\b', CTRL_U = '\u0015'

/** Without the line break that ends it. */
export async function readHidden(shell: Shell, question: string): Promise<string> {
  const { world: { stdin, stderr }, interrupt } = shell
  const terminal = stdin as Shell['world']['stdin'] & { setRawMode?(mode: boolean): unknown }
  if (stdin.isTTY !== true || terminal.setRawMode === undefined) return (await readAll(stdin)).replace(/\r?\n$/, '')
  stderr.write(question)
  terminal.setRawMode(true)
  stdin.setEncoding('utf8')
  let value = ''
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const take = (chunk: string | Buffer): void => {
    for (const char of String(chunk)) {
      if (ENTER.test(char) || char === CTRL_D) return resolve(value)
      if (char === CTRL_C) return interrupt.press()
      if (char === BACKSPACE || char === CTRL_H) value = [...value].slice(0, -1).join('')
      else if (char === CTRL_U) value = ''
      else value += char
    }
  }
  const stop = (): void => reject(interrupt.signal.reason ?? CLI.INTERRUPTED({}))
  stdin.on('data', take)
  interrupt.signal.addEventListener('abort', stop, { once: true })
  stdin.resume()
  try {
    return await promise
  } finally {
    stdin.off('data', take)
    interrupt.signal.removeEventListener('abort', stop)
    terminal.setRawMode(false)
    stdin.pause()
    stderr.write('\n')
  }
}

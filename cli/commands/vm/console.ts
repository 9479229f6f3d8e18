// `kumoi vm console NAME`: the serial console in this terminal. Ctrl-] leaves; Ctrl-C goes to the guest.
//
// Without a terminal, standard input goes to the guest and what it says to standard output, until either ends.

import { LIMITS } from '../../../fabric/base.ts'
import { defineCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { findVm } from '../../objects.ts'
import { withDataCenter } from '../../session.ts'

const ESCAPE = 0x1d

export const consoleCommand = defineCommand({
  name: 'vm console',
  summary: 'Talk to the serial console of a virtual machine',
  operands: '<name>',
  details: 'Ctrl-] leaves. Without a terminal: input is sent, and what the guest says is printed until input has ended and it is quiet.',
  options: {},
  examples: [{ command: 'kumoi vm console web1', does: 'Ctrl-] leaves' }, { command: "printf 'hostname\\n' | kumoi vm console web1", does: 'one question' }],
  output: 'text',
  run: (shell, [name = '']) => withDataCenter(shell, async (dc) => {
    const vm = await findVm(dc, shell.out, name)
    const { stdin, stdout, clock } = shell.world
    const channel = await vm.console()
    const terminal = stdin as NodeJS.ReadStream
    const raw = stdin.isTTY === true && typeof terminal.setRawMode === 'function'
    const ended = Promise.withResolvers<string>()
    let quiet = clock.after(0, () => {})
    let inputOver = false
    let answered = false
    const whenQuiet = (): void => {
      quiet.cancel()
      if (inputOver) quiet = clock.after(answered ? LIMITS.consoleQuietMs : LIMITS.consoleAnswerMs, () => ended.resolve('the input ended'))
    }
    // A character may come in two pieces.
    const decoder = new TextDecoder()
    channel.onData((bytes) => { answered = true; stdout.write(decoder.decode(bytes, { stream: true })); whenQuiet() })
    channel.onClose((reason) => ended.resolve(reason))
    const onInput = (chunk: Buffer | string): void => {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
      const at = raw ? bytes.indexOf(ESCAPE) : -1
      if (at !== 0) channel.write(at < 0 ? bytes : bytes.subarray(0, at)).catch((error: unknown) => ended.reject(error))
      if (at >= 0) ended.resolve('left')
    }
    if (raw) {
      terminal.setRawMode(true)
      shell.out.note(`Connected to ${vm.name}. Ctrl-] leaves.`)
    }
    stdin.on('data', onInput)
    stdin.on('end', () => { inputOver = true; whenQuiet() })
    stdin.resume()
    try {
      const reason = await shell.interrupt.race(ended.promise)
      if (raw) shell.out.note(`\r\n${vm.name}: ${reason}`)
      return EXIT.done
    } finally {
      quiet.cancel()
      stdin.off('data', onInput)
      if (raw) terminal.setRawMode(false)
      stdin.pause()
      channel.close()
    }
  }),
})

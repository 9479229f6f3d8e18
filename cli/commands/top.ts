// `kumoi top`: the data center on one screen, drawn again each second. Without a terminal, or with --once, one plain frame.

import { LIMITS } from '../../fabric/base.ts'
import type { DataCenter } from '../../kali/contract.ts'
import { defineCommand, durationMs } from '../command.ts'
import { EXIT } from '../errors.ts'
import { withDataCenter } from '../session.ts'
import type { Shell } from '../session.ts'
import { FIRST_LOOK } from '../top/contract.ts'
import type { Fleet, Look } from '../top/contract.ts'
import { frame } from '../top/frame.ts'
import type { Frame } from '../top/frame.ts'
import { gather } from '../top/gather.ts'
import { keysIn, press } from '../top/keys.ts'

const PERIOD_MS = 1_000
const DECISIONS = 100
const ROWS_DEFAULT = 24
/** The other screen, without a cursor; and back. */
const ENTER = '\u001b[?1049h\u001b[?25l', LEAVE = '\u001b[?25h\u001b[?1049l'
const HOME = '\u001b[H', TO_LINE_END = '\u001b[K', TO_SCREEN_END = '\u001b[J'

/** Draws until q or Ctrl-C; the terminal is left as it was, whatever happens. */
async function live(shell: Shell, dc: DataCenter, first: Fleet, periodMs: number): Promise<void> {
  const { world: { stdin, stdout, clock }, out, interrupt: { signal } } = shell
  const terminal = stdin as NodeJS.ReadStream
  const raw = stdin.isTTY === true && typeof terminal.setRawMode === 'function'
  let fleet = first, look: Look = FIRST_LOOK, drawn: Frame | undefined
  const over = Promise.withResolvers<void>()
  const draw = (): void => {
    // What a look counts (elements done) would be written over the frame.
    out.progress.stop()
    drawn = frame(fleet, look, { width: stdout.columns || 80, height: stdout.rows || ROWS_DEFAULT, style: out.style })
    stdout.write(`${HOME}${drawn.lines.map((line) => `${line}${TO_LINE_END}`).join('\r\n')}${TO_SCREEN_END}`)
  }
  const onInput = (chunk: Buffer | string): void => {
    for (const key of keysIn(String(chunk))) {
      const next = press(look, key, { rows: drawn?.rows ?? 0, page: drawn?.page ?? 1 })
      if (next === 'quit') return over.resolve()
      look = next
    }
    draw()
  }
  const stop = (): void => over.resolve()
  let ended = false
  const looking = (async () => {
    while (!ended) {
      const pause = Promise.withResolvers<void>()
      const timer = clock.after(periodMs, () => pause.resolve())
      await Promise.race([pause.promise, over.promise])
      timer.cancel()
      if (ended) return
      try {
        fleet = await gather(dc, out, { nowMs: clock.wallMs(), decisionsMax: DECISIONS })
        const { problem: _mended, ...rest } = look
        look = rest
      } catch (error) {
        look = { ...look, problem: `as of ${new Date(fleet.atMs).toISOString().slice(11, 19)}: ${error instanceof Error ? error.message : String(error)}` }
      }
      if (!ended) draw()
    }
  })()
  stdout.write(ENTER)
  if (raw) terminal.setRawMode(true)
  stdin.on('data', onInput)
  stdin.resume()
  signal.addEventListener('abort', stop, { once: true })
  try {
    draw()
    await over.promise
  } finally {
    ended = true
    over.resolve()
    signal.removeEventListener('abort', stop)
    stdin.off('data', onInput)
    if (raw) terminal.setRawMode(false)
    stdin.pause()
    stdout.write(LEAVE)
  }
  await shell.interrupt.race(Promise.race([looking, new Promise<void>((resolve) => { clock.after(LIMITS.interruptSettleMs, resolve, { background: true }) })]))
}

export const topCommand = defineCommand({
  name: 'top',
  summary: 'Watch the data center: machines, VMs, pools and what is decided',
  operands: '',
  details: 'Keys: q or Ctrl-C ends, tab goes to the next section, arrows and page keys scroll it, c m n sort by cpu, memory, name. Without a terminal, and with --once or --json, one look.',
  options: { once: { flags: '--once', help: 'one plain frame' }, every: { flags: '--every <time>', help: 'between two looks (default: 1s)', parse: durationMs } },
  examples: [{ command: 'kumoi top', does: 'live' }, { command: 'kumoi top --once | grep dead', does: 'one look' }, { command: 'kumoi --json top', does: 'for programs: pools, machines, vms, decisions' }],
  output: 'value',
  run: (shell, _operands, { once, every = PERIOD_MS }) => withDataCenter(shell, async (dc) => {
    const { out, world: { stdout, clock }, settings } = shell
    const fleet = await gather(dc, out, { nowMs: clock.wallMs(), decisionsMax: DECISIONS })
    if (once === true || settings.json || stdout.isTTY !== true) {
      out.result(fleet, ({ style, columns }) => frame(fleet, FIRST_LOOK, { width: columns, height: undefined, style }).lines.join('\n'))
      return EXIT.done
    }
    await live(shell, dc, fleet, every)
    return shell.interrupt.signal.aborted ? shell.interrupt.status : EXIT.done
  }),
})

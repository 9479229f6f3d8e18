// What the experiments say to the lab's guest: burn processor time in its own way, and answer.
//
// The guest's shell knows no floating point; it burns by the hundredths of /proc/uptime and sleeps by microseconds. The load
// starts at boot but on the VM called `waits`, which starts when it is told so on its serial console: its clones, which have
// the same seed, burn from the first moment, like copies of a busy VM do.

import type { GuestContext, VM } from '../../../rmo/mod.ts'
import { errorCode } from '../../../fabric/base.ts'

const CYCLE_HUNDREDTHS = 50

/** Seed of a guest that burns `ratio` of one processor. */
export function burningContext(ratio: number, waits?: string): GuestContext {
  const on = Math.max(1, Math.round(CYCLE_HUNDREDTHS * ratio)), offMicroseconds = (CYCLE_HUNDREDTHS - on) * 10_000
  const now = 'read -r a b </proc/uptime; t=1${a%.*}${a#*.}'
  const burn = `while :; do ${now}; e=$((t + ${on})); while [ "$t" -lt "$e" ]; do ${now}; done;${offMicroseconds > 0 ? ` usleep ${offMicroseconds};` : ''} done`
  const wait = waits === undefined ? '' : `[ "$(hostname)" = "${waits}" ] && while [ ! -e /run/load ]; do sleep 1; done; `
  return { bootcmd: [`( ${wait}${burn} ) </dev/null >/dev/null 2>&1 &`] }
}

let questions = 0
const ASK_AGAIN_MS = 3_000
/** A guest that is not there yet, or not any more, on a machine that may be gone: asked again. */
const NO_ANSWER: ReadonlySet<string | undefined> = new Set(['RMO_ERR_STATE_INVALID', 'RMO_ERR_BUSY', 'RMO_ERR_DRIVER_FAILED', 'RMO_ERR_DRIVER_TIMEOUT', 'RMO_ERR_DRIVER_UNAVAILABLE', 'RMO_ERR_GONE', 'RMO_ERR_OBJECT_UNKNOWN', 'FABRIC_ERR_UNREACHABLE', 'FABRIC_ERR_TIMEOUT', 'FABRIC_ERR_CANCELLED'])

/** The guest's answer to one line of its command loop (guest-image/init.sh); undefined: none this time. */
async function answerOf(vm: VM, line: string): Promise<string | undefined> {
  const no = ++questions
  // The marks are not in what is typed: a console that echoes does not answer.
  const said = await vm.serial({ input: `\nsh echo "<:"${no}\n${line}\nsh echo ":"${no}">"\n`, until: `:${no}>`, timeoutMs: ASK_AGAIN_MS }).catch((error: unknown) => {
    if (NO_ANSWER.has(errorCode(error))) return ''
    throw error
  })
  return new RegExp(`<:${no}\\s+(.*?):${no}>`, 's').exec(said)?.[1]?.replaceAll('\r', '')
}

/** Asks until the guest answers. */
export async function ask(vm: VM, line: string, pause: () => Promise<void>): Promise<string> {
  for (;;) {
    const answer = await answerOf(vm, line)
    if (answer !== undefined) return answer
    await pause()
  }
}

export const startLoad = (vm: VM, pause: () => Promise<void>): Promise<string> => ask(vm, 'sh touch /run/load', pause)

/** Seconds since the guest's kernel started; asks until it answers. */
export async function guestUptimeSeconds(vm: VM, pause: () => Promise<void>): Promise<number> {
  return Number(/(\d+\.\d+)/.exec(await ask(vm, 'cat /proc/uptime', pause))?.[1] ?? NaN)
}

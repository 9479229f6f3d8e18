// What the experiments say to the lab's guest: burn processor time in its own way, and answer.
//
// The guest's shell knows no floating point; it burns by the hundredths of /proc/uptime and sleeps by microseconds. The load
// starts at boot but on the VM called `waits`, which starts when it is told so on its serial console: its clones, which have
// the same seed, burn from the first moment, like copies of a busy VM do.

import type { GuestContext, VM } from '../../../rmo/mod.ts'
import { LIMITS, errorCode } from '../../../fabric/base.ts'
import { CLI } from '../../errors.ts'

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
/** The guest's answer to one line of its command loop (guest-image/init.sh); undefined: none this time. */
async function answerOf(vm: VM, line: string): Promise<string | undefined> {
  const no = ++questions
  // The marks are not in what is typed: a console that echoes does not answer.
  const said = await vm.serial({ input: `\nsh echo "<:"${no}\n${line}\nsh echo ":"${no}">"\n`, until: `:${no}>`, timeoutMs: ASK_AGAIN_MS }).catch((error: unknown) => {
    // It is not there yet, or its machine is not there any more: whatever the refusal is called, it is asked again.
    if (errorCode(error) !== undefined) return ''
    throw error
  })
  return new RegExp(`<:${no}\\s+(.*?):${no}>`, 's').exec(said)?.[1]?.replaceAll('\r', '')
}

/** The VM as it is now: a reference of before leads to the machine of before. Undefined, or a refusal: not to be found this time. */
export type FindVm = () => Promise<VM | undefined>

/** Asks until the guest answers; CLI_ERR_LAB_FAILED when it does not in some minutes. */
export async function ask(find: FindVm, line: string, pause: () => Promise<void>): Promise<string> {
  for (let asked = 0; asked < LIMITS.figureAsksMax; asked++) {
    const vm = await find().catch((error: unknown) => { if (errorCode(error) === undefined) throw error })
    const answer = vm === undefined ? undefined : await answerOf(vm, line)
    if (answer !== undefined) return answer
    await pause()
  }
  throw CLI.LAB_FAILED({ step: `Asking the guest "${line}"`, reason: 'it does not answer on its serial console' })
}

export const startLoad = (find: FindVm, pause: () => Promise<void>): Promise<string> => ask(find, 'sh touch /run/load', pause)

/** Seconds since the guest's kernel started; asks until it answers. */
export async function guestUptimeSeconds(find: FindVm, pause: () => Promise<void>): Promise<number> {
  return Number(/(\d+\.\d+)/.exec(await ask(find, 'cat /proc/uptime', pause))?.[1] ?? NaN)
}

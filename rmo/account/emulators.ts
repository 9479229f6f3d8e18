// When the guests of this machine were started, as their emulators' processes say: what a node that was away has missed.
//
//   /proc/PID/cmdline "-uuid UUID" --> /proc/PID/stat, field 22: since the machine's start, in hundredths of a second
//
// Invariants: read once, at the start of a node; a guest that is not found (another driver's) has no answer, and is then
// counted from when it is seen. Source: proc_pid_stat(5).

import { readdirSync, readFileSync } from 'node:fs'

/** USER_HZ: 100 on all of Linux's platforms that we run on. */
const TICK_MS = 10
/** Of the fields behind the process's name, which may have spaces: the state is the third, the start the 22nd. */
const START_FIELD = 22 - 3

const textOf = (path: string): string => {
  try { return readFileSync(path, 'utf8') } catch { return '' }
}

/** Milliseconds since the machine's start, by uuid. */
export function emulatorStarts(): ReadonlyMap<string, number> {
  const starts = new Map<string, number>()
  let pids: readonly string[] = []
  try { pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name)) } catch { return starts }
  for (const pid of pids) {
    const [, uuid] = /\0-uuid\0([0-9a-f-]{36})\0/.exec(textOf(`/proc/${pid}/cmdline`)) ?? []
    if (uuid === undefined) continue
    const fields = textOf(`/proc/${pid}/stat`).replace(/^.*\) /s, '').split(' ')
    const ticks = Number(fields[START_FIELD])
    if (Number.isFinite(ticks) && ticks > 0) starts.set(uuid, ticks * TICK_MS)
  }
  return starts
}

/** Of the machine's present start; '' where it does not say. */
export const bootId = (): string => textOf('/proc/sys/kernel/random/boot_id').trim()

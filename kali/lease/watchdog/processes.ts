// Processes as /proc shows them: when one began, whether a guest runs in it, and its end. Used by the watchdog's own
// process and, to name an emulator, by the node; imports nothing but Node.
//
// Nobody is killed by number: an emulator must have begun when it was said to and have the guest's uuid on its command
// line; those that nobody named are found by libvirt's own "-uuid UUID". A process that has ended and is not reaped yet
// is off: it writes to no disk.

import { readFileSync, readdirSync } from 'node:fs'
import type { Guest, ProcessName } from './deadlines.ts'

const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // It ended, or is not ours to see.
  }
}

const START_TICKS_AT = 19 // Field 22, counted from the state, which follows the name in brackets.
const ENDED = new Set(['Z', 'X', 'x'])

/** When it began; undefined: it has ended. */
export function startTicksOf(pid: number): number | undefined {
  const stat = textOf(`/proc/${pid}/stat`)
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = Number(fields[START_TICKS_AT])
  return stat === '' || ENDED.has(fields[0] ?? 'X') || !Number.isFinite(ticks) ? undefined : ticks
}

/** The process of that number as it is now; undefined: it has ended. */
export function processName(pid: number): ProcessName | undefined {
  const startTicks = startTicksOf(pid)
  return startTicks === undefined ? undefined : { pid, startTicks }
}

const commandOf = (pid: number): string => textOf(`/proc/${pid}/cmdline`)
const runsStill = ({ pid, startTicks }: ProcessName): boolean => startTicksOf(pid) === startTicks

function everyPid(): readonly number[] {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number)
  } catch {
    return []
  }
}

/** Processes to end, for each guest; a guest without any is off. */
export function processesOf(guests: readonly Guest[]): ReadonlyMap<string, readonly number[]> {
  const found = new Map<string, number[]>(guests.map(({ uuid }) => [uuid, []]))
  for (const { uuid, emulator, host } of guests) {
    if (emulator !== undefined && runsStill(emulator) && commandOf(emulator.pid).includes(uuid)) found.get(uuid)?.push(emulator.pid)
    if (host !== undefined && runsStill(host)) found.get(uuid)?.push(host.pid)
  }
  for (const pid of everyPid()) {
    if (pid === process.pid) continue
    const command = commandOf(pid)
    if (!command.includes('\0-uuid\0')) continue
    for (const { uuid } of guests) {
      const pids = found.get(uuid)
      if (pids !== undefined && !pids.includes(pid) && command.includes(`\0-uuid\0${uuid}\0`) && startTicksOf(pid) !== undefined) pids.push(pid)
    }
  }
  return found
}

/** SIGKILL; one that has ended meanwhile, or is not ours, is seen at the next look. */
export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch { /* looked at again */ }
}

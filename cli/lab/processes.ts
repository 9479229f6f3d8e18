// Which processes belong to a lab's host, told by what cannot be a coincidence: for a libvirt host the mark in its list
// of mounts, for a node of a memory lab the lab's own directory in its command line, and its start time between looking and killing.
// Process ids are never written down, so a reused one is never killed.

import { readdir, readFile } from 'node:fs/promises'

import { LIMITS } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import { CLI } from '../errors.ts'

export interface LabProcess { readonly pid: number; readonly startTicks: string; readonly command: string }

export const markOf = (labId: string, host: string): string => `kumoi-lab:${labId}:${host}`

/** Field 22 of /proc/PID/stat; the name in brackets before it may hold anything. Undefined for one that has ended or is a zombie. */
export async function startTicksOf(pid: number | string): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === '' ? undefined : fields[19]
}

async function scan(matches: (pid: string, command: string) => Promise<boolean>): Promise<LabProcess[]> {
  const found: LabProcess[] = []
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
  await Promise.all(pids.map(async (pid) => {
    // The start time first: should the process end and its id be given away after it, `signal` sees another time.
    const startTicks = await startTicksOf(pid)
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ').trim()
    if (startTicks !== undefined && await matches(pid, command)) found.push({ pid: Number(pid), startTicks, command })
  }))
  return found.sort((a, b) => a.pid - b.pid)
}

/** Processes whose mounts hold the mark. */
export const processesMarked = (mark: string): Promise<LabProcess[]> =>
  scan(async (pid) => (await readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '')).split('\n').some((line) => line.includes(` ${mark} `)))

/** The node of a data directory: `... kumoi.js up --data DIR ...`. */
export const nodesIn = (data: string): Promise<LabProcess[]> => scan(async (_pid, command) => `${command} `.includes(` up --data ${data} `))

/** The node, and whoever is starting it. */
export const nodesAndStartersIn = (data: string): Promise<LabProcess[]> => scan(async (_pid, command) => / up (--\S+ )*--data /.test(command) && `${command} `.includes(` --data ${data} `))

/** The holder of a host's namespaces (holder.sh). */
export const isHolder = (process: LabProcess): boolean => process.command.includes('/holder.sh kumoi-lab:')

async function signal({ pid, startTicks }: LabProcess, name: NodeJS.Signals): Promise<void> {
  if (await startTicksOf(pid) !== startTicks) return
  try {
    process.kill(pid, name)
  } catch { /* ended meanwhile */ }
}


/** Ends all that `find` finds, with what they start meanwhile, and waits until they are gone. */
export async function endAll(find: () => Promise<LabProcess[]>, clock: Clock, how: 'ask-first' | 'at-once'): Promise<void> {
  if (how === 'ask-first') {
    for (const one of await find()) await signal(one, 'SIGTERM')
    await until(clock, LIMITS.labStopGraceMs, async () => (await find()).length === 0)
  }
  const gone = await until(clock, LIMITS.labKillTimeoutMs, async () => {
    const left = await find()
    for (const one of left) await signal(one, 'SIGKILL')
    return left.length === 0
  })
  if (!gone) throw CLI.LAB_FAILED({ step: 'Ending processes of the lab', reason: `still there after SIGKILL: ${(await find()).map(({ pid, command }) => `${pid} ${command.slice(0, 60)}`).join('; ')}` })
}

/** Looks until it is so; false when it was not within the time. */
export async function until(clock: Clock, limitMs: number, look: () => Promise<boolean>, signal?: AbortSignal): Promise<boolean> {
  const endMs = clock.nowMs() + limitMs
  while (!await look()) {
    signal?.throwIfAborted()
    if (clock.nowMs() > endMs) return false
    await new Promise<void>((resolve) => { clock.after(LIMITS.labPollMs, resolve) })
  }
  return true
}

// The watchdog: a process of its own, outside the node's event loop and outliving it, that ends every protected guest whose
// deadline passes. One per node; started by client.ts, spoken to over a Unix socket, one JSON object a line.
//
//   node --feed { seq, untilMs, guests }, only after an answered renewal--> deadlines.ts --passed--> SIGKILL until gone
//        --drop { seq, uuids }--------------> no longer watched
//        <--{ seq, refused }-- each is answered
//
// Deadlines are moments of the boot clock, made by the node from the time at which it *sent* the renewal: a node that was
// stalled can send late, but not late deadlines. When the node is gone it goes on; a new node of the same data directory
// connects and feeds. It ends when nobody is watched and no node is connected. Imports nothing of Kumoi but the files
// beside it: it must start in tens of milliseconds, stay small, and share no code path with what it watches.

import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import os from 'node:os'
import { NO_DEADLINES, drop, due, extend, nextDueMs } from './deadlines.ts'
import type { Guest } from './deadlines.ts'
import { openHardware } from './hardware.ts'
import type { Hardware } from './hardware.ts'
import { kill, processName, processesOf } from './processes.ts'

export interface WatchdogSettings {
  readonly socket: string
  /** Looks at the clock at least so often: a machine that slept wakes without its timers knowing. */
  readonly lookMs: number
  /** Between two looks at guests that are being killed. */
  readonly killLookMs: number
  /** A line of a node may be so long. */
  readonly lineCharsMax: number
  readonly hardware?: { readonly path: string; readonly timeoutMs: number }
}
export type ToWatchdog =
  | { readonly seq: number; readonly do: 'feed'; readonly untilMs: number; readonly giveUpMs: number; readonly guests: readonly Guest[] }
  | { readonly seq: number; readonly do: 'drop'; readonly uuids: readonly string[] }
export interface FromWatchdog { readonly seq: number; readonly refused: readonly string[] }

/** Names the process, for a node that finds it there and gets no answer. */
const pidFileOf = (socket: string): string => `${socket}.pid`

const settings = JSON.parse(process.argv[2] ?? '{}') as WatchdogSettings
const nowMs = (): number => os.uptime() * 1_000
const say = (message: string, fields: object = {}): void => { process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), watchdog: process.pid, message, ...fields })}\n`) }

let deadlines = NO_DEADLINES
let node: Socket | undefined
let hardware: Hardware | undefined
let timer: NodeJS.Timeout | undefined
/** Guests that are being killed, and since when. */
const killing = new Map<string, number>()

function look(): void {
  const passed = due(deadlines, nowMs())
  if (passed.length > 0) endGuests(passed)
  else hardware?.pet()
  const dueMs = nextDueMs(deadlines)
  clearTimeout(timer)
  if (dueMs === undefined) { rest(); return }
  const waitMs = killing.size > 0 ? settings.killLookMs : Math.max(1, Math.min(settings.lookMs, dueMs - nowMs()))
  timer = setTimeout(look, waitMs)
}

function endGuests(passed: readonly Guest[]): void {
  const processes = processesOf(passed)
  for (const { uuid, name } of passed) {
    const pids = processes.get(uuid) ?? []
    if (!killing.has(uuid)) say('the time of a protected guest is over', { vm: name, uuid, pids })
    const sinceMs = killing.get(uuid) ?? nowMs()
    killing.set(uuid, sinceMs)
    if (pids.length > 0) { for (const pid of pids) kill(pid); continue }
    killing.delete(uuid)
    deadlines = drop(deadlines, [uuid])
    say('a protected guest is off', { vm: name, uuid, afterMs: Math.round(nowMs() - sinceMs) })
  }
}

/** Nobody is watched. */
function rest(): void {
  hardware?.disarm()
  hardware = undefined
  if (node === undefined) process.exit(0)
}

function obey(message: ToWatchdog): FromWatchdog {
  if (message.do === 'drop') {
    deadlines = drop(deadlines, message.uuids)
    for (const uuid of message.uuids) killing.delete(uuid)
    look()
    return { seq: message.seq, refused: [] }
  }
  // What has passed is killed first: a deadline is never moved behind the back of a look that comes late.
  look()
  const fed = extend(deadlines, message.guests, message.untilMs, message.giveUpMs, nowMs())
  if (hardware === undefined && settings.hardware !== undefined && fed.deadlines.size > 0) {
    try {
      hardware = openHardware(settings.hardware.path, settings.hardware.timeoutMs)
    } catch (error) {
      say('the hardware watchdog cannot be used', { reason: (error as Error).message })
      return { seq: message.seq, refused: message.guests.map(({ uuid }) => uuid) }
    }
  }
  deadlines = fed.deadlines
  look()
  return { seq: message.seq, refused: fed.refused }
}

function serve(socket: Socket): void {
  // The newest node is the one: an older one of the same directory has ended, or is about to find out.
  node?.destroy()
  node = socket
  let text = ''
  socket.setEncoding('utf8')
  socket.on('data', (piece: string) => {
    text += piece
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      const line = text.slice(0, end)
      text = text.slice(end + 1)
      try {
        socket.write(`${JSON.stringify(obey(JSON.parse(line) as ToWatchdog))}\n`)
      } catch (error) {
        say('a message was not understood', { reason: (error as Error).message })
        socket.destroy()
        return
      }
    }
    if (text.length > settings.lineCharsMax) socket.destroy()
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    if (node !== socket) return
    node = undefined
    if (deadlines.size === 0) process.exit(0)
    say('the node is gone; guests run until their time is over', { guests: deadlines.size })
  })
}

/** Best effort: last to be killed for memory, first to run. */
function preferred(): void {
  try { writeFileSync('/proc/self/oom_score_adj', '-1000') } catch { /* not root */ }
  try { os.setPriority(os.constants.priority.PRIORITY_HIGHEST) } catch { /* not root */ }
}

// Of a watchdog that is gone: client.ts found nobody there.
rmSync(settings.socket, { force: true })
process.on('SIGINT', () => {})
process.on('SIGHUP', () => {})
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})
preferred()
createServer(serve).listen(settings.socket, () => {
  chmodSync(settings.socket, 0o600)
  writeFileSync(pidFileOf(settings.socket), JSON.stringify(processName(process.pid)), { mode: 0o600 })
  process.stdout.write('ready\n')
})

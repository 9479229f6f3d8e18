// The node's side of the watchdog: finds the one that is there, or starts one; feeds it; notices when it dies or stands still.
//
//   start() --connect--> one of this directory is there: adopted with the guests that it knows
//      `--nobody--> spawned, detached; "ready" --> connected
//
// Each message is answered within LIMITS.watchdogAnswerMs, or the watchdog is taken for dead and killed: two of one
// directory must never run, for the older would end guests that only the newer is fed for. Its own end is told at once
// (the socket closes). stop() lets go; a watchdog with guests goes on, one without ends.

import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { LIMITS } from '../../../fabric/base.ts'
import type { Clock } from '../../../fabric/base.ts'
import type { Log } from '../../../fabric/mod.ts'
import type { Guest, ProcessName } from './deadlines.ts'
import type { FromWatchdog, ToWatchdog, WatchdogSettings } from './main.ts'
import { kill, processName } from './processes.ts'
import { watchdogScript } from './scripts.ts'

export interface Watchdog {
  /** Resolves when one answers; one that runs already is taken over. May be called again after it was lost. */
  start(): Promise<void>
  /** Resolves with the guests that it has given up already; rejects when it does not answer. */
  feed(guests: readonly Guest[], untilMs: number): Promise<readonly string[]>
  /** They are off, or protected no more. */
  drop(uuids: readonly string[]): Promise<void>
  /** It died, or stood still and was ended. */
  onLost(listener: (reason: string) => void): () => void
  /** Lets go of it: with guests it goes on, without it ends. */
  stop(): void
}

export interface WatchdogOptions {
  /** Of the node: the socket, the log and, from a checkout, the script. */
  readonly directory: string
  readonly giveUpMs: number
  readonly clock: Clock
  readonly log: Pick<Log, 'info' | 'warn'>
  readonly hardware?: WatchdogSettings['hardware']
}

/** Flags that keep it small: 46 MiB resident, of which 9 MiB are its own. */
const NODE_FLAGS = ['--max-semi-space-size=1', '--max-old-space-size=32', '--v8-pool-size=1', '--no-global-search-paths', '--disable-warning=ExperimentalWarning']

interface Question { resolve(answer: FromWatchdog): void; reject(error: Error): void }
interface Link { readonly socket: Socket; readonly questions: Map<number, Question> }

function connected(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => resolve(socket))
    // Later ones come as 'close' too.
    socket.on('error', () => resolve(undefined))
  })
}

export function createWatchdog({ directory, giveUpMs, clock, log, hardware }: WatchdogOptions): Watchdog {
  const settings: WatchdogSettings = {
    socket: join(directory, 'ha.sock'), lookMs: LIMITS.haLookMs, killLookMs: LIMITS.watchdogKillLookMs, lineCharsMax: LIMITS.watchdogLineCharsMax,
    ...hardware === undefined ? {} : { hardware },
  }
  const listeners = new Set<(reason: string) => void>()
  let link: Link | undefined
  let seq = 0

  const lose = (lost: Link, reason: string): void => {
    for (const { reject } of lost.questions.values()) reject(new Error(reason))
    lost.questions.clear()
    if (link !== lost) return
    link = undefined
    lost.socket.destroy()
    for (const listener of [...listeners]) listener(reason)
  }

  const take = (socket: Socket): Link => {
    const taken: Link = { socket, questions: new Map() }
    let text = ''
    socket.setEncoding('utf8')
    socket.unref()
    socket.on('data', (piece: string) => {
      const lines = (text + piece).split('\n')
      text = lines.pop() ?? ''
      for (const line of lines) {
        const answer = JSON.parse(line) as FromWatchdog
        taken.questions.get(answer.seq)?.resolve(answer)
        taken.questions.delete(answer.seq)
      }
    })
    socket.once('close', () => lose(taken, 'the watchdog ended'))
    return taken
  }

  /** One that stands still must not come to itself later. */
  const endOther = (): void => {
    let other: ProcessName
    try { other = JSON.parse(readFileSync(`${settings.socket}.pid`, 'utf8')) as ProcessName } catch { return }
    if (processName(other.pid)?.startTicks === other.startTicks) kill(other.pid)
  }

  const ask = ({ socket, questions }: Link, message: ToWatchdog): Promise<FromWatchdog> => new Promise((resolve, reject) => {
    const timer = clock.after(LIMITS.watchdogAnswerMs, () => questions.get(message.seq)?.reject(new Error(`the watchdog did not answer within ${LIMITS.watchdogAnswerMs} ms`)), { background: true })
    questions.set(message.seq, {
      resolve(answer) { timer.cancel(); resolve(answer) },
      reject(error) { timer.cancel(); questions.delete(message.seq); reject(error) },
    })
    socket.write(`${JSON.stringify(message)}\n`)
  })
  const say = async (message: ToWatchdog): Promise<FromWatchdog> => {
    const present = link
    if (present === undefined) throw new Error('there is no watchdog')
    try {
      return await ask(present, message)
    } catch (error) {
      if (link === present) {
        endOther()
        lose(present, (error as Error).message)
      }
      throw error
    }
  }

  const spawnOne = async (): Promise<void> => {
    const logFile = openSync(join(directory, 'watchdog.log'), 'a', 0o600)
    try {
      // Only what it needs: it outlives the node, and tools that hook Node by its environment stay out.
      const child = spawn(process.execPath, [...NODE_FLAGS, watchdogScript(directory), JSON.stringify(settings)], { detached: true, stdio: ['ignore', 'pipe', logFile], cwd: '/', env: {} })
      child.unref()
      await new Promise<void>((resolve, reject) => {
        const end = (settle: () => void): void => { timer.cancel(); child.stdout?.destroy(); settle() }
        const timer = clock.after(LIMITS.watchdogStartMs, () => end(() => { child.kill('SIGKILL'); reject(new Error(`it was not ready within ${LIMITS.watchdogStartMs} ms`)) }), { background: true })
        child.once('error', (error) => end(() => reject(error)))
        child.once('exit', (code, signal) => end(() => reject(new Error(`it ended at once (${signal ?? `status ${code}`})`))))
        child.stdout?.once('data', () => end(resolve))
      })
    } finally { closeSync(logFile) }
  }

  const begin = async (): Promise<void> => {
    if (link !== undefined) return
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    let socket = await connected(settings.socket)
    if (socket !== undefined) {
      const adopted = take(socket)
      try {
        await ask(adopted, { seq: ++seq, do: 'drop', uuids: [] })
        link = adopted
        log.info('a watchdog was there already', { socket: settings.socket })
        return
      } catch (error) {
        adopted.socket.destroy()
        log.warn('the watchdog that was there does not answer; it is ended', { reason: (error as Error).message })
      }
    }
    endOther()
    await spawnOne()
    socket = await connected(settings.socket)
    if (socket === undefined) throw new Error('its socket does not answer')
    link = take(socket)
  }

  let starting: Promise<void> | undefined
  return {
    start: () => starting ??= begin().finally(() => { starting = undefined }),
    async feed(guests, untilMs) { return (await say({ seq: ++seq, do: 'feed', untilMs, giveUpMs, guests })).refused },
    async drop(uuids) { if (uuids.length > 0 && link !== undefined) await say({ seq: ++seq, do: 'drop', uuids }) },
    onLost(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    stop() {
      const last = link
      link = undefined
      last?.socket.end()
    },
  }
}

// One cell: a process of its own under Node's permission model (its scripts and three packages readable,
// nothing writable), behind the walls that this machine allows (walls.ts), with an empty environment, that dies with
// its parent (setpriv --pdeathsig KILL, and end of file on the control pipe). The kernel may SIGKILL it at any time.

import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { LIMITS } from '../../../fabric/base.ts'
import { CellLane, type CellLaneHooks } from './cell-lane.ts'
import { programPath } from './programs.ts'
import { residentMiB } from './walls.ts'
import type { CellPlace } from './walls.ts'

export type DeathCause = 'crash' | 'out-of-memory' | 'stuck' | 'closed'

export interface CellSettings {
  readonly lanes: number
  readonly spareIsolates: number
  readonly warmIsolates: number
  /** KindShape list as JSON text. */
  readonly shapes: string
  readonly stderr: 'ignore' | 'inherit'
}

export interface CellHooks {
  ready(): void
  died(): void
  package: CellLaneHooks['package']
}

function nodeArguments(settings: CellSettings, { scripts, readable }: CellPlace): string[] {
  return [
    '--no-node-snapshot', '--permission', '--allow-addons', '--allow-worker', ...readable.map((path) => `--allow-fs-read=${path}`),
    '--disable-warning=PERM0001', '--disable-warning=PERM0006', '--disable-warning=ExperimentalWarning', '--disable-warning=SecurityWarning',
    '--v8-pool-size=1', '--max-semi-space-size=2', '--max-old-space-size=256', '--no-global-search-paths',
    scripts.main,
    JSON.stringify({ worker: scripts.worker, prelude: scripts.prelude, shapes: settings.shapes, lanes: settings.lanes, spares: settings.spareIsolates, warm: settings.warmIsolates }),
  ]
}

/**
 * By the loader in this process's own memory map. Not by process.report, which waits for every thread of the process, and
 * a thread in a hypervisor call may not answer for seconds; nobody is served meanwhile.
 */
let muslHere: boolean | undefined
function musl(): boolean {
  muslHere ??= existsSync('/proc/self/maps') && readFileSync('/proc/self/maps', 'latin1').includes('/ld-musl-')
  return muslHere
}

export class CellProcess {
  readonly #child: ChildProcess
  readonly #control: Socket
  readonly #hooks: CellHooks
  readonly #place: CellPlace
  readonly lanes: CellLane[] = []
  /** Resolves once the process is gone. */
  readonly gone: Promise<void>
  #isGone: () => void = () => {}
  ready = false
  dead = false
  /** Why it was killed; undefined when it died by itself. */
  cause: DeathCause | undefined
  how = ''
  #residentPoll: NodeJS.Timeout | undefined

  constructor(settings: CellSettings, place: CellPlace, hooks: CellHooks) {
    this.#place = place
    this.#hooks = hooks
    this.gone = new Promise((resolve) => { this.#isGone = resolve })
    // `env -i` and not only an empty `env` option: tools that hook child_process add NODE_OPTIONS to that.
    const environment = [`LIBC=${musl() ? 'musl' : 'glibc'}`, 'MALLOC_ARENA_MAX=2']
    const [command = 'env', ...rest] = [...place.wrapper, programPath('env'), '-i', ...environment, process.execPath, ...nodeArguments(settings, place)]
    const pipes = Array.from({ length: settings.lanes + 1 }, () => 'pipe' as const)
    this.#child = spawn(command, rest, {
      stdio: ['ignore', 'ignore', settings.stderr, ...pipes], cwd: '/', env: {},
    })
    this.#child.once('exit', (code, signal) => this.#exited(signal ?? `exit status ${code}`))
    this.#child.once('error', (error) => this.#exited(error.message))
    this.#control = this.#child.stdio[3] as Socket
    this.#control.on('error', () => {})
    this.#control.unref()
    for (let i = 0; i < settings.lanes; i++) {
      const socket = this.#child.stdio[4 + i] as unknown as Socket
      this.lanes.push(new CellLane(socket, {
        ready: () => this.#laneReady(),
        catastrophe: () => this.kill('out-of-memory'),
        broken: () => this.kill('crash'),
        package: hooks.package,
      }))
      socket.unref()
    }
    this.#child.unref()
    if (this.#child.pid !== undefined) place.begun(this.#child.pid)
    this.#preferForOom()
    this.startLane(0)
  }

  get pid(): number { return this.#child.pid ?? 0 }
  /** Dead, or about to be: nothing may be started on it. */
  get doomed(): boolean { return this.dead || this.cause !== undefined }
  get running(): number { return this.lanes.reduce((sum, lane) => sum + lane.attempts.size, 0) }

  /** Under memory pressure the machine should take a cell before anything else. */
  #preferForOom(): void {
    try {
      writeFileSync(`/proc/${this.pid}/oom_score_adj`, '900')
    } catch {
      // Not Linux, or already gone.
    }
  }

  startLane(index: number): void {
    const lane = this.lanes[index]
    if (lane === undefined || lane.started || this.dead) return
    lane.started = true
    this.#control.write(Uint8Array.of(index))
  }

  #laneReady(): void {
    if (this.ready) return
    this.ready = true
    this.#hooks.ready()
  }

  /** The lane with the least to do; a second lane is started when the first is busy, and used once it is up. */
  pickLane(): CellLane {
    let best = this.lanes[0] as CellLane
    for (const lane of this.lanes) if (lane.ready && lane.attempts.size < best.attempts.size) best = lane
    if (best.attempts.size > 0) {
      const idle = this.lanes.findIndex((lane) => !lane.started)
      if (idle >= 0) this.startLane(idle)
    }
    return best
  }

  residentMiB(): number { return residentMiB(this.pid) }
  /** Most memory it ever had, by its control group. */
  peakMiB(): number | undefined { return this.#place.peakMiB() }

  /** Called when the cell gets its first attempt and when it has none left: an idle cell is not looked at. */
  watchResident(busy: 'busy' | 'idle'): void {
    if (busy === 'busy') {
      this.#residentPoll ??= setInterval(() => { if (this.residentMiB() > LIMITS.cellResidentMiBMax) this.kill('out-of-memory') }, LIMITS.residentPollMs)
      return
    }
    clearInterval(this.#residentPoll)
    this.#residentPoll = undefined
  }

  /** SIGKILL; `died` follows once the process is gone. */
  kill(cause: DeathCause): void {
    this.cause ??= cause
    this.#child.ref()
    this.#child.kill('SIGKILL')
  }

  #exited(how: string): void {
    if (this.dead) return
    this.dead = true
    this.watchResident('idle')
    // The kernel's own verdict: to us it is a SIGKILL like any other.
    if (this.#place.ranOut()) this.cause ??= 'out-of-memory'
    this.#place.leave()
    for (const stream of this.#child.stdio) stream?.destroy()
    this.how = this.cause === 'out-of-memory' ? `above ${LIMITS.cellResidentMiBMax} MiB, or a heap that V8 gave up` : how
    this.#isGone()
    this.#hooks.died()
    // Each asks how many were running with it, so none may be taken off the lists before all have asked.
    const attempts = this.lanes.flatMap((lane) => [...lane.attempts.values()])
    const running = attempts.length
    for (const attempt of attempts) attempt.died(running)
  }
}

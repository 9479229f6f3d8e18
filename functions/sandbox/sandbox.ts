// The sandbox of one node: cells by principal, a spare cell started ahead, admission, quarantine. Implements
// the Sandbox contract (functions/contract.ts). User code runs in cells only; nothing here decodes a user
// value. Jobs of one principal share its cell; principals never share one.

import { availableParallelism } from 'node:os'
import { LIMITS, systemClock, type Clock, type Timer } from '../../fabric/base.ts'
import type { CellStats, Job, JobHooks, JobResult, KindShape, Sandbox, SandboxStats } from '../contract.ts'
import type { Admission } from '../admission.ts'
import { FUNCTIONS } from '../errors.ts'
import { bundlePackage, cellScripts, scriptsDirectory } from './bundle.ts'
import { CellProcess } from './kernel/cell-process.ts'
import { Gate } from './kernel/gate.ts'
import { JobRun } from './kernel/job-run.ts'
import { makePlan, planKey, type JobPlan } from './kernel/job-plan.ts'
import { PackageStore } from './kernel/package-store.ts'
import { Quarantine } from './kernel/quarantine.ts'
import { admitEngine, engineRefusal } from './kernel/engine-gate.ts'
import { raiseWalls } from './kernel/walls.ts'
import type { Walls } from './kernel/walls.ts'

export interface SandboxOptions {
  /** Private to this node: bundles are executed from here. Must not be writable by others. */
  readonly cacheDirectory: string
  /** Kinds that handles are made for. */
  readonly shapes: readonly KindShape[]
  /** Where npm packages named by shipped functions are looked up from, in this order. */
  readonly packageDirectories: readonly string[]
  /** Threads per cell; default: the cores. */
  readonly workers?: number
  /** Cells started ahead; default LIMITS.spareCells. */
  readonly spareCells?: number
  readonly spareIsolates?: number
  readonly clock?: Clock
  /** What this node refuses to run; default: nothing. */
  readonly admission?: Admission
  /** Version of V8 that is judged before user code runs; default: this process's own. */
  readonly engine?: string
  /** V8 writes its reasons for aborting to stderr; default 'ignore'. */
  readonly cellStderr?: 'ignore' | 'inherit'
}

const PLANS_CACHED_MAX = 1_024

/** A principal's place: its cell (when it has one), and who may use it. */
interface Tenant { readonly principal: string; readonly gate: Gate; cell: Promise<CellProcess> | undefined; process: CellProcess | undefined; waiting: number; /** By depth: the shallow ones must leave room for those that they wait for. */ readonly waitingAt: number[]; kills: number; usedAtMs: number; idle: Timer | undefined }

class CellSandbox implements Sandbox {
  readonly #options: SandboxOptions
  readonly #walls: Walls
  readonly #engine: string
  readonly #clock: Clock
  readonly #packages: PackageStore
  readonly #quarantine = new Quarantine(LIMITS.quarantineKills, LIMITS.quarantineMs)
  readonly #tenants = new Map<string, Tenant>()
  readonly #plans = new Map<string, JobPlan>()
  readonly #alive = new Set<CellProcess>()
  #spares: { readonly process: CellProcess; readonly ready: Promise<CellProcess> }[] = []
  #closed = false

  constructor(options: SandboxOptions, walls: Walls) {
    this.#options = options
    this.#walls = walls
    this.#engine = options.engine ?? process.versions.v8
    this.#clock = options.clock ?? systemClock
    this.#packages = new PackageStore(LIMITS.packagesCachedMax, LIMITS.packageBytesMax, async (request) => {
      options.admission?.module(request.name)
      return await bundlePackage(request, options.packageDirectories)
    })
    if (engineRefusal(this.#engine) === undefined) this.#fillSpares()
  }

  async run(job: Job, hooks: JobHooks, signal: AbortSignal): Promise<JobResult> {
    if (this.#closed) throw FUNCTIONS.SANDBOX_CLOSED({})
    admitEngine(this.#engine)
    const nowMs = this.#clock.nowMs()
    const functions = 'code' in job.terminal ? [...job.stages, job.terminal] : job.stages
    for (const { code, name } of functions) {
      if (this.#quarantine.refuses(code, nowMs)) throw FUNCTIONS.SANDBOX_QUARANTINED({ name: name === '' ? 'without a name' : name, kills: LIMITS.quarantineKills, seconds: LIMITS.quarantineMs / 1_000 })
    }
    const tenant = this.#tenant(job.principal)
    const depth = job.depth ?? 0
    if ((tenant.waitingAt[depth] ?? 0) >= LIMITS.cellQueueMax) throw FUNCTIONS.SANDBOX_BUSY({ principal: job.principal, waiting: tenant.waiting })
    return await this.#using(tenant, depth, () => new JobRun(job, this.#plan(job), hooks, signal, {
      clock: this.#clock,
      enter: (how) => this.#enter(tenant, how),
      killed: () => {
        tenant.kills++
        for (const { code } of functions) this.#quarantine.record(code, this.#clock.nowMs())
      },
    }).run())
  }

  /** A tenant in use is neither evicted nor retired. */
  async #using<T>(tenant: Tenant, depth: number, work: () => Promise<T>): Promise<T> {
    tenant.waiting++
    tenant.waitingAt[depth] = (tenant.waitingAt[depth] ?? 0) + 1
    tenant.idle?.cancel()
    tenant.idle = undefined
    try {
      return await work()
    } finally {
      tenant.waiting--
      tenant.waitingAt[depth] = (tenant.waitingAt[depth] ?? 1) - 1
      tenant.usedAtMs = this.#clock.nowMs()
      if (tenant.waiting === 0 && !this.#closed) tenant.idle = this.#clock.after(LIMITS.cellIdleMs, () => this.#retire(tenant), { background: true })
    }
  }

  async warm(principal: string): Promise<void> {
    if (this.#closed) throw FUNCTIONS.SANDBOX_CLOSED({})
    admitEngine(this.#engine)
    const tenant = this.#tenant(principal)
    await this.#using(tenant, 0, () => this.#cell(tenant))
  }

  stats(): SandboxStats {
    const cells: CellStats[] = []
    for (const { principal, process, waiting, kills } of this.#tenants.values()) {
      if (process === undefined || process.dead) continue
      cells.push({ principal, pid: process.pid, residentMiB: process.residentMiB(), running: process.running, queued: waiting - process.running, kills, ...peakOf(process) })
    }
    return { cells, quarantined: this.#quarantine.list(this.#clock.nowMs()), walls: this.#walls.report }
  }

  async close(): Promise<void> {
    this.#closed = true
    const gone = [...this.#alive].map((cell) => cell.gone)
    for (const cell of this.#alive) cell.kill('closed')
    for (const { idle } of this.#tenants.values()) idle?.cancel()
    await Promise.all(gone)
    this.#walls.close()
  }

  #plan(job: Job): JobPlan {
    const key = planKey(job)
    let plan = this.#plans.get(key)
    if (plan === undefined) {
      plan = makePlan(key, job)
      if (this.#options.admission !== undefined) this.#options.admission.program(plan.code.reduce((sum, hash) => sum + job.blob(hash).byteLength, 0))
      this.#plans.set(key, plan)
      const oldest = this.#plans.keys().next()
      if (this.#plans.size > PLANS_CACHED_MAX && oldest.done !== true) this.#plans.delete(oldest.value)
    }
    return plan
  }

  #tenant(principal: string): Tenant {
    let tenant = this.#tenants.get(principal)
    if (tenant === undefined) {
      if (this.#tenants.size >= LIMITS.cellsMax) this.#evict()
      tenant = { principal, gate: new Gate(), cell: undefined, process: undefined, waiting: 0, waitingAt: [], kills: 0, usedAtMs: 0, idle: undefined }
      this.#tenants.set(principal, tenant)
    }
    return tenant
  }

  #evict(): void {
    let oldest: Tenant | undefined
    for (const tenant of this.#tenants.values()) if (tenant.waiting === 0 && (oldest === undefined || tenant.usedAtMs < oldest.usedAtMs)) oldest = tenant
    if (oldest === undefined) throw FUNCTIONS.SANDBOX_FULL({ cells: LIMITS.cellsMax })
    this.#retire(oldest)
  }

  #retire(tenant: Tenant): void {
    if (tenant.waiting > 0) return
    tenant.idle?.cancel()
    tenant.process?.kill('closed')
    this.#tenants.delete(tenant.principal)
  }

  async #enter(tenant: Tenant, how: 'shared' | 'exclusive' | 'nested'): Promise<{ cell: CellProcess; leave(): void }> {
    const leave = how === 'nested' ? tenant.gate.nested() : how === 'exclusive' ? await tenant.gate.exclusive() : tenant.gate.tryShared() ? () => tenant.gate.leaveShared() : await tenant.gate.shared()
    try {
      // A cell that dies while it starts says more about the machine than about the job: one more try.
      return { cell: await this.#cell(tenant).catch(() => this.#cell(tenant)), leave }
    } catch (error) {
      leave()
      throw error
    }
  }

  /** The tenant's live cell: its own, the spare, or a new one. */
  #cell(tenant: Tenant): Promise<CellProcess> {
    if (tenant.process !== undefined && !tenant.process.doomed) return tenant.cell as Promise<CellProcess>
    const spare = this.#spares.find(({ process }) => !process.doomed)
    this.#spares = this.#spares.filter((candidate) => candidate !== spare && !candidate.process.doomed)
    const { process, ready } = spare ?? this.#start()
    tenant.process = process
    tenant.cell = ready
    // A new spare is started once this one is up, so that two starts do not share the cores.
    ready.then(() => this.#clock.after(LIMITS.spareDelayMs, () => this.#fillSpares(), { background: true }), () => { if (tenant.process === process) tenant.process = undefined })
    return ready
  }

  #fillSpares(): void {
    while (!this.#closed && this.#spares.length < (this.#options.spareCells ?? LIMITS.spareCells)) {
      const spare = this.#start()
      spare.ready.catch(() => { this.#spares = this.#spares.filter((candidate) => candidate !== spare) })
      this.#spares.push(spare)
    }
  }

  #start(): { readonly process: CellProcess; readonly ready: Promise<CellProcess> } {
    if (this.#closed) throw FUNCTIONS.SANDBOX_CLOSED({})
    let up: () => void = () => {}
    let down: (reason: Error) => void = () => {}
    const signalled = new Promise<void>((resolve, reject) => { up = resolve; down = reject })
    const lanes = Math.max(1, this.#options.workers ?? availableParallelism())
    const process = new CellProcess({
      lanes, shapes: JSON.stringify(this.#options.shapes),
      spareIsolates: this.#options.spareIsolates ?? LIMITS.spareIsolatesPerWorker, warmIsolates: LIMITS.warmIsolatesPerWorkerMax, stderr: this.#options.cellStderr ?? 'ignore',
    }, this.#walls.place(lanes), {
      ready: () => up(),
      died: () => {
        this.#alive.delete(process)
        down(FUNCTIONS.SANDBOX_START({ reason: process.how }))
      },
      package: async (request) => await this.#packages.answer(request),
    })
    this.#alive.add(process)
    const slow = this.#clock.after(LIMITS.cellStartTimeoutMs, () => process.kill('crash'))
    const ready = signalled.then(() => process).finally(() => slow.cancel())
    return { process, ready }
  }
}

function peakOf(process: CellProcess): { readonly peakMiB?: number } {
  const peakMiB = process.peakMiB()
  return peakMiB === undefined ? {} : { peakMiB }
}

/** Starts a sandbox; the first start on a machine bundles the cell's scripts into the cache directory. */
export async function createSandbox(options: SandboxOptions): Promise<Sandbox> {
  const scripts = await cellScripts(options.cacheDirectory)
  return new CellSandbox(options, await raiseWalls({ directory: scriptsDirectory(options.cacheDirectory), scripts }))
}

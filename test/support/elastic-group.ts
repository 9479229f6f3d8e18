// A group that lives on virtual time: members boot, carry load, go; what a policy proposes is done, or fails as the test says.

import type { ElasticSpec, GroupRecord, MachineView, PolicyOutput, PoolSnapshot, VmView } from '../../kali/cloud/contract.ts'
import { elasticity } from '../../kali/policies/elasticity.ts'
import type { ElasticMemory } from '../../kali/policies/elasticity.ts'
import type { Wish } from '../../kali/policies/elastic-load.ts'
import { group as newGroup, machine, snapshot, START_MS, vm } from './pool-snapshots.ts'

export interface GroupLifeOptions {
  readonly spec?: Partial<ElasticSpec>
  readonly wish?: Wish
  readonly bootMs?: number
  readonly leaveMs?: number
  readonly machines?: readonly MachineView[]
  /** Load in members, shared by those that are ready; or what each burns by itself. */
  load(atMs: number): { readonly shared: number } | { readonly each: number }
  /** What comes of a grow: default 'made'. 'refused': nothing; 'stuck': it never becomes ready; 'failed': its agent cannot make it. */
  launch?(member: string, atMs: number): 'made' | 'refused' | 'stuck' | 'failed'
}
interface Life { readonly view: VmView; readonly bornMs: number; readonly fate: 'made' | 'stuck' | 'failed'; readonly leavingMs?: number }
/** Ready members at a moment, and what was done then. */
export interface Moment { readonly atMs: number; readonly wanted: number; readonly ready: number; readonly grown: number; readonly shrunk: number }

export class GroupLife {
  group: GroupRecord
  atMs = 0
  readonly moments: Moment[] = []
  last: PolicyOutput<ElasticMemory> | undefined
  mode: PoolSnapshot['mode'] = 'armed'
  #lives = new Map<string, Life>()
  readonly #options: GroupLifeOptions
  readonly #decide
  memory: ElasticMemory | undefined

  constructor(options: GroupLifeOptions) {
    this.#options = options
    this.group = newGroup({ original: 'v-web' }, options.spec)
    this.#decide = elasticity(options.wish === undefined ? {} : { wish: options.wish })
    this.#lives.set('v-web', { view: this.#member('web'), bornMs: -3_600_000, fate: 'made' })
  }

  #member(name: string): VmView { return vm(name, { group: 'g-web', machine: 'm-a' }) }

  get names(): readonly string[] { return [...this.#lives.values()].filter(({ leavingMs }) => leavingMs === undefined).map(({ view }) => view.name) }
  get readyCount(): number { return this.#views().filter(({ desired, inFlight }) => desired === 'running' && !inFlight).length }

  /** By a human. */
  kill(name: string): void { this.#lives.delete(`v-${name}`) }

  #views(): readonly VmView[] {
    const up = (life: Life): boolean => life.fate === 'made' && this.atMs - life.bornMs >= (this.#options.bootMs ?? 20_000) && life.leavingMs === undefined
    const lives = [...this.#lives.values()]
    const load = this.#options.load(this.atMs)
    const carriers = lives.filter(up).length
    return lives.map((life) => ({
      ...life.view, desired: life.leavingMs === undefined ? 'running' as const : 'absent' as const, inFlight: life.leavingMs === undefined && !up(life),
      phase: up(life) ? 'ready' as const : life.fate === 'failed' ? 'failed' as const : 'starting' as const, phaseSinceMs: START_MS + life.bornMs,
      ...(up(life) ? { cpuRatio: Math.min(1, 'each' in load ? load.each : load.shared / carriers) } : {}),
    }))
  }

  snapshot(): PoolSnapshot {
    for (const [uuid, { leavingMs }] of this.#lives) if (leavingMs !== undefined && this.atMs - leavingMs >= (this.#options.leaveMs ?? 10_000)) this.#lives.delete(uuid)
    return snapshot({ atMs: START_MS + this.atMs, mode: this.mode, machines: this.#options.machines ?? [machine('a', { freeVcpus: 64 })], vms: this.#views(), groups: [this.group] })
  }

  /** One round, then the clock goes on. `lost`: its answer gets lost after it was done, so that the next one begins from the same memory. */
  round(stepMs = 1_000, answer: 'kept' | 'lost' = 'kept'): PolicyOutput<ElasticMemory> {
    const out = this.#decide({ snapshot: this.snapshot(), memory: this.memory, random: () => 0.5 })
    let grown = 0, shrunk = 0
    for (const { action } of out.proposals) {
      if (action.do === 'grow') {
        grown++
        const fate = this.#options.launch?.(action.member, this.atMs) ?? 'made'
        const view = this.#member(`web-${action.member}`)
        if (fate !== 'refused' && !this.#lives.has(view.uuid)) this.#lives.set(view.uuid, { view, bornMs: this.atMs, fate })
      } else if (action.do === 'shrink') {
        shrunk++
        const life = this.#lives.get(action.vm)
        if (life !== undefined) this.#lives.set(action.vm, { ...life, leavingMs: this.atMs })
      }
    }
    if (answer === 'kept') this.memory = out.memory
    this.last = out
    this.moments.push({ atMs: this.atMs, wanted: this.names.length, ready: this.readyCount, grown, shrunk })
    this.atMs += stepMs
    return out
  }

  run(forMs: number, stepMs = 1_000): this {
    for (const endMs = this.atMs + forMs; this.atMs < endMs;) this.round(stepMs)
    return this
  }

  /** Moments in which something was asked for, in seconds. */
  get growths(): readonly number[] { return this.moments.filter(({ grown }) => grown > 0).map(({ atMs }) => atMs / 1_000) }
  get shrinkings(): readonly number[] { return this.moments.filter(({ shrunk }) => shrunk > 0).map(({ atMs }) => atMs / 1_000) }
}

// What policies did and what came of it: proposals by outcome and reason, and what must not be or ought not to be, looked at
// each LOOK_MS from outside, in the hosts' own records. Only reads.
//
//   service.act() --counted--> rounds, proposals        hosts, view --each 10 s--> violations

import type { Clock } from '../../fabric/base.ts'
import type { CloudView, IntentRecord } from '../cloud/contract.ts'
import type { CloudService } from '../cloud/parts.ts'
import { schedulerText } from '../kinds/types.ts'
import { selectorOf } from '../placement/rule-index.ts'
import type { ActionTally, CloudPoint, CloudTallyReport, PolicyTally, ViolationTally } from './contract.ts'
import type { GroupLoads } from './group-loads.ts'
import type { SimulatedHost } from './world.ts'

const LOOK_MS = 10_000
const MINUTE_MS = 60_000
/** As the consolidation bench counts it (test/bench/consolidation.ts). */
const BUSY_RATIO = 0.9
/** A group that grows or heals is below its least for a moment. */
const BELOW_MS = 120_000
const REASONS_SHOWN = 5
const REASONS_MAX = 200
/** Not those in names. */
const NUMBERS = /(?<![\w-])\d+(\.\d+)?(?![\w-])/g

export interface CloudTallyOptions {
  readonly clock: Clock
  readonly view: CloudView
  readonly hosts: readonly SimulatedHost[]
  readonly loads: Pick<GroupLoads, 'last'>
}
export interface CloudTally {
  /** Counts what policies ask of it. */
  watched(service: CloudService): CloudService
  /** A policy looks at a pool. */
  looked(policy: string, pool: string): void
  start(): void
  point(): CloudPoint
  /** `functions`: names of all that were given; `problems`: of the records, at the end. */
  report(functions: readonly string[], problems: readonly string[]): CloudTallyReport
  stop(): void
}

interface Counted { readonly done: number; readonly refused: number; readonly nothing: number; readonly reasons: Map<string, number> }
interface OfPolicy { readonly policy: string; readonly pool: string; rounds: number; acts: number; readonly actions: Map<string, { -readonly [K in keyof Counted]: Counted[K] }> }
interface Seen { readonly broken: boolean; times: number; ms: number; readonly first: ViolationTally['first']; lastMs: number }

export function createCloudTally({ clock, view, hosts, loads }: CloudTallyOptions): CloudTally {
  const policies = new Map<string, OfPolicy>()
  const violations = new Map<string, Seen>()
  const belowSince = new Map<string, number>()
  let stopped = false

  const of = (policy: string, pool: string): OfPolicy => {
    const name = view.pool(pool)?.name ?? pool, key = `${name}/${policy}`
    const made = policies.get(key) ?? { policy, pool: name, rounds: 0, acts: 0, actions: new Map() }
    policies.set(key, made)
    return made
  }
  const watched = (service: CloudService): CloudService => ({
    ...service,
    async act(pool, request, by) {
      const told = of(request.policy, pool)
      told.acts++
      const answer = await service.act(pool, request, by)
      for (const [i, { outcome, reason }] of answer.results.entries()) {
        const action = request.proposals[i]?.action.do ?? 'note'
        const counted = told.actions.get(action) ?? { done: 0, refused: 0, nothing: 0, reasons: new Map<string, number>() }
        told.actions.set(action, counted)
        counted[outcome]++
        const text = reason.replace(NUMBERS, '#')
        if (outcome === 'refused' && (counted.reasons.has(text) || counted.reasons.size < REASONS_MAX)) counted.reasons.set(text, (counted.reasons.get(text) ?? 0) + 1)
      }
      return answer
    },
  })

  /** `weight`: how many it is true of. `times` counts beginnings. */
  const say = (what: string, broken: boolean, text: string, weight = 1): void => {
    const nowMs = clock.nowMs()
    const seen = violations.get(what) ?? { broken, times: 0, ms: 0, first: { atMs: nowMs, text }, lastMs: -Infinity }
    violations.set(what, seen)
    if (nowMs - seen.lastMs > LOOK_MS * 1.5) seen.times++
    seen.ms += LOOK_MS * weight
    seen.lastMs = nowMs
  }

  const lookAtHosts = (): void => {
    const running = new Map<string, string>()
    for (const { host, name, driver, down } of hosts) {
      let memoryMiB = 0, vms = 0
      for (const { uuid, name: vm, record: { state, settings } } of host.vms.list()) {
        if (state !== 'running') continue
        const other = running.get(uuid)
        if (other !== undefined) say('VMs that run twice', true, `${vm} runs on ${other} and ${name}`)
        running.set(uuid, name)
        memoryMiB += settings.memoryMiB
        vms++
      }
      const room = driver.figures().memoryTotalMiB
      if (memoryMiB > room) say('machines without memory for their VMs', true, `${name} has ${room} MiB, and its VMs ${memoryMiB}`)
      const { cpuRatio } = driver.figures()
      if (!down && vms > 0 && cpuRatio > BUSY_RATIO) say(`VM-minutes on machines over ${BUSY_RATIO * 100} %`, false, `${name} at ${Math.round(cpuRatio * 100)} % with ${vms} VMs`, vms)
    }
    for (const intent of view.intents()) {
      if (intent.protection !== undefined && intent.desired === 'running' && !running.has(intent.uuid)) say('minutes that protected VMs were not running', false, `${intent.name}, which belongs on ${intent.machine?.name ?? 'no machine'}`)
      if (intent.error !== undefined) say('minutes that VMs were given up', false, `${intent.name}: ${intent.error}`)
    }
  }
  const isReady = ({ uuid, epoch, desired }: IntentRecord): boolean => { const status = view.status(uuid); return desired === 'running' && status?.epoch === epoch && status.phase === 'ready' }
  const lookAtGroups = (): void => {
    for (const { uuid, name, spec } of view.groups()) {
      const members = view.intents({ group: uuid }), ready = members.filter(isReady).length
      const there = members.filter(({ desired }) => desired !== 'absent').length
      if (there > spec.max) say('groups above their max', true, `${name} has ${there} members, and its max is ${spec.max}`)
      if (ready >= spec.min) belowSince.delete(uuid)
      else {
        const since = belowSince.get(uuid) ?? clock.nowMs()
        belowSince.set(uuid, since)
        if (clock.nowMs() - since >= BELOW_MS) say('minutes that groups were below their min', false, `${name} has ${ready} members ready, and its min is ${spec.min}`)
      }
      const { asked = 0, missed = 0 } = loads.last.get(uuid) ?? {}
      if (missed > 0) say('member-minutes that were asked for and missing', false, `${name} was asked for the work of ${asked.toFixed(1)} members, and ${ready} were ready`, missed)
    }
  }
  const lookAtRules = (): void => {
    for (const pool of view.pools()) {
      const rules = view.rules(pool.uuid).filter(({ hard }) => hard)
      if (rules.length === 0) continue
      const vms = view.intents({ pool: pool.uuid }).filter(({ desired, machine }) => desired === 'running' && machine !== undefined)
      for (const { name, type, vms: selected, machines = [] } of rules) {
        const selects = selectorOf(selected, view.groups(pool.uuid))
        const places = vms.filter((vm) => selects({ uuid: vm.uuid, name: vm.name, labels: vm.settings.labels ?? {}, ...(vm.group === undefined ? {} : { group: vm.group }) })).map(({ machine }) => machine?.name ?? '')
        const distinct = new Set(places).size
        const broken = type === 'together' ? distinct > 1 : type === 'apart' ? distinct < places.length : places.some((place) => machines.includes(place) === (type === 'not-on'))
        if (broken) say('hard rules that are broken', true, `${name} (${type}): ${places.join(', ')}`)
      }
    }
  }
  const look = (): void => {
    if (stopped) return
    lookAtHosts()
    lookAtGroups()
    lookAtRules()
    clock.after(LOOK_MS, look)
  }

  return {
    watched, start: look,
    // It asks about all pools, and leaves those alone that do not name it.
    looked(policy, pool) { if (view.pool(pool)?.policies.includes(policy) === true) of(policy, pool).rounds++ },
    point() {
      const intents = view.intents().filter(({ desired }) => desired === 'running'), members = intents.filter(({ group }) => group !== undefined)
      return {
        vms: intents.length, members: members.length, ready: members.filter(isReady).length, waiting: intents.filter(({ machine }) => machine === undefined).length,
        failed: intents.filter(({ error }) => error !== undefined).length, asleep: view.machines().filter(({ asleep }) => asleep === true).length,
      }
    },
    report(functions, problems) {
      for (const text of problems) say('records that do not agree', true, text)
      const named = [...new Set(view.pools().flatMap((pool) => pool.policies))]
      return {
        pools: view.pools().map(({ uuid, name, scheduler, policies: names }) => ({ name, machines: view.machines(uuid).length, vms: view.intents({ pool: uuid }).length, scheduler: schedulerText(scheduler), policies: names })),
        policies: [...policies.values()].sort((a, b) => (`${a.pool}/${a.policy}` < `${b.pool}/${b.policy}` ? -1 : 1)).map(tallyOf),
        missing: named.filter((name) => !functions.includes(name)).sort(),
        violations: [...violations].map(([what, { broken, times, ms, first }]) => ({ what, broken, times, minutes: Math.round(ms / MINUTE_MS * 10) / 10, first })).sort((a, b) => Number(b.broken) - Number(a.broken) || (a.what < b.what ? -1 : 1)),
      }
    },
    stop() { stopped = true },
  }
}

const tallyOf = ({ policy, pool, rounds, acts, actions }: OfPolicy): PolicyTally => ({
  policy, pool, rounds, acts,
  actions: [...actions].sort(([a], [b]) => (a < b ? -1 : 1)).map(([action, { done, refused, nothing, reasons }]): ActionTally => ({
    action, done, refused, nothing,
    reasons: [...reasons].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).slice(0, REASONS_SHOWN).map(([reason, times]) => ({ reason, times })),
  })),
})

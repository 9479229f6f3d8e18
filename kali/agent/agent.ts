// The agent of a node: makes real what intents say about the machines of this node, and tells what became of it.
//
//   view.onChange, host.onChange, timers --wake--> one worker a VM: look -> agent-core.ts -> one step -> look again
//                                                     |-> status records, written beside, the newest only
//   lease gives up --fence()--> every protected VM here is destroyed, at once
//
// Invariants:
//   - nothing runs before the return: all copies whose intent names another machine or epoch are gone (cloud.md 5.9)
//   - one step a VM at a time; a crash is answered without any timer in the way
//   - what was promised to the HA policy ('crashed': not started here) is withdrawn in the store before it is broken
// No journal of its own: what is lost with the process is found again by looking.

import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Clock, Random, Timer } from '../../fabric/base.ts'
import type { Log } from '../../fabric/mod.ts'
import { versionOf } from '../../rmo/mod.ts'
import type { CloudView, IntentRecord, Stored } from '../cloud/contract.ts'
import type { AgentHost, CloudBook, HostLease } from '../cloud/parts.ts'
import { decide } from './agent-core.ts'
import { carryOut } from './carry-out.ts'
import type { Done } from './carry-out.ts'
import { createLanes } from './lanes.ts'
import type { Lanes } from './lanes.ts'
import { isOff, learn, observe } from './memory.ts'
import { comeBack } from './returning.ts'
import { createStatusWriter } from './status-writer.ts'
import type { StatusWriter } from './status-writer.ts'
import { AGENT } from './steps.ts'
import type { Armed, Memory, Outcome, Seen, Step } from './steps.ts'

export interface AgentOptions {
  readonly view: CloudView
  /** The view has read everything once. */
  readonly viewReady: Promise<void>
  readonly book: Pick<CloudBook, 'change' | 'forget' | 'status' | 'decided'>
  readonly lease: Pick<HostLease, 'arm' | 'disarm' | 'held' | 'onChange'>
  /** By machine: one, or a simulated fleet. */
  readonly hosts: ReadonlyMap<string, AgentHost>
  readonly clock: Clock
  readonly random: Random
  readonly log: Pick<Log, 'info' | 'warn'>
}

export interface Agent {
  /** Resolves when stale copies are gone and the agent has begun to work; pends while store or hypervisor are away. */
  readonly ready: Promise<void>
  /** The lease was given up: destroys every protected VM here, and those that the lease names. Resolves when all are seen off; rejects when the agent stops first. */
  fence(vms?: readonly { readonly uuid: string }[]): Promise<void>
  /** Leaves VMs as they are. Idempotent. */
  stop(): Promise<void>
}

interface Site { readonly host: AgentHost; readonly lanes: Lanes; readonly workers: Map<string, Worker> }
interface Worker {
  readonly vm: string
  readonly site: Site
  readonly status: StatusWriter
  memory: Memory | undefined
  armed: Armed | undefined
  /** Own writes, which the view may not have yet. */
  latest: Stored<IntentRecord> | undefined
  running: Promise<void> | undefined
  /** Something happened while it was at work. */
  again: boolean
  current: { readonly step: Step; readonly abort: AbortController } | undefined
  timer: Timer | undefined
}

const DECISION_BYTES = 8
/** Steps that the hypervisor works at, which share its lanes. */
const HEAVY: ReadonlySet<Step['do']> = new Set(['create', 'restore', 'start', 'migrate', 'remove'])
/** Errors of the store, the lease and the connection say nothing about the VM. */
const beside = (code: string | undefined): boolean => code !== undefined && (/^(STORE_|KALI_ERR_|FABRIC_ERR_)/.test(code) || code === 'RMO_ERR_DRIVER_UNAVAILABLE')
const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, LIMITS.agentReasonCharsMax)

export function startAgent({ view, viewReady, book, lease, hosts, clock, random, log }: AgentOptions): Agent {
  const stopping = new AbortController()
  const sites = new Map([...hosts].map(([uuid, host]): [string, Site] => [uuid, { host, lanes: createLanes(LIMITS.agentConcurrency), workers: new Map() }]))
  const versions = new WeakMap<object, string>()
  const undo: (() => void)[] = []
  let working = false

  const versionOfSettings = (settings: IntentRecord['settings']): string => {
    const { autostart: _, ...rest } = settings
    const version = versions.get(settings) ?? versionOf(rest)
    versions.set(settings, version)
    return version
  }
  const intentOf = ({ vm, latest }: Pick<Worker, 'vm' | 'latest'>): Stored<IntentRecord> | undefined => {
    const known = view.intent(vm)
    return latest !== undefined && latest.revision > (known?.revision ?? view.revision) ? latest : known
  }
  const look = (worker: Worker): Seen => {
    const { site: { host }, vm, armed } = worker
    const intent = intentOf(worker), domain = host.domain(vm)
    return {
      self: host.machine.uuid, connected: host.connected(), intent, domain, armed, held: lease.held, nowMs: clock.nowMs(), wallMs: clock.wallMs(),
      status: worker.status.known() ?? view.status(vm),
      group: intent?.group === undefined ? undefined : view.group(intent.group),
      sameSettings: intent === undefined || domain === undefined || versionOfSettings(intent.settings) === versionOfSettings(domain.settings),
    }
  }

  // ---------------------------------------------------------------- one step

  /** Undefined: called back by ourselves, which teaches nothing. */
  const attempt = async (worker: Worker, step: Step, seen: Seen): Promise<Outcome | undefined> => {
    const { site: { host, lanes }, vm } = worker
    const { intent, domain } = seen
    const abort = new AbortController()
    worker.current = { step, abort }
    const signal = AbortSignal.any([abort.signal, stopping.signal])
    const subject = { vm, name: intent?.name ?? domain?.name ?? vm, intent, domain }
    const work = (): Promise<Done> => carryOut(step, subject, { host, book, lease, clock, newId: () => `agent-${Buffer.from(random.bytes(DECISION_BYTES)).toString('hex')}` }, signal)
    try {
      if (step.do === 'start' || step.do === 'count') await worker.status.withdrawn('crashed')
      const done = HEAVY.has(step.do) ? await lanes.run(step.do === 'start', signal, work) : await work()
      if (done.intent !== undefined) worker.latest = done.intent
      if (done.armed !== undefined) worker.armed = done.armed ?? undefined
      return { ok: true, ...done.heard === undefined ? {} : { heard: done.heard } }
    } catch (error) {
      const code = errorCode(error)
      if (signal.aborted) return undefined
      log.warn('a step for a VM failed', { vm: subject.name, uuid: vm, machine: host.machine.name, step: step.do, code, reason: textOf(error) })
      return { ok: false, error: textOf(error), counts: !beside(code) }
    } finally { worker.current = undefined }
  }

  /** Until there is nothing to do now. */
  const work = async (worker: Worker): Promise<void> => {
    const { site, vm } = worker
    while (!stopping.signal.aborted) {
      worker.again = false
      const seen = look(worker)
      worker.memory = observe(worker.memory, seen)
      const { step, report } = decide(seen, worker.memory)
      if (report !== undefined && seen.intent !== undefined) worker.status.tell(seen.intent, report, Math.max(worker.memory.failures, worker.memory.pauses))
      if (step.do === 'rest') {
        if (worker.again) continue
        if (seen.intent === undefined && seen.domain === undefined) { site.workers.delete(vm); worker.status.stop(); return }
        if (step.atMs !== undefined) worker.timer = clock.after(Math.max(0, step.atMs - clock.nowMs()), () => wake(site, vm), { background: true })
        return
      }
      const outcome = await attempt(worker, step, seen)
      if (outcome !== undefined) worker.memory = learn(worker.memory, step, outcome, clock.nowMs())
    }
  }

  // ---------------------------------------------------------------- waking

  const workerOf = (site: Site, vm: string): Worker => {
    const known = site.workers.get(vm)
    if (known !== undefined) return known
    const status = createStatusWriter({ vm, machine: site.host.machine.uuid, stored: () => view.status(vm), book, clock, retry: () => wake(site, vm) })
    const worker: Worker = { vm, site, status, memory: undefined, armed: undefined, latest: undefined, running: undefined, again: false, current: undefined, timer: undefined }
    site.workers.set(vm, worker)
    return worker
  }
  const wake = (site: Site, vm: string): void => {
    if (!working || stopping.signal.aborted) return
    const worker = workerOf(site, vm)
    if (worker.running !== undefined) {
      worker.again = true
      const { current, memory } = worker
      // A guest that is waited for, and is wanted again, or shall go at once.
      if (current?.step.do === 'stop' && memory !== undefined) {
        const seen = look(worker)
        if (decide(seen, observe(memory, seen)).step.do !== 'stop') current.abort.abort()
      }
      return
    }
    worker.timer?.cancel()
    worker.timer = undefined
    worker.running = work(worker)
      .catch((error: unknown) => log.warn('the agent failed at a VM', { uuid: vm, reason: textOf(error) }))
      .finally(() => { worker.running = undefined; if (worker.again && site.workers.get(vm) === worker) wake(site, vm) })
  }
  const concerns = (site: Site, vm: string): boolean =>
    site.workers.has(vm) || view.intent(vm)?.machine?.uuid === site.host.machine.uuid || site.host.domain(vm) !== undefined
  const wakeAll = (): void => {
    for (const [machine, site] of sites) {
      for (const { uuid } of view.intents({ machine })) wake(site, uuid)
      for (const vm of [...site.workers.keys()]) wake(site, vm)
      for (const { uuid, epoch } of site.host.domains()) if (epoch !== undefined || view.intent(uuid) !== undefined) wake(site, uuid)
    }
  }

  let resync: Timer | undefined
  const begin = (): void => {
    working = true
    undo.push(
      view.onChange(({ type, key }) => {
        if (type === 'group') { for (const { uuid } of view.intents({ group: key })) for (const site of sites.values()) if (concerns(site, uuid)) wake(site, uuid) }
        if (type !== 'vm' && type !== 'status') return
        for (const site of sites.values()) if (type === 'vm' ? concerns(site, key) : site.workers.has(key)) wake(site, key)
      }),
      ...[...sites.values()].map((site) => site.host.onChange((vm) => { if (concerns(site, vm) && (site.workers.has(vm) || view.intent(vm) !== undefined || site.host.domain(vm)?.epoch !== undefined)) wake(site, vm) })),
      lease.onChange((held) => {
        for (const site of sites.values()) {
          for (const worker of site.workers.values()) {
            if (!held) worker.armed = undefined
            wake(site, worker.vm)
          }
        }
      }),
    )
    const tick = (): void => {
      resync = clock.after(LIMITS.agentResyncMs, tick, { background: true })
      wakeAll()
    }
    tick()
  }
  const ready = (async () => {
    await Promise.all([viewReady, ...[...hosts.values()].map((host) => host.ready)])
    await Promise.all([...hosts.values()].map((host) => comeBack({ host, view, clock, log, signal: stopping.signal })))
    if (!stopping.signal.aborted) begin()
  })()
  ready.catch((error: unknown) => log.warn('the agent could not begin', { reason: textOf(error) }))

  // ---------------------------------------------------------------- the lease is lost

  const pause = (ms: number): Promise<void> => new Promise((resolve) => { clock.after(ms, resolve, { background: true }) })
  const isProtected = (site: Site, vm: string): boolean => {
    const worker = site.workers.get(vm)
    const intent = worker === undefined ? view.intent(vm) : intentOf(worker)
    return worker?.armed !== undefined || (intent?.protection !== undefined && intent.machine?.uuid === site.host.machine.uuid)
  }
  const destroyNow = async (site: Site, vm: string): Promise<void> => {
    const worker = site.workers.get(vm)
    if (worker !== undefined) {
      if (worker.memory !== undefined) worker.memory = { ...worker.memory, fenced: true }
      worker.current?.abort.abort()
    }
    const runs = (): boolean => { const domain = site.host.domain(vm); return domain !== undefined && !isOff(domain.state) }
    // A start that is under way may still come.
    const isOver = (): boolean => stopping.signal.aborted || (!runs() && worker?.current?.step.do !== 'start')
    while (!isOver()) {
      if (runs()) await site.host.destroy(vm, stopping.signal).catch((error: unknown) => log.warn('a protected VM could not be destroyed', { uuid: vm, reason: textOf(error) }))
      if (!isOver()) await pause(LIMITS.agentFenceRetryMs)
    }
  }

  let stopped: Promise<void> | undefined
  return {
    ready,
    async fence(vms = []) {
      const named = new Set(vms.map(({ uuid }) => uuid))
      const targets = [...sites.values()].flatMap((site) => site.host.domains().filter(({ uuid }) => named.has(uuid) || isProtected(site, uuid)).map(({ uuid, state }) => ({ site, uuid, state })))
      log.warn('the lease was given up: protected VMs are destroyed', { vms: targets.filter(({ state }) => !isOff(state)).length, by: AGENT })
      await Promise.all(targets.map(({ site, uuid }) => destroyNow(site, uuid)))
      // An agent that stops destroys nothing any more, and must not say that all is off: the watchdog goes on counting.
      stopping.signal.throwIfAborted()
      for (const { site, uuid } of targets) wake(site, uuid)
    },
    stop: () => stopped ??= (async () => {
      stopping.abort()
      resync?.cancel()
      for (const each of undo) each()
      const workers = [...sites.values()].flatMap((site) => [...site.workers.values()])
      for (const { timer, status } of workers) { timer?.cancel(); status.stop() }
      await Promise.allSettled(workers.map(({ running }) => running))
    })(),
  }
}


// Timer triggers of the functions that this node holds: one loop a trigger for as long as the reign lasts.
//
//   reign begins -> what was fired last (store) -> [ wait -> fire? -> write it down -> run ]... -> reign ends: all is aborted
//
// A tick is written down before its run, so it is made once in the fabric at most; an occurrence of cron whose holder died
// in its midst is begun again by the next one (schedule-core.ts). A singleton runs here, in this epoch; any other function
// where the invoker sends it. The version is chosen at each tick: a deploy changes the next one, not the one that runs.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock, Random } from '../../fabric/base.ts'
import type { GlobalStore, Log } from '../../fabric/mod.ts'
import type { CallAuthority, Catalog, DeployedFunction, InvokeRequest, Invoker, Observer } from '../deployed.ts'
import { encodeArray } from '../value/mod.ts'
import { cronTimes } from './cron.ts'
import { isTimer, readFired, timerId, writeFired } from './fired.ts'
import type { Recorded, TimerRecord } from './fired.ts'
import type { NodeHolders } from './holders.ts'
import { authorityFor, reasonOf, tracesFrom } from './authority.ts'
import { backoffMs, bounded, pause } from './patience.ts'
import { TimerCore } from './schedule-core.ts'
import type { Fired, Now, Schedule } from './schedule-core.ts'

export interface TimersOptions {
  readonly store: GlobalStore
  readonly clock: Clock
  readonly random: Random
  readonly catalog: Pick<Catalog, 'get' | 'resolve' | 'list' | 'onChange'>
  readonly holders: Pick<NodeHolders, 'mine' | 'onChange'>
  readonly invoker: Pick<Invoker, 'invoke' | 'invokeAll' | 'runHere'>
  readonly observer: Observer
  readonly log: Pick<Log, 'warn'>
}
export interface Timers { stop(): void }

interface Loop { readonly control: AbortController; begun: boolean }
/** The time between this node's winning a function and its losing it. `running`: ids of triggers, one for each run. */
interface Reign { readonly epoch: number; readonly control: AbortController; readonly loops: Map<string, Loop>; readonly running: Map<object, string> }

/** As of a call without a payload, so that a default parameter of run() stands for both. */
const NO_VALUE = encodeArray([undefined])

export function startTimers({ store, clock, random, catalog, holders, invoker, observer, log }: TimersOptions): Timers {
  const reigns = new Map<string, Reign>()
  const trace = tracesFrom(random)
  const now = (): Now => ({ nowMs: clock.nowMs(), wallMs: Math.round(clock.wallMs()) })

  const tell = ({ manifest }: DeployedFunction, text: string): void => observer.line({ atMs: Math.round(clock.wallMs()), name: manifest.name, version: manifest.version, callId: '', trace: '', level: 'system', text })

  // ---------------------------------------------------------------- one tick

  const run = async (name: string, reign: Reign, trigger: TimerRecord, fired: Fired): Promise<void> => {
    const run = {}
    reign.running.set(run, timerId(trigger))
    try {
      const resolved = catalog.resolve(name, random.next())
      const { manifest, alias, deployer } = resolved
      const { timeoutMs } = manifest.limits
      const request: InvokeRequest = { reference: `${name}@${alias}`, payload: NO_VALUE, cause: { type: trigger.type, dueAtMs: fired.atMs }, timeoutMs }
      const authority: CallAuthority = authorityFor({ clock, principal: deployer, trace: trace(), signal: reign.control.signal, timeoutMs })
      if (manifest.singleton) await invoker.runHere(resolved, request, authority, { attempt: fired.attempt, epoch: reign.epoch })
      else if (manifest.target === 'all') await invoker.invokeAll(request, authority)
      else await invoker.invoke(request, authority)
    } catch (error) {
      // What went wrong inside is told by the invoker; this is about the request itself: paused, removed, busy.
      const deployed = catalog.get(name)
      if (deployed !== undefined) tell(deployed, `a tick was not run: ${reasonOf(error)}`)
    } finally {
      reign.running.delete(run)
    }
  }

  /** A singleton runs one at a time, whichever trigger it was; any other function one a trigger. */
  const busy = (name: string, reign: Reign, id: string): boolean =>
    catalog.get(name)?.manifest.singleton === true ? reign.running.size > 0 : reign.running.values().some((of) => of === id)

  /** Writes until the store says something; undefined when the loop or the reign is over. */
  const write = async (name: string, id: string, before: Recorded, fired: Fired, signal: AbortSignal): Promise<{ readonly kept: boolean; readonly now: Recorded } | undefined> => {
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const { outcome, now: after } = await bounded(clock, LIMITS.holderLeaseMs, writeFired(store, name, id, before, fired, signal))
        if (outcome === 'lost') return undefined
        if (outcome === 'kept') return { kept: true, now: after }
        // In this reign, by ourselves: before a pause, say. What is later stands.
        if ((after.fired?.atMs ?? -Infinity) >= fired.atMs) return { kept: false, now: after }
        before = after
      } catch (error) {
        if (attempt === 0 && !signal.aborted) log.warn('a tick waits for the store', { function: name, reason: reasonOf(error) })
        await pause(clock, backoffMs(attempt, LIMITS.triggerRetryMs, LIMITS.triggerRetryMsMax), signal)
      }
    }
    return undefined
  }

  const runLoop = async (name: string, reign: Reign, trigger: TimerRecord, loop: Loop, found: Recorded): Promise<void> => {
    const { signal } = loop.control
    const id = timerId(trigger)
    let last = found
    const deployed = catalog.get(name)
    if (deployed === undefined) return
    const core = new TimerCore({ schedule: scheduleOf(trigger), last: last.fired, epoch: reign.epoch, attemptsMax: deployed.manifest.retry.attempts, now: now() })
    if (last.fired === undefined && core.baseline !== undefined) last = (await write(name, id, last, core.baseline, signal))?.now ?? last
    while (!signal.aborted) {
      const verdict = core.look(now(), busy(name, reign, id))
      if (verdict.do === 'wait') { await pause(clock, verdict.ms, signal); continue }
      if (verdict.do === 'skip') { observer.count(name, 'tick-skipped', verdict.skipped); continue }
      if (verdict.missed > 0) observer.count(name, 'tick-missed', verdict.missed)
      const written = await write(name, id, last, verdict.fired, signal)
      if (written === undefined) return
      last = written.now
      // The lease may have ended while the store was waited for.
      if (!written.kept || holders.mine(name) !== reign.epoch) continue
      const running = run(name, reign, trigger, verdict.fired)
      if (trigger.type === 'every') continue
      void countSkipped(core, name, reign, id, signal)
      await running
      // Also when the loop has ended meanwhile: else the next holder begins the occurrence again.
      last = (await write(name, id, last, { ...verdict.fired, done: true }, reign.control.signal))?.now ?? last
    }
  }
  /** Looks on while a cron run goes on: what comes due meanwhile is left out. */
  const countSkipped = async (core: TimerCore, name: string, reign: Reign, id: string, signal: AbortSignal): Promise<void> => {
    while (!signal.aborted && busy(name, reign, id)) {
      const verdict = core.look(now(), true)
      if (verdict.do === 'skip') observer.count(name, 'tick-skipped', verdict.skipped)
      if (verdict.do === 'wait') await pause(clock, verdict.ms, signal)
    }
  }

  // ---------------------------------------------------------------- reigns

  const begin = async (name: string, reign: Reign, triggers: ReadonlyMap<string, TimerRecord>): Promise<void> => {
    const { signal } = reign.control
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const found = await bounded(clock, LIMITS.holderLeaseMs, readFired(store, name, reign.epoch, new Set(triggers.keys()), signal))
        for (const [id, trigger] of triggers) {
          const loop = reign.loops.get(id)
          // It may have been stopped meanwhile (paused, deployed anew), or run already.
          if (loop === undefined || loop.control.signal.aborted || loop.begun) continue
          loop.begun = true
          void runLoop(name, reign, trigger, loop, found.get(id) ?? { fired: undefined, modRevision: 0 })
        }
        return
      } catch (error) {
        if (attempt === 0 && !signal.aborted) log.warn('triggers wait for the store', { function: name, reason: reasonOf(error) })
        await pause(clock, backoffMs(attempt, LIMITS.triggerRetryMs, LIMITS.triggerRetryMsMax), signal)
      }
    }
  }

  /** Makes the loops of a function what they should be now. */
  const settle = (name: string): void => {
    const epoch = holders.mine(name)
    const deployed = catalog.get(name)
    let reign = reigns.get(name)
    if (reign !== undefined && (reign.epoch !== epoch || deployed === undefined)) {
      reigns.delete(name)
      for (const { control } of reign.loops.values()) control.abort()
      // Runs of the old epoch end with it: whatever they would still do is refused anyway.
      reign.control.abort(new Error('this node no longer holds it'))
      reign = undefined
    }
    if (epoch === undefined || deployed === undefined) return
    const triggers = new Map(deployed.record.paused ? [] : deployed.manifest.triggers.filter(isTimer).map((trigger) => [timerId(trigger), trigger] as const))
    reign ??= { epoch, control: new AbortController(), loops: new Map(), running: new Map() }
    reigns.set(name, reign)
    for (const [id, { control }] of reign.loops) {
      if (triggers.has(id)) continue
      control.abort()
      reign.loops.delete(id)
    }
    const fresh = [...triggers.keys()].filter((id) => reign.loops.has(id) === false)
    for (const id of fresh) reign.loops.set(id, { control: new AbortController(), begun: false })
    if (fresh.length > 0) void begin(name, reign, triggers)
  }

  const unsubscribe = [holders.onChange(settle), catalog.onChange(settle)]
  for (const { manifest } of catalog.list()) settle(manifest.name)
  return {
    stop() {
      for (const off of unsubscribe) off()
      for (const { control, loops } of reigns.values()) {
        for (const loop of loops.values()) loop.control.abort()
        control.abort(new Error('the node is stopping'))
      }
      reigns.clear()
    },
  }
}

const scheduleOf = (trigger: TimerRecord): Schedule =>
  trigger.type === 'every' ? { type: 'every', everyMs: trigger.everyMs } : { type: 'cron', times: cronTimes(trigger.pattern, trigger.timezone) }

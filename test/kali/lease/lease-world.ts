// A host that keeps a lease, on virtual time: the real keeper over the memory store, with a network that delays and loses,
// clocks that run wrong, stalls, and the real deadlines of the watchdog. True time is the sim clock's; the host and the
// store each have a clock of their own rate.

import { seededRandom } from '../../../fabric/base.ts'
import type { Clock, Random } from '../../../fabric/base.ts'
import { createMemoryGlobalStore } from '../../../fabric/mod.ts'
import type { GlobalStore, StoreLease } from '../../../fabric/mod.ts'
import { createSimClock } from '../../../fabric/sim-clock.ts'
import type { SimClock } from '../../../fabric/sim-clock.ts'
import { CLOUD_KEYS } from '../../../kali/cloud/keys.ts'
import type { HaTimings } from '../../../kali/cloud/contract.ts'
import type { HostLease } from '../../../kali/cloud/parts.ts'
import { startHostLease } from '../../../kali/lease/keeper.ts'
import type { Watchdog } from '../../../kali/lease/watchdog/client.ts'
import { NO_DEADLINES, drop, due, extend } from '../../../kali/lease/watchdog/deadlines.ts'

/** As tight as is let through, so that what breaks a rule shows. */
export const T: HaTimings = { preset: 'custom', renewMs: 2_000, giveUpMs: 8_000, killMs: 4_000, watchdogMs: 4_000, slackMs: 2_000, leaseMs: 16_050 }
const SELF = '01', OTHERS = ['02', '03']
const STEP_MS = 50

/** A clock that runs at `rate` of true time. `held`: while true, nothing that is due happens. */
function clockOf(sim: SimClock, rate: number, frozen: () => Promise<void> | undefined): Clock {
  return {
    nowMs: () => sim.nowMs() * rate,
    wallMs: () => sim.wallMs(),
    after(delayMs, callback) {
      let cancelled = false
      const timer = sim.after(delayMs / rate, () => {
        const stall = frozen()
        if (stall === undefined) callback()
        else void stall.then(() => { if (!cancelled) callback() })
      })
      return { cancel: () => { cancelled = true; timer.cancel() } }
    },
  }
}

export interface WorldOptions {
  readonly seed: number
  readonly hostRate: number
  readonly storeRate: number
  readonly delayMsMax: number
  /** Of killing an emulator, at most K. */
  readonly killMs: number
}
export type Fault =
  /** This host alone cannot reach anybody. */
  | { readonly type: 'alone'; readonly forMs: number }
  /** It reaches the others, who reach the store. */
  | { readonly type: 'cut-from-store'; readonly forMs: number }
  /** Nobody reaches the store; hosts reach each other. */
  | { readonly type: 'store-away'; readonly forMs: number }
  /** The node stands still; its watchdog does not. */
  | { readonly type: 'stall'; readonly forMs: number }
  | { readonly type: 'watchdog-dies' }
  | { readonly type: 'answers-lost'; readonly forMs: number }
  /** What the store answers comes so much later. */
  | { readonly type: 'answers-late'; readonly forMs: number; readonly byMs: number }

export interface World {
  readonly sim: SimClock
  readonly lease: HostLease
  readonly running: () => boolean
  readonly violations: readonly string[]
  readonly starts: () => number
  readonly log: readonly string[]
  happen(fault: Fault): void
  /** Protects a VM and runs it, again and again when it is lost. */
  want(): void
  run(ms: number): Promise<void>
  stop(): Promise<void>
}

export function createWorld({ seed, hostRate, storeRate, delayMsMax, killMs }: WorldOptions): World {
  const sim = createSimClock({ startMs: 1_000_000 })
  const random: Random = seededRandom(seed)
  let aloneUntil = 0, awayUntil = 0, lossyUntil = 0, cutUntil = 0, slow = { untilMs: 0, byMs: 0 }
  let stall: { readonly untilMs: number; readonly over: Promise<void> } | undefined
  const frozen = (): Promise<void> | undefined => stall?.over
  const hostClock = clockOf(sim, hostRate, frozen)
  const engine = createMemoryGlobalStore({ clock: clockOf(sim, storeRate, () => undefined), random })
  const violations: string[] = [], log: string[] = []
  const pass = (ms: number): Promise<void> => new Promise((resolve) => { sim.after(ms, resolve) })
  const reaches = (): boolean => sim.nowMs() >= Math.max(aloneUntil, awayUntil, cutUntil)
  const never = (): Promise<never> => new Promise(() => {})

  /** One question to the store and back; lost either way, it is not answered. */
  const asked = async <A>(work: () => Promise<A>, timeoutMs?: number): Promise<A> => {
    const answer = (async () => {
      await pass(random.next() * delayMsMax)
      if (!reaches()) return never()
      const settled = await work().then((value) => ({ value }), (error: unknown) => ({ error }))
      await pass(random.next() * delayMsMax + (sim.nowMs() < slow.untilMs ? slow.byMs : 0))
      if (!reaches() || sim.nowMs() < lossyUntil) return never()
      await frozen()
      if ('error' in settled) throw settled.error
      return settled.value
    })()
    if (timeoutMs === undefined) return answer
    const late = new Promise<never>((_, reject) => { hostClock.after(timeoutMs, () => reject(new Error('no answer'))) })
    answer.catch(() => {})
    return Promise.race([answer, late])
  }
  const leaseOf = (lease: StoreLease): StoreLease => ({ id: lease.id, lifetimeMs: lease.lifetimeMs, keepAlive: () => asked(() => lease.keepAlive()), revoke: () => asked(() => lease.revoke()) })
  const store = {
    get: (key: string, options: { readonly timeoutMs?: number } = {}) => asked(() => engine.get(key), options.timeoutMs ?? 5_000),
    grant: (ms: number, options: { readonly timeoutMs?: number } = {}) => asked(async () => leaseOf(await engine.grant(ms)), options.timeoutMs ?? 5_000),
    transact: (transaction: Parameters<GlobalStore['transact']>[0], options: { readonly timeoutMs?: number } = {}) => asked(() => engine.transact(transaction), options.timeoutMs ?? 5_000),
  } as unknown as GlobalStore

  // ---------------------------------------------------------------- the other hosts: since when each has contact, as it knows

  let contactSinceMs: number | undefined = sim.nowMs()
  let noticed = true
  const lookAtContact = (): void => {
    const reached = sim.nowMs() >= awayUntil
    if (reached && contactSinceMs === undefined) contactSinceMs = sim.nowMs()
    // Noticed some time after it was lost, or not at all.
    if (!reached && contactSinceMs !== undefined && noticed) { noticed = false; sim.after(random.next() * 3_000, () => { noticed = true; if (sim.nowMs() < awayUntil) contactSinceMs = undefined }) }
  }
  const askCutOff = async (): Promise<boolean> => {
    await pass(random.next() * delayMsMax)
    if (sim.nowMs() < aloneUntil) return never()
    const answer = contactSinceMs === undefined
    await pass(random.next() * delayMsMax)
    await frozen()
    return sim.nowMs() < aloneUntil ? never() : answer
  }

  // ---------------------------------------------------------------- watchdog, and the VM

  let vm: 'off' | 'running' | 'dying' = 'off'
  let starts = 0
  let waitsForEnd: (() => void)[] = []
  const kill = (why: string): void => {
    if (vm !== 'running') return
    vm = 'dying'
    log.push(`${sim.nowMs()} killed: ${why}`)
    sim.after(random.next() * killMs, () => { vm = 'off'; for (const end of waitsForEnd) end(); waitsForEnd = [] })
  }
  const off = (): Promise<void> => new Promise((resolve) => { if (vm === 'off') resolve(); else waitsForEnd.push(resolve) })

  let deadlines = NO_DEADLINES
  let alive = false
  const lostListeners = new Set<(reason: string) => void>()
  const watchdogNow = (): number => sim.nowMs() * hostRate
  const watchdog: Watchdog = {
    async start() { if (!alive) { await pass(100); await frozen(); alive = true; deadlines = NO_DEADLINES } },
    async feed(guests, untilMs) {
      if (!alive) throw new Error('dead')
      const fed = extend(deadlines, guests, untilMs, T.giveUpMs, watchdogNow())
      deadlines = fed.deadlines
      return fed.refused
    },
    async drop(uuids) { deadlines = drop(deadlines, uuids) },
    onLost(listener) { lostListeners.add(listener); return () => lostListeners.delete(listener) },
    stop() { if (deadlines.size === 0) alive = false },
  }

  const lease = startHostLease({
    store, clock: hostClock, bootClock: { nowMs: () => hostClock.nowMs() }, random, self: SELF, name: 'host1', timings: T,
    log: { info: (message) => log.push(`${sim.nowMs()} ${message}`), warn: (message, fields) => log.push(`${sim.nowMs()} ${message} ${JSON.stringify(fields)}`) },
    members: () => [SELF, ...OTHERS], voters: () => undefined, askCutOff, watchdog,
    async fence() { kill('fence'); await off(); await frozen() },
  })

  // ---------------------------------------------------------------- every step

  const look = async (): Promise<void> => {
    lookAtContact()
    if (alive && due(deadlines, watchdogNow()).length > 0) { kill('watchdog'); deadlines = drop(deadlines, ['vm']) }
    // What any taker may do now: the key is gone, and its own contact is a whole L old.
    const couldTake = await engine.get(CLOUD_KEYS.lease(SELF)) === undefined && contactSinceMs !== undefined && sim.nowMs() - contactSinceMs >= T.leaseMs / storeRate && sim.nowMs() >= awayUntil
    if (couldTake && vm !== 'off') violations.push(`at ${sim.nowMs()} it could be taken over and is ${vm}`)
  }
  let wanted = false
  const pursue = async (): Promise<void> => {
    while (wanted) {
      await frozen()
      if (vm === 'off') {
        try {
          await lease.arm({ uuid: 'vm', name: 'vm' })
          await frozen()
          // As rmo/host does it: looked at again right after.
          if (wanted && lease.isArmed('vm') && vm === 'off') { vm = 'running'; starts++ }
        } catch { /* again */ }
      }
      await pass(500)
    }
  }

  return {
    sim, lease, violations, log,
    running: () => vm === 'running', starts: () => starts,
    happen(fault) {
      const untilMs = 'forMs' in fault ? sim.nowMs() + fault.forMs : 0
      log.push(`${sim.nowMs()} ${JSON.stringify(fault)}`)
      if (fault.type === 'alone') aloneUntil = Math.max(aloneUntil, untilMs)
      else if (fault.type === 'cut-from-store') cutUntil = Math.max(cutUntil, untilMs)
      else if (fault.type === 'store-away') awayUntil = Math.max(awayUntil, untilMs)
      else if (fault.type === 'answers-late') slow = { untilMs, byMs: fault.byMs }
      else if (fault.type === 'answers-lost') lossyUntil = Math.max(lossyUntil, untilMs)
      else if (fault.type === 'watchdog-dies') { alive = false; deadlines = NO_DEADLINES; for (const listener of [...lostListeners]) { const now = frozen(); if (now === undefined) listener('killed'); else void now.then(() => listener('killed')) } }
      else if (stall === undefined) {
        const { promise, resolve } = Promise.withResolvers<void>()
        stall = { untilMs, over: promise }
        sim.after(fault.forMs, () => { stall = undefined; resolve() })
      }
    },
    want() { wanted = true; void pursue() },
    async run(ms) {
      for (let done = 0; done < ms; done += STEP_MS) { await sim.settle(STEP_MS); await look() }
    },
    async stop() { wanted = false; const stopped = lease.stop(); await sim.settle(5_000); await stopped },
  }
}

// The lease of a host, kept: carries out what lease-core.ts decides, with the store, the watchdog, the other members, and
// the agent that sees VMs off.
//
//   agent --arm(vm)--> watchdog stands -> grant L -> lease/NODE -> feed --acknowledged--> arm resolves
//   each R: keepAlive --answered--> feed the watchdog until (sent + F)
//   age >= F, lease gone, no watchdog --> held is false at once -> fence() until all are seen off -> lease let go
//
// Every moment is read from the boot clock before the request is sent. What the store answers late is judged by its own
// sending. stop() lets go of the lease only when nothing is protected; else the watchdog counts on, and the node's next
// life takes it over, or the guests end.

import { LIMITS, errorCode } from '../../fabric/base.ts'
import type { Clock, NodeId, Random, Timer } from '../../fabric/base.ts'
import type { GlobalStore, Log, StoreLease } from '../../fabric/mod.ts'
import type { HaTimings, LeaseRecord } from '../cloud/contract.ts'
import { CLOUD_KEYS } from '../cloud/keys.ts'
import type { HostLease } from '../cloud/parts.ts'
import { KALI } from '../errors.ts'
import { suspendMeter } from './boot-clock.ts'
import type { BootClock } from './boot-clock.ts'
import { IDLE, ageMs, isHeld, nextTickMs, step } from './lease-core.ts'
import type { LeaseAction, LeaseEvent, LeaseState } from './lease-core.ts'
import { cutOffTogether } from './survival.ts'
import { checkTimings, watchdogGraceMs } from './timings.ts'
import type { Watchdog } from './watchdog/client.ts'
import type { Guest, ProcessName } from './watchdog/deadlines.ts'
import { createOwnVoters, type Voters } from './voters.ts'
import { processName } from './watchdog/processes.ts'

export interface HostLeaseOptions {
  readonly store: GlobalStore
  readonly clock: Clock
  readonly bootClock: BootClock
  readonly random: Random
  readonly self: NodeId
  readonly name: string
  readonly timings: HaTimings
  readonly log: Pick<Log, 'info' | 'warn'>
  /** Every node that might take over, dead ones included; with or without this one. */
  members(): readonly NodeId[]
  /** Who decides with an embedded store whether this host may be taken over (voters.ts), as this node sees it now; undefined: nobody. */
  voters(): Voters
  /** Of another node or of this one: survival.ts; rejects when it cannot be reached. */
  askCutOff(node: NodeId): Promise<boolean>
  readonly watchdog: Watchdog
  /** Destroys these VMs; resolves when all have been seen off. Called again until it does. */
  fence(vms: readonly { readonly uuid: string; readonly name: string }[], why: string): Promise<void>
  /** VMs without a process of their own are simulated in this one, which the watchdog ends in their place. */
  readonly simulatedIn?: ProcessName
}

interface Arming { readonly promise: Promise<void>; resolve(): void; reject(error: Error): void }
interface Armed {
  readonly guest: Guest
  /** The present watchdog has it; some watchdog had it. */
  fed: boolean
  stood: boolean
  readonly arming: Arming
}

const BOOT_BYTES = 8
const LEASE_GONE = 'FABRIC_ERR_STORE_LEASE_GONE'
const reasonOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

/** Throws KALI_ERR_TIMINGS_UNSAFE. Asks nobody anything before the first VM is armed. */
export function startHostLease(options: HostLeaseOptions): HostLease {
  const { store, clock, bootClock, self, name, log, watchdog } = options
  const timings = checkTimings(options.timings)
  const graceMs = watchdogGraceMs(timings, options.simulatedIn !== undefined)
  const boot = Buffer.from(options.random.bytes(BOOT_BYTES)).toString('hex')
  const armed = new Map<string, Armed>()
  const listeners = new Set<(held: boolean) => void>()
  const slept = suspendMeter(bootClock, clock, LIMITS.haSleptMs)
  let state: LeaseState = IDLE
  /** Granted, and neither ended nor let go of; one but for moments. */
  const storeLeases = new Map<string, StoreLease>()
  let wasHeld = false
  let stopped = false
  let timer: Timer | undefined
  const voters = createOwnVoters({ self, store, timeoutMs: timings.giveUpMs / 3, log })

  const lost = (reason: string): Error => KALI.LEASE_LOST({ node: name, reason })
  const held = (): boolean => !stopped && isHeld(state, timings, bootClock.nowMs())

  // ---------------------------------------------------------------- events in, actions out

  const happened = (event: LeaseEvent): void => {
    if (stopped) return
    const before = state.phase
    const next = step(state, event, timings, bootClock.nowMs())
    state = next.state
    for (const action of next.actions) void carryOut(action)
    if (state.phase === 'idle' && before !== 'idle') watchdog.stop()
    tell()
    wind()
  }
  /** Whether it is held has changed. */
  const tell = (): void => {
    const now = held()
    if (now === wasHeld) return
    wasHeld = now
    for (const listener of [...listeners]) listener(now)
  }
  const wind = (): void => {
    timer?.cancel()
    timer = undefined
    if (state.phase === 'idle' || stopped) return
    const waitMs = nextTickMs(state, timings) - bootClock.nowMs()
    timer = clock.after(Math.max(0, Math.min(LIMITS.haLookMs, Math.ceil(waitMs))), look, { background: true })
  }
  const look = (): void => {
    const sleptMs = slept()
    if (sleptMs > 0) log.warn('this machine slept; its lease has aged meanwhile', { sleptMs })
    happened({ type: 'tick' })
  }
  const carryOut = (action: LeaseAction): Promise<void> => {
    switch (action.do) {
      case 'take': return take(action.request)
      case 'renew': return renew(action.request, action.lease)
      case 'ask-members': return askMembers()
      case 'feed': return feed(action.untilMs)
      case 'fence': return fence(action.why)
      case 'let-go': return letGo(action.lease)
    }
  }

  // ---------------------------------------------------------------- store

  const key = CLOUD_KEYS.lease(self)
  const take = async (request: number): Promise<void> => {
    const timeoutMs = timings.giveUpMs / 3
    try {
      await stand()
      const sentMs = bootClock.nowMs()
      const granted = await store.grant(timings.leaseMs, { timeoutMs })
      const record: LeaseRecord = { node: self, name, boot, timings }
      const [before, listed] = await Promise.all([store.get(key, { timeoutMs }), store.get(voters.key, { timeoutMs })])
      // With each lease anew: whoever has read them before it was taken takes nothing over after.
      const vote = voters.write(listed?.modRevision ?? 0, options.voters())
      // An older attempt whose answer was lost may still be on its way: it must not hang the key on a lease that nobody keeps.
      const { succeeded } = await store.transact({
        when: [{ key, field: 'modRevision', is: '=', than: before?.modRevision ?? 0 }, vote.when],
        then: [{ do: 'put', key, value: new TextEncoder().encode(JSON.stringify(record)), lease: granted.id }, vote.then],
      }, { timeoutMs })
      vote.answered(succeeded)
      if (stopped || !succeeded) { await revoke(granted); happened({ type: 'failed', request }); return }
      storeLeases.set(granted.id, granted)
      log.info('holds a host lease', { lease: granted.id })
      happened({ type: 'granted', request, lease: granted.id, sentMs })
    } catch (error) {
      if (!stopped) log.warn('no host lease could be had', { reason: reasonOf(error) })
      happened({ type: 'failed', request })
    }
  }
  const renew = async (request: number, lease: string): Promise<void> => {
    const asked = storeLeases.get(lease)
    if (asked === undefined) { happened({ type: 'failed', request }); return }
    const sentMs = bootClock.nowMs()
    // An answer that comes after this still counts from when it was asked for.
    const late = clock.after(timings.renewMs, () => happened({ type: 'failed', request }), { background: true })
    try {
      const leftMs = await asked.keepAlive()
      late.cancel()
      // A store that gives less than was asked for ends it that much earlier.
      happened({ type: 'renewed', request, lease, sentMs: sentMs - Math.max(0, timings.leaseMs - leftMs) })
      if (!stopped) await voters.keep(options.voters())
    } catch (error) {
      late.cancel()
      if (errorCode(error) === LEASE_GONE) storeLeases.delete(lease)
      happened(errorCode(error) === LEASE_GONE ? { type: 'gone', lease } : { type: 'failed', request })
    }
  }
  const revoke = (lease: StoreLease): Promise<void> => new Promise((resolve) => {
    const patience = clock.after(LIMITS.leaseRevokeTimeoutMs, resolve, { background: true })
    lease.revoke().catch(() => {}).finally(() => { patience.cancel(); resolve() })
  })
  const letGo = async (lease: string): Promise<void> => {
    const last = storeLeases.get(lease)
    if (last === undefined) return
    storeLeases.delete(lease)
    await revoke(last)
    log.info('let go of the host lease', { lease })
  }

  // ---------------------------------------------------------------- members, watchdog, agent

  const askMembers = async (): Promise<void> => {
    const askedMs = bootClock.nowMs()
    const others = [...new Set(options.members())].filter((node) => node !== self)
    const together = await cutOffTogether({ clock, others, voters: voters.possible(), ask: (node) => options.askCutOff(node), timeoutMs: timings.renewMs })
    if (together) log.warn('the global store is out of reach for so many that nobody can take over: protected VMs go on', { members: others.length + 1 })
    happened({ type: 'members', askedMs, cutOffTogether: together })
  }

  /** A watchdog that answers; some attempts. */
  const stand = async (): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      try {
        await watchdog.start()
        return
      } catch (error) {
        log.warn('the watchdog cannot be started', { attempt, reason: reasonOf(error) })
        if (attempt >= LIMITS.watchdogStartsMax) throw error
      }
    }
  }
  const feed = async (untilMs: number): Promise<void> => {
    const fed = [...armed].filter(([uuid]) => state.vms.has(uuid))
    try {
      const refused = await watchdog.feed(fed.map(([, { guest }]) => guest), untilMs + graceMs)
      if (refused.length > 0) { happened({ type: 'unguarded', why: 'the watchdog has given up its VMs already' }); return }
      for (const [, each] of fed) {
        each.fed = each.stood = true
        if (held()) each.arming.resolve()
      }
    } catch { /* it is lost: told by itself */ }
  }
  const unguarded = async (reason: string): Promise<void> => {
    if (stopped || state.phase === 'idle') return
    log.warn('the watchdog is gone; another one is started', { reason })
    for (const each of armed.values()) each.fed = false
    try {
      await stand()
    } catch (error) {
      happened({ type: 'unguarded', why: `there is no watchdog: ${reasonOf(error)}` })
      return
    }
    if (state.phase === 'held') await feed(state.sinceMs + timings.giveUpMs)
  }
  const stopLost = watchdog.onLost((reason) => { void unguarded(reason) })

  const fence = async (why: string): Promise<void> => {
    const vms = [...armed.values()].map(({ guest: { uuid, name: vm } }) => ({ uuid, name: vm }))
    log.warn('gives up its protected VMs', { why, vms: vms.map((vm) => vm.name) })
    for (const { arming } of armed.values()) arming.reject(lost(why))
    for (let seenOff = false; !seenOff && !stopped;) {
      try {
        await options.fence(vms, why)
        seenOff = true
      } catch (error) {
        log.warn('protected VMs could not be seen off yet', { reason: reasonOf(error) })
        await new Promise<void>((resolve) => { clock.after(LIMITS.fenceRetryMs, resolve, { background: true }) })
      }
    }
    if (stopped) return
    armed.clear()
    // One that is lost just now knows nothing of them either.
    await watchdog.drop(vms.map(({ uuid }) => uuid)).catch(() => {})
    happened({ type: 'fenced' })
  }

  const guestOf = ({ uuid, name: vm, pid }: { readonly uuid: string; readonly name: string; readonly pid?: number }): Guest => {
    const emulator = pid === undefined ? undefined : processName(pid)
    return { uuid, name: vm, ...emulator === undefined ? {} : { emulator }, ...pid !== undefined || options.simulatedIn === undefined ? {} : { host: options.simulatedIn } }
  }
  const newArming = (): Arming => { const arming = Promise.withResolvers<void>(); arming.promise.catch(() => {}); return arming }

  return {
    timings, boot,
    get held() { return held() },
    isArmed: (vm) => held() && armed.get(vm)?.fed === true,
    ageMs: () => stopped ? Infinity : ageMs(state, bootClock.nowMs()),
    async arm(vm) {
      if (stopped) throw lost('this node stops')
      if (state.phase === 'fencing') throw lost('its protected VMs are being given up')
      if (!armed.has(vm.uuid) && armed.size >= LIMITS.protectedVmsMax) throw lost(`${LIMITS.protectedVmsMax} VMs are protected here, and that is the most`)
      const arming = newArming()
      const before = armed.get(vm.uuid)
      // What is known of its emulator stays known.
      armed.set(vm.uuid, { guest: vm.pid === undefined && before?.guest.emulator !== undefined ? before.guest : guestOf(vm), fed: before?.fed ?? false, stood: before?.stood ?? false, arming })
      before?.arming.reject(lost('it was armed again meanwhile'))
      if (before !== undefined && state.phase === 'held') void feed(state.sinceMs + timings.giveUpMs)
      else happened({ type: 'arm', vm: vm.uuid })
      const patience = clock.after(LIMITS.leaseArmTimeoutMs, () => arming.reject(lost(`no lease and no watchdog within ${LIMITS.leaseArmTimeoutMs} ms`)), { background: true })
      try {
        await arming.promise
      } catch (error) {
        // Never armed, so nobody counts on it; one that was is left to disarm().
        const present = armed.get(vm.uuid)
        if (present?.arming === arming && !present.stood) { armed.delete(vm.uuid); happened({ type: 'disarm', vm: vm.uuid }) }
        throw error
      } finally { patience.cancel() }
    },
    async disarm(vm) {
      const present = armed.get(vm)
      if (present === undefined || stopped) return
      // While fencing all are seen off together.
      if (state.phase === 'fencing') return
      armed.delete(vm)
      present.arming.reject(lost('it was disarmed'))
      await watchdog.drop([vm]).catch(() => {})
      happened({ type: 'disarm', vm })
    },
    onChange(listener) { listeners.add(listener); return () => listeners.delete(listener) },
    async stop() {
      if (stopped) return
      const protects = state.phase === 'fencing' || armed.size > 0
      stopped = true
      timer?.cancel()
      stopLost()
      for (const { arming } of armed.values()) arming.reject(lost('this node stops'))
      if (!protects) await Promise.all([...storeLeases.values()].map(revoke))
      watchdog.stop()
      if (wasHeld) for (const listener of [...listeners]) listener(false)
    },
  }
}

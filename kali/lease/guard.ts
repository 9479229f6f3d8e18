// The guard of one host: users' verbs on VMs that the cloud manages become intents, and nothing is set going here that
// belongs elsewhere, is not wanted, or is protected without a lease.
//
//   user's verb --asked--> intent, by compare-and-swap --> the verb goes on (the agent finds it done)
//   any start --beforeRun--> no intent, no epoch: passes (one look into a map)
//                   `------> intent read from the store, right before --> driver --> the answer again: still?
//
// cloud.md 5.3: the epoch is re-read just before the hypervisor is called, and the lease's age is looked at right after.
// The agent (principal 'system:agent') carries out intents, so its own verbs are not asked; its starts are.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import type { Authority } from '../../functions/mod.ts'
import type { GuardedVerb, VmGuard } from '../../rmo/mod.ts'
import type { CloudView, IntentRecord, Stored } from '../cloud/contract.ts'
import type { CloudBook, HostLease } from '../cloud/parts.ts'
import { KALI } from '../errors.ts'
import type { BootClock } from './boot-clock.ts'

export interface GuardOptions {
  readonly view: Pick<CloudView, 'intent' | 'onChange'>
  readonly book: Pick<CloudBook, 'change' | 'read'>
  readonly lease: Pick<HostLease, 'held' | 'isArmed'>
  readonly clock: Pick<Clock, 'after' | 'wallMs'>
  readonly bootClock: BootClock
  /** Uuid of the PhysicalMachine whose host this guards: a node may stand for several. */
  readonly machine: string
  readonly name: string
}

/** Whose verbs carry out intents. */
const AGENT_PRINCIPAL = 'system:agent'
const ALWAYS = (): boolean => true

/** What a user's verb wants of a VM from now on. */
const WANTED: Readonly<Record<Exclude<GuardedVerb, 'migrate'>, IntentRecord['desired']>> = { start: 'running', stop: 'stopped', destroy: 'stopped', save: 'stopped', remove: 'absent' }

/**
 * The next intent; undefined: it says so already. A human who starts a VM begins its tries anew. While it was off its host may
 * have let go of the lease, so it is not armed until the agent says so again: else a policy would find it armed, its host
 * without a lease, and "lost".
 */
function wanted(present: Stored<IntentRecord>, verb: Exclude<GuardedVerb, 'migrate'>, by: { readonly principal: string; readonly decision: string; readonly atMs: number }): IntentRecord | undefined {
  const desired = WANTED[verb]
  if (present.desired === desired && (desired !== 'running' || present.error === undefined)) return undefined
  const { revision: _revision, error: _error, ...rest } = present
  return {
    // What is on its way out still runs: it keeps its booking until it is forgotten.
    ...rest, desired, booked: desired === 'running' || (desired === 'absent' && present.booked),
    // Its host has let go of the lease, and takes one now: until that stands, the VM is not lost with a lease that is not there.
    ...desired === 'running' && present.protection !== undefined ? { protection: { ...present.protection, armed: false } } : {},
    ...desired === 'running' ? { tries: { restarts: 0, relocations: 0, sinceMs: by.atMs } } : present.error === undefined ? {} : { error: present.error },
    decision: by.decision, decidedBy: by.principal, decidedAtMs: by.atMs, reason: `${by.principal} asked for ${verb}`,
  }
}

export function createGuard({ view, book, lease, clock, bootClock, machine, name: host }: GuardOptions): VmGuard {
  const isHere = (intent: IntentRecord): boolean => intent.machine?.uuid === machine
  const whereIs = ({ machine: at }: IntentRecord): string => at === undefined ? 'it waits for a place' : at.uuid === machine ? 'it is to run here' : `it belongs to ${at.name}`
  const isArmed = (uuid: string, intent: IntentRecord | undefined): boolean => intent?.protection?.armed === true && lease.isArmed(uuid)
  /** A user's start makes the agent arm it, which takes no lock that the start holds. */
  const armedSoon = (uuid: string): Promise<boolean> => new Promise((resolve) => {
    const end = (armed: boolean): void => { timer.cancel(); stop(); resolve(armed) }
    const timer = clock.after(LIMITS.guardArmTimeoutMs, () => end(false), { background: true })
    const look = (): void => { if (isArmed(uuid, view.intent(uuid))) end(true) }
    const stop = view.onChange(look)
    look()
  })

  /** As it is in the store now, if it may be set going here; else throws. Undefined: nobody manages it any more. */
  const mayRun = async (uuid: string, name: string, epoch: number | undefined, arrives: boolean): Promise<IntentRecord | undefined> => {
    const intent = await book.read(uuid, { timeoutMs: LIMITS.guardReadTimeoutMs })
    if (intent === undefined) return undefined
    const stale = (present: string): Error => KALI.EPOCH_STALE({ vm: name, epoch: epoch ?? 0, present })
    if (!isHere(intent)) throw stale(whereIs(intent))
    // What arrives has the source's epoch, and is stamped when it is here.
    if (!arrives && epoch !== intent.epoch) throw stale(`its epoch is ${intent.epoch}`)
    if (intent.desired !== 'running') throw stale(`it is to be ${intent.desired}`)
    return intent
  }

  return {
    async asked({ uuid, name }, verb, authority: Authority) {
      if (authority.principal === AGENT_PRINCIPAL) return
      const known = view.intent(uuid)
      if (known === undefined) return
      if (verb === 'migrate') throw KALI.MANAGED({ vm: name, verb, instead: 'pool.migrate(vm, pm), which moves its place with it' })
      if (!isHere(known)) {
        // An old copy: what ends it is right, and says nothing of the VM elsewhere.
        if (verb === 'start') throw KALI.EPOCH_STALE({ vm: name, epoch: known.epoch, present: whereIs(known) })
        return
      }
      const by = { principal: authority.principal, decision: authority.operation ?? authority.trace, atMs: Math.round(clock.wallMs()) }
      await book.change(uuid, (present) => isHere(present) ? wanted(present, verb, by) : undefined, { signal: authority.signal })
    },

    async beforeRun({ uuid, name, epoch, arrives }) {
      if (epoch === undefined && view.intent(uuid) === undefined) return ALWAYS
      const read = async (): Promise<{ readonly intent: IntentRecord | undefined; readonly inTime: () => boolean }> => {
        const askedMs = bootClock.nowMs()
        return { intent: await mayRun(uuid, name, epoch, arrives !== undefined), inTime: () => bootClock.nowMs() - askedMs < LIMITS.guardAnswerMs }
      }
      let { intent, inTime } = await read()
      // Managed once, and by nobody now: its host's own.
      if (intent === undefined) return ALWAYS
      if (intent.protection === undefined) return inTime
      if (!isArmed(uuid, intent)) {
        // Not armed yet, it can be taken over by nobody: what arrives is armed when it is here.
        if (arrives !== undefined && !intent.protection.armed) return inTime
        if (!await armedSoon(uuid)) throw KALI.LEASE_LOST({ node: host, reason: lease.held ? `${name} is not armed there` : 'it has none that is young enough' });
        ({ intent, inTime } = await read())
        if (!isArmed(uuid, intent)) throw KALI.LEASE_LOST({ node: host, reason: `${name} is armed there no more` })
      }
      return () => inTime() && lease.isArmed(uuid)
    },
  }
}

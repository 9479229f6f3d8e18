// High availability as one pure function (cloud.md section 5, rules 2, 10, 11, 12, 13): which protected VMs are to run elsewhere,
// which are given up, and which wait and for what. It proposes; the kernel (kali/service) carries a takeover out only when the
// store itself says that the host's lease is gone, whatever is proposed here.
//
//   host's lease gone, armed, own contact to the store a whole L  -> relocate, within Protection.relocations
//   gossip says suspect or dead, lease held                       -> nothing: it may be alive, and running them
//   crashed on a live host, restarts in place used up             -> relocate; no relocations left -> give-up
//   no machine                                                    -> place, with back-off
//
// Every deed is tried again with back-off until the snapshot shows its effect: work ends on what is observed, never on "sent".

import { LIMITS } from '../../fabric/base.ts'
import type { CloudAction, Decide, MachineView, PoolSnapshot, Proposal, VmView } from '../cloud/contract.ts'
import { triesNow } from '../cloud/tries.ts'
import { followLosses, lossLimit } from './brake.ts'
import type { Losses } from './brake.ts'
import { backoffMs, fits, takes, urgentFirst } from './order.ts'
import { beginSayings } from './said.ts'
import type { Said } from './said.ts'

interface Tried { /** The action and the epoch it was for. */ readonly what: string; readonly count: number; readonly nextAtMs: number }
export interface HaMemory extends Losses { readonly tried: Readonly<Record<string, Tried>>; readonly said: Said }

/** What is to become of one VM; 'wait' says why nothing. */
export type Verdict =
  | { readonly do: 'relocate' | 'give-up' | 'retry' | 'place'; readonly reason: string }
  | { readonly do: 'wait'; readonly reason: string }

/** Rounded for people. */
const seconds = (ms: number): string => `${Math.round(ms / 1_000)} s`

/** Tries that count: those of the present window (rule 12). */
function tries({ tries, protection }: VmView, atMs: number): { readonly restarts: number; readonly relocations: number } {
  const { restarts, relocations } = triesNow(tries, protection?.windowMs ?? Infinity, atMs)
  return { restarts, relocations }
}

/** Undefined: all is well, or not this policy's business. */
export function judge(vm: VmView, machine: MachineView | undefined, snapshot: Pick<PoolSnapshot, 'atMs' | 'contactMs' | 'timings'>): Verdict | undefined {
  if (vm.desired !== 'running' || vm.error !== undefined) return undefined
  if (vm.machine === undefined) return { do: 'place', reason: 'it has no machine yet' }
  if (vm.protection === undefined) return undefined
  // The guest's own wish: not a crash, on whichever host (rule 13).
  if (vm.phase === 'shut-down' && vm.protection.onGuestShutdown === 'leave') return undefined
  if (machine === undefined) return { do: 'wait', reason: 'its machine is not in the pool any more' }
  if (vm.protection.armed) {
    if (machine.lease.state === 'gone') return ofLostHost(vm, vm.protection, machine, snapshot)
    // Suspicion never restarts (rule 2).
    if (machine.member !== 'alive') return { do: 'wait', reason: `${machine.name} is ${machine.member} by gossip, and its lease stands: nothing before it has expired, which takes at most ${seconds(snapshot.timings.leaseMs)} from its last renewal` }
  } else if (machine.member !== 'alive') {
    return { do: 'wait', reason: `${machine.name} is ${machine.member}, and had not armed its watchdog for this VM: only proof of its death moves it (\`kumoi ha clear ${vm.name} --host-is-dead\` is a human's word)` }
  }
  return ofLiveHost(vm, vm.protection, machine, snapshot.atMs)
}

function ofLostHost(vm: VmView, { relocations }: NonNullable<VmView['protection']>, machine: MachineView, { atMs, contactMs, timings }: Pick<PoolSnapshot, 'atMs' | 'contactMs' | 'timings'>): Verdict {
  // The lease may have gone with the store, not with the host; after an outage everybody waits a whole L (rule 10).
  if (contactMs < timings.leaseMs) return { do: 'wait', reason: `the lease of ${machine.name} is gone, and the store has not yet answered without a gap for a whole lease of ${seconds(timings.leaseMs)}` }
  if (tries(vm, atMs).relocations >= relocations) return { do: 'give-up', reason: `${machine.name} is lost, and its ${relocations} relocations are used up` }
  return { do: 'relocate', reason: `${machine.name} is lost: its lease is gone` }
}

function ofLiveHost(vm: VmView, { restarts, relocations }: NonNullable<VmView['protection']>, machine: MachineView, atMs: number): Verdict | undefined {
  const { phase, phaseSinceMs = atMs } = vm
  if (phase !== 'crashed' && phase !== 'failed' && phase !== 'shut-down') return undefined
  const used = tries(vm, atMs)
  const late = atMs - phaseSinceMs >= LIMITS.haPatienceMs
  // Somebody has decided since (a reminder, a human): its agent has as long again.
  if (vm.decidedAtMs > phaseSinceMs && atMs - vm.decidedAtMs < LIMITS.haPatienceMs) return undefined
  if (phase === 'shut-down' && late && used.restarts >= Math.max(1, restarts)) return { do: 'give-up', reason: `it is shut-down on ${machine.name} and wanted to run, and was not started there after ${used.restarts} reminders` }
  if (phase === 'shut-down' || (phase === 'crashed' && used.restarts < restarts)) {
    return late ? { do: 'retry', reason: `it is ${phase} for more than ${seconds(LIMITS.haPatienceMs)}, and ${machine.name} has not started it again` } : undefined
  }
  if (phase === 'failed' && !late) return undefined
  const why = phase === 'failed' ? `it cannot be started on ${machine.name}` : `it crashed on ${machine.name}, and its ${restarts} restarts there are used up`
  if (used.relocations >= relocations) return { do: 'give-up', reason: `${why}, as are its ${relocations} relocations` }
  return { do: 'relocate', reason: why }
}

function actionOf(verdict: Exclude<Verdict, { readonly do: 'wait' }>, { uuid, epoch }: VmView): CloudAction {
  switch (verdict.do) {
    case 'place': return { do: 'place', vm: uuid }
    case 'give-up': return { do: 'give-up', vm: uuid, epoch, error: verdict.reason }
    case 'relocate': case 'retry': return { do: verdict.do, vm: uuid, epoch }
  }
}

const STARTS: ReadonlySet<Verdict['do']> = new Set(['relocate', 'place'])

export const ha: Decide<HaMemory> = ({ snapshot, memory }) => {
  const { atMs, machines, vms, pool, mode } = snapshot
  const sayings = beginSayings(memory?.said)
  const losses = followLosses(snapshot, memory)
  const byUuid = new Map(machines.map((machine) => [machine.uuid, machine]))
  const judged = vms.flatMap((vm) => {
    const verdict = judge(vm, vm.machine === undefined ? undefined : byUuid.get(vm.machine), snapshot)
    return verdict === undefined ? [] : [{ vm, verdict }]
  }).sort((a, b) => urgentFirst(a.vm, b.vm))
  const held = heldBack(losses, mode, machines)
  if (held !== undefined && (judged.length > 0 || losses.brake !== undefined)) sayings.say(pool.uuid, held, { waiting: judged.length })

  const taking = machines.filter((machine) => takes(machine) && losses.lost[machine.uuid] === undefined)
  let startsLeft = LIMITS.policyStartsPerMachine * taking.length - vms.filter(({ inFlight, machine }) => inFlight && machine !== undefined).length
  const tried: Record<string, Tried> = {}
  const proposals: Proposal[] = []
  const notes: Record<string, Readonly<Record<string, unknown>>> = losses.brake === undefined ? {} : { [pool.uuid]: { brake: { since: new Date(losses.brake.sinceMs).toISOString(), lost: losses.brake.machines.length, limit: lossLimit(machines.length) } } }
  const wait = (vm: VmView, verdict: Verdict, reason: string): void => {
    notes[vm.uuid] = { verdict: verdict.do, reason, tries: tries(vm, atMs) }
    if (held === undefined || verdict.do === 'wait') sayings.say(vm.uuid, reason)
  }
  for (const { vm, verdict } of judged) {
    if (verdict.do === 'wait') { wait(vm, verdict, verdict.reason); continue }
    const what = `${verdict.do} ${vm.epoch}`
    const before = memory?.tried[vm.uuid]
    const last = before?.what === what ? before : undefined
    if (last !== undefined) tried[vm.uuid] = last
    if (held !== undefined) { wait(vm, verdict, held); continue }
    const starts = STARTS.has(verdict.do)
    if (starts && !taking.some((machine) => machine.uuid !== vm.machine && fits(vm, machine))) { wait(vm, verdict, `${verdict.reason}; no machine of ${pool.name} has room for ${vm.vcpus} vcpus and ${vm.memoryMiB} MiB`); continue }
    notes[vm.uuid] = { verdict: verdict.do, reason: verdict.reason, tries: tries(vm, atMs), ...(last === undefined ? {} : { attempts: last.count }) }
    if (last !== undefined && atMs < last.nextAtMs) continue
    if (proposals.length >= LIMITS.policyActionsMax || (starts && startsLeft <= 0)) { sayings.say(pool.uuid, 'more VMs are to be started than machines may start at once; the rest waits'); continue }
    if (starts) startsLeft--
    const count = (last?.count ?? 0) + 1
    tried[vm.uuid] = { what, count, nextAtMs: atMs + backoffMs(count, { firstMs: LIMITS.policyBackoffMs, mostMs: LIMITS.policyBackoffMsMax }) }
    proposals.push({ action: actionOf(verdict, vm), reason: verdict.reason })
  }
  const { proposals: said, said: standing } = sayings.end()
  return { proposals: [...proposals, ...said], memory: { ...losses, tried, said: standing }, notes }
}

/** Why nothing automatic is done in this pool now. */
function heldBack({ brake }: Losses, mode: PoolSnapshot['mode'], machines: PoolSnapshot['machines']): string | undefined {
  if (mode !== 'armed') return `the cloud is set to ${mode}: policies restart and move nothing`
  if (brake === undefined) return undefined
  const names = machines.filter(({ uuid }) => brake.machines.includes(uuid)).map(({ name }) => name).sort()
  return `ALARM: ${names.length} of ${machines.length} machines are lost (${names.join(', ')}), more than ${lossLimit(machines.length)}: nothing is restarted until they are back or a human says so (\`kumoi ha mode armed\`)`
}

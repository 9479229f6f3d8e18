// The brake on mass failure (cloud.md 5.11): when many machines of a pool go at once, the cause is more likely the network, the
// store or the power than the machines, and restarting everything elsewhere makes it worse. Pure.
//
//   lost: its gossip member is dead, or it has armed VMs and its lease is gone
//   more than max(1, floor(30 % of the pool's machines)) lost within LIMITS.haBrakeWindowMs -> brake
//   released when enough of them are back, or by a human (`kumoi ha mode armed`)
//
// One lost machine never brakes, whatever the size: of three machines it is 33 %, and the ordinary case. A machine that gossip
// calls dead counts before its lease has run out: leases of one power cut expire seconds apart, and the first must not be acted
// on as if it were alone. That is suspicion, and it may only hold back, never restart.

import { LIMITS } from '../../fabric/base.ts'
import type { MachineView, PoolSnapshot, VmView } from '../cloud/contract.ts'

export interface Brake { readonly sinceMs: number; /** Uuids of what was lost when it went on, and since. */ readonly machines: readonly string[] }
export interface Losses {
  /** Machine -> since when. */
  readonly lost: Readonly<Record<string, number>>
  /** Those of them that gossip has called dead since. */
  readonly dead?: readonly string[]
  readonly brake?: Brake
}

const ENDED: ReadonlySet<NonNullable<VmView['phase']>> = new Set(['crashed', 'failed', 'stopped', 'shut-down'])
const PARTS = 10, PARTS_LOST = 3

/** How many machines of a pool may be lost within the window before everything automatic stops. */
export const lossLimit = (machines: number): number => Math.max(1, Math.floor((machines * PARTS_LOST) / PARTS))

/** Machines that are gone as far as can be seen now. */
export function lostNow({ machines, vms }: PoolSnapshot): ReadonlySet<string> {
  const armed = vms.filter((vm) => vm.protection?.armed === true && vm.desired === 'running')
  const hosts = new Set(armed.map(({ machine }) => machine))
  // A host whose protected VMs have all ended, as it said itself, needs no lease, and lets go of it.
  const leased = new Set(armed.filter(({ error, phase }) => error === undefined && !(phase !== undefined && ENDED.has(phase))).map(({ machine }) => machine))
  return new Set(machines.filter((machine) => {
    if (hosts.has(machine.uuid)) return machine.member === 'dead' || (leased.has(machine.uuid) && machine.lease.state === 'gone')
    return machine.member === 'dead' && machine.lease.state === 'gone' && machine.mode !== 'maintenance' && !machine.power.asleep
  }).map(({ uuid }) => uuid))
}

/**
 * A machine that was alive all the time and is without a lease may still be cut off from the store: a held lease says that it is
 * back. One that was dead and is alive again is back without: it has nothing to protect any more, and takes no lease until it has.
 */
const isBack = (machine: MachineView | undefined, wasDead: boolean): boolean => machine === undefined || (machine.member === 'alive' && (wasDead || machine.lease.state === 'held'))

export function followLosses(snapshot: PoolSnapshot, before: Losses | undefined): Losses {
  const { atMs, machines, modeAtMs = 0 } = snapshot
  const gone = lostNow(snapshot)
  const byUuid = new Map(machines.map((machine) => [machine.uuid, machine]))
  const lost: Record<string, number> = {}
  for (const uuid of gone) lost[uuid] = before?.lost[uuid] ?? atMs
  for (const [uuid, sinceMs] of Object.entries(before?.lost ?? {})) {
    if (!gone.has(uuid) && !isBack(byUuid.get(uuid), before?.dead?.includes(uuid) === true) && atMs - sinceMs < LIMITS.haBrakeWindowMs) lost[uuid] = sinceMs
  }
  const dead = Object.keys(lost).filter((uuid) => byUuid.get(uuid)?.member === 'dead' || before?.dead?.includes(uuid) === true).sort()
  const followed: Losses = dead.length === 0 ? { lost } : { lost, dead }
  const limit = lossLimit(machines.filter(({ uuid, mode }) => mode !== 'maintenance' || gone.has(uuid)).length)
  // What a human has seen when he set the mode is not counted again.
  const recent = Object.entries(lost).filter(([, sinceMs]) => sinceMs > modeAtMs && atMs - sinceMs < LIMITS.haBrakeWindowMs).map(([uuid]) => uuid)
  const held = before?.brake
  if (held !== undefined && held.sinceMs >= modeAtMs) {
    const still = [...new Set([...held.machines.filter((uuid) => lost[uuid] !== undefined), ...recent])].sort()
    return still.length > limit ? { ...followed, brake: { sinceMs: held.sinceMs, machines: still } } : followed
  }
  return recent.length > limit ? { ...followed, brake: { sinceMs: atMs, machines: recent.sort() } } : followed
}

// What a change of an intent does to what is booked: on machines, on its pool, its account, its user and his groups. Pure.
//
//   before, after (intents), what the store has of their machines, pools, counters and quotas --> the new machines and counters
//
// Invariants: booked on a machine (a pool, an account, a user, a group) is the sum over the intents that are booked there; nothing grows
// beyond the machine's room or the quota, while shrinking is always allowed; a machine's record changes whenever an intent
// comes to name it or ceases to, also one that is not booked, so that its revision tells whether it may leave (book.ts).
// The caller writes the answer in one transaction that holds only while everything given here is still what it was.

import { KALI } from '../errors.ts'
import { ownerScopes, scopeText } from './owners.ts'
import type { Amounts, IntentRecord, MachineRecord, PoolRecord, QuotaRecord, QuotaScope } from './records.ts'

export const NOTHING: Amounts = Object.freeze({ vms: 0, vcpus: 0, memoryMiB: 0 })

/** What the answer depends on: the book reads these, and binds the transaction to them. */
export interface Needed { readonly machines: readonly string[]; readonly pools: readonly string[]; readonly scopes: readonly QuotaScope[] }

export interface Known {
  machine(uuid: string): MachineRecord | undefined
  pool(uuid: string): PoolRecord | undefined
  /** undefined: nothing is booked. */
  counter(scope: QuotaScope): Amounts | undefined
  quota(scope: QuotaScope): QuotaRecord | undefined
}
export interface Booked {
  readonly machines: readonly MachineRecord[]
  readonly counters: readonly { readonly scope: QuotaScope; readonly amounts: Amounts }[]
}

/** What an intent takes up. */
export const amountsOf = (intent: Pick<IntentRecord, 'booked' | 'settings'> | undefined): Amounts =>
  intent?.booked === true ? { vms: 1, vcpus: intent.settings.vcpus, memoryMiB: intent.settings.memoryMiB } : NOTHING

/** What may be booked on a machine, in its pool: hardware x over-commit - reserve, rounded down. */
export function roomOf(machine: Pick<MachineRecord, 'cores' | 'memoryMiB'>, pool: Pick<PoolRecord, 'overcommit' | 'reserve'>): Omit<Amounts, 'vms'> {
  return {
    vcpus: Math.max(0, Math.floor(machine.cores * pool.overcommit.cpuRatio - pool.reserve.vcpus)),
    memoryMiB: Math.max(0, Math.floor(machine.memoryMiB * pool.overcommit.memoryRatio - pool.reserve.memoryMiB)),
  }
}

interface Move { readonly key: string; readonly from: Amounts; readonly to: Amounts; /** It came to be named, or ceased to be. */ readonly touched: boolean }

function moves(before: IntentRecord | undefined, after: IntentRecord | undefined, keyOf: (intent: IntentRecord) => string | undefined): readonly Move[] {
  const from = before && keyOf(before), to = after && keyOf(after)
  const all: Move[] = from === to
    ? from === undefined ? [] : [{ key: from, from: amountsOf(before), to: amountsOf(after), touched: false }]
    : [
      ...(from === undefined ? [] : [{ key: from, from: amountsOf(before), to: NOTHING, touched: true }]),
      ...(to === undefined ? [] : [{ key: to, from: NOTHING, to: amountsOf(after), touched: true }]),
    ]
  return all.filter(({ from, to, touched }) => touched || !equal(from, to))
}
const machineMoves = (before: IntentRecord | undefined, after: IntentRecord | undefined): readonly Move[] => moves(before, after, ({ machine }) => machine?.uuid)
const poolMoves = (before: IntentRecord | undefined, after: IntentRecord | undefined): readonly Move[] => moves(before, after, ({ pool }) => `pool/${pool}`)
const accountMoves = (before: IntentRecord | undefined, after: IntentRecord | undefined): readonly Move[] =>
  moves(before, after, ({ account }) => `account/${account}`).filter(({ from, to }) => !equal(from, to))

/** A user and his groups: those of the booking that ends, and of the one that begins. */
function ownerMoves(before: IntentRecord | undefined, after: IntentRecord | undefined): readonly Move[] {
  const from = new Set(ownerScopes(before?.owner)), to = new Set(ownerScopes(after?.owner))
  return [...new Set([...from, ...to])]
    .map((key): Move => ({ key, from: from.has(key) ? amountsOf(before) : NOTHING, to: to.has(key) ? amountsOf(after) : NOTHING, touched: false }))
    .filter(({ from, to }) => !equal(from, to))
}
const scopeMoves = (before: IntentRecord | undefined, after: IntentRecord | undefined): readonly Move[] => [...poolMoves(before, after), ...accountMoves(before, after), ...ownerMoves(before, after)]

/** Records that bookings() asks for. Empty everywhere: the change moves no booking. */
export function neededFor(before: IntentRecord | undefined, after: IntentRecord | undefined): Needed {
  const machines = machineMoves(before, after).map(({ key }) => key)
  const scopes = scopeMoves(before, after).map(({ key }) => key as QuotaScope)
  return { machines, scopes, pools: machines.length + scopes.length > 0 && after !== undefined ? [after.pool] : [] }
}

/** As users write it (`global.quota('pool/web', ...)`): pools by name. */
const textOf = (scope: QuotaScope, known: Known): string => (scope.startsWith('pool/') ? `pool/${known.pool(scope.slice('pool/'.length))?.name ?? scope.slice('pool/'.length)}` : scopeText(scope))

/** Throws KALI_ERR_POOL_UNKNOWN, KALI_ERR_MACHINE_UNKNOWN, KALI_ERR_NO_ROOM, KALI_ERR_QUOTA. */
export function bookings(before: IntentRecord | undefined, after: IntentRecord | undefined, known: Known): Booked {
  const { pools } = neededFor(before, after)
  for (const uuid of pools) if (known.pool(uuid) === undefined) throw KALI.POOL_UNKNOWN({ pool: uuid })
  const machines = machineMoves(before, after).flatMap((move) => {
    const machine = known.machine(move.key)
    if (after !== undefined && after.machine?.uuid === move.key) return [arrive(move, machine, before, after, known)]
    return machine === undefined ? [] : [{ ...machine, booked: shifted(machine.booked, move) }]
  })
  const counters = scopeMoves(before, after).map((move) => {
    const scope = move.key as QuotaScope
    const present = known.counter(scope) ?? NOTHING
    const amounts = shifted(present, move)
    const limit = known.quota(scope)?.limit
    for (const what of ['vms', 'vcpus', 'memoryMiB'] as const) {
      const most = limit?.[what]
      if (most !== undefined && amounts[what] > present[what] && amounts[what] > most) throw KALI.QUOTA({ scope: textOf(scope, known), what: UNITS[what], wanted: amounts[what], limit: most })
    }
    return { scope, amounts }
  })
  return { machines, counters }
}

const UNITS = { vms: 'VMs', vcpus: 'vcpus', memoryMiB: 'MiB of memory' } as const

function arrive(move: Move, machine: MachineRecord | undefined, before: IntentRecord | undefined, after: IntentRecord, known: Known): MachineRecord {
  const where = after.machine?.name ?? move.key
  const pool = known.pool(after.pool)
  if (machine === undefined || machine.pool !== after.pool || pool === undefined) throw KALI.MACHINE_UNKNOWN({ machine: where, where: `pool ${pool?.name ?? after.pool}` })
  const comes = before?.machine?.uuid !== machine.uuid
  // What runs there already (origin 'present') is only taken into account.
  if (comes && after.origin !== 'present' && (machine.mode !== 'in-service' || machine.asleep === true)) throw KALI.NO_ROOM({ vm: after.name, where, reason: machine.asleep === true ? 'it is asleep' : machine.mode === 'draining' ? 'it is being drained' : 'it is in maintenance' })
  const booked = shifted(machine.booked, move)
  const room = roomOf(machine, pool)
  for (const what of ['vcpus', 'memoryMiB'] as const) {
    if (booked[what] > machine.booked[what] && booked[what] > room[what]) throw KALI.NO_ROOM({ vm: after.name, where, reason: `it would have ${booked[what]} of ${room[what]} ${UNITS[what]} booked` })
  }
  return { ...machine, booked }
}

const shifted = (present: Amounts, { from, to }: Pick<Move, 'from' | 'to'>): Amounts => ({
  vms: Math.max(0, present.vms - from.vms + to.vms),
  vcpus: Math.max(0, present.vcpus - from.vcpus + to.vcpus),
  memoryMiB: Math.max(0, present.memoryMiB - from.memoryMiB + to.memoryMiB),
})
export const equal = (a: Amounts, b: Amounts): boolean => a.vms === b.vms && a.vcpus === b.vcpus && a.memoryMiB === b.memoryMiB

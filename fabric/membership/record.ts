// What is gossiped about one member, and the rule that joins two records of the same member.
//
// The join is a lattice: commutative, associative, idempotent, so that order, repetition and paths of
// gossip do not matter. (incarnation, state rank) decides; only the member itself raises its incarnation,
// which is how it refutes. Accusers are a bounded set that grows inside one suspicion; loads carry a
// number of their own. Source: SWIM section 4.2; reliability.md section 2.

import type { NodeId } from '../id.ts'
import type { MemberState } from './contract.ts'

/** One independent witness against a suspect. */
export interface Accuser {
  readonly id: NodeId
  /** True: the operating system says that the process is gone. False: silence. */
  readonly strong: boolean
}

export interface Load { readonly cpuRatio: number; readonly queued: number }

/** What a member says of itself; changes only with its incarnation. */
export interface Profile {
  readonly name: string
  readonly addresses: readonly string[]
  readonly version: string
  readonly startedAtMs: number
}

export interface MemberRecord {
  readonly id: NodeId
  readonly incarnation: number
  readonly state: MemberState
  readonly profile: Profile
  readonly load: Load
  /** Raised with each new load inside an incarnation. */
  readonly loadNumber: number
  /** Witnesses of the suspicion, strong ones first, then by id; at most ACCUSERS_MAX; empty unless suspect. */
  readonly accusers: readonly Accuser[]
  /** Dead and left only: how long ago, as of sending. Lets tombstones age out everywhere; no part of the join's order. */
  readonly ageMs: number
}

/** More witnesses than this change no decision. */
export const ACCUSERS_MAX = 4

const RANK: Readonly<Record<MemberState, number>> = { alive: 0, suspect: 1, dead: 2, left: 3 }

export const isLive = (record: MemberRecord): boolean => record.state === 'alive' || record.state === 'suspect'

const profileKey = (profile: Profile): string => JSON.stringify([profile.startedAtMs, profile.name, profile.version, profile.addresses])

export const sameProfile = (a: Profile, b: Profile): boolean => a === b || profileKey(a) === profileKey(b)

/** Total order of claims about one member; positive when `a` wins. The profile breaks a tie between two lives of one key. */
export function compareClaims(a: MemberRecord, b: MemberRecord): number {
  if (a.incarnation !== b.incarnation) return a.incarnation - b.incarnation
  if (a.state !== b.state) return RANK[a.state] - RANK[b.state]
  if (a.profile === b.profile) return 0
  if (a.profile.startedAtMs !== b.profile.startedAtMs) return a.profile.startedAtMs - b.profile.startedAtMs
  const keyA = profileKey(a.profile), keyB = profileKey(b.profile)
  return keyA === keyB ? 0 : keyA > keyB ? 1 : -1
}

/** Order of accusers in a record: strong ones first, then by id. */
export const byWeight = (a: Accuser, b: Accuser): number => (a.strong !== b.strong ? (a.strong ? -1 : 1) : a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

/** Union of witnesses, each with its strongest word, cut to the ACCUSERS_MAX weightiest. Returns `a` itself when `b` adds nothing. */
function joinAccusers(a: readonly Accuser[], b: readonly Accuser[]): readonly Accuser[] {
  const strongest = new Map<NodeId, Accuser>()
  for (const accuser of [...a, ...b]) {
    const known = strongest.get(accuser.id)
    if (known === undefined || (accuser.strong && !known.strong)) strongest.set(accuser.id, accuser)
  }
  const joined = [...strongest.values()].sort(byWeight).slice(0, ACCUSERS_MAX)
  const same = joined.length === a.length && joined.every((accuser, i) => accuser.id === a[i]?.id && accuser.strong === a[i]?.strong)
  return same ? a : joined
}

/** Loads belong to an incarnation; inside one the higher number wins. */
function newerLoad(a: MemberRecord, b: MemberRecord): MemberRecord {
  if (a.incarnation !== b.incarnation) return a.incarnation > b.incarnation ? a : b
  if (a.loadNumber !== b.loadNumber) return a.loadNumber > b.loadNumber ? a : b
  if (a.load.cpuRatio !== b.load.cpuRatio) return a.load.cpuRatio > b.load.cpuRatio ? a : b
  return a.load.queued >= b.load.queued ? a : b
}

/** The join of two records of one member. Returns `a` itself (same reference) when `b` adds nothing. */
export function joinRecords(a: MemberRecord, b: MemberRecord): MemberRecord {
  if (a === b) return a
  const order = compareClaims(a, b)
  const winner = order >= 0 ? a : b
  const loaded = newerLoad(a, b)
  const accusers = order === 0 && a.state === 'suspect' ? joinAccusers(a.accusers, b.accusers) : winner.accusers
  if (winner === a && loaded.loadNumber === a.loadNumber && loaded.load.cpuRatio === a.load.cpuRatio
    && loaded.load.queued === a.load.queued && accusers === a.accusers) return a
  return { ...winner, load: loaded.load, loadNumber: loaded.loadNumber, accusers }
}

/** A record as it may be sent and stored: accusers only while suspect, age only once gone. */
export function withState(record: MemberRecord, state: MemberState, accusers: readonly Accuser[] = []): MemberRecord {
  return { ...record, state, accusers: state === 'suspect' ? [...accusers].sort(byWeight).slice(0, ACCUSERS_MAX) : [], ageMs: 0 }
}

// Knobs of the membership protocol, each with its formula as a function beside it, and checks on how
// they relate. Bounds on memory (queues, tables) are rows of fabric/limits.ts; these are times and counts.
//
// Two kinds of evidence decide the figures. Strong: the operating system closed the peer's sockets and
// refuses a redial, so the process is gone; a second witness within half a second is enough. Weak:
// silence; it must outlast an event loop that stalls 2 s at a time, and a packet that a reliable stream
// retransmits after 1 s, then 2 s. Source: SWIM, Lifeguard (arXiv 1707.00788), Rapid (ATC 2018).

import { assert } from '../assert.ts'

export const MEMBERSHIP = {
  /** Each observer probes each of its subjects this often; anything heard within half of it stands for an ack. */
  probeIntervalMs: 1_000,
  /** Silence after a direct probe before helpers are asked; times the local health factor. */
  ackTimeoutMs: 500,
  /** Further silence, while helpers try, before the subject is accused; times the local health factor. */
  indirectTimeoutMs: 700,
  /** A helper says "no answer" after this; sooner than the asker gives up, or its answer would be for nothing. */
  helperTimeoutMs: 450,
  /** Members asked to probe a silent subject by another way. */
  helpers: 3,
  /** Up to this many members everybody is linked with and watched by everybody. */
  meshMembersMax: 9,
  /**
   * Neighbours observed per ring and direction. Three, not one: observers next to each other on a ring have
   * links to each other, so a silent subject can be probed through somebody who has a link to it.
   */
  ringSpan: 3,
  /** Highest local health score (0 = healthy). Lifeguard uses 8; more only delays detection. */
  healthMax: 8,
  /** A wake-up this much later than asked for means that this process slept: what it waited for is void. */
  sleepThresholdMs: 500,
  /** Pause between two gossip rounds while there is news; no news, no rounds. */
  gossipIntervalMs: 100,
  /** Links served per gossip round. */
  gossipFanout: 3,
  /** Lambda of the retransmit limit. */
  retransmitFactor: 4,
  /** Strong evidence with two witnesses: from the first accusation to the declaration. */
  strongConfirmMs: 500,
  /** Independent accusers that shorten a weak suspicion to its minimum. */
  confirmationsWanted: 2,
  /** Full digest exchange with a random neighbour, even if the hashes on probes agree. */
  syncIntervalMs: 30_000,
  /** Least time between two digest exchanges that this node starts with the same neighbour. */
  syncPauseMs: 1_000,
  /** A dial that was neither answered nor refused is given up after this. */
  dialTimeoutMs: 2_000,
  /** First and longest pause between dials of a wanted member. */
  dialPauseMs: 250,
  dialPauseMsMax: 4_000,
  /** How long the side that should be dialled waits before it dials itself. */
  dialOtherSideMs: 1_500,
  /** Heal rounds: dead members and unconnected seeds are tried again. */
  healRoundMs: 1_000,
  /** Tries per dead member and heal round by the whole side, so that one dead machine is not hammered by a thousand. */
  healTriesPerDeadMember: 2,
  /** Tombstones: a dead member is dialled and shown for a day (serf's figure), one that left is only remembered. */
  deadKeptMs: 24 * 3_600_000,
  leftKeptMs: 3_600_000,
  /** leave() resolves at the latest after this. */
  leaveTimeoutMs: 800,
} as const

const M = MEMBERSHIP
assert(M.helperTimeoutMs < M.indirectTimeoutMs, 'a helper answers before the asker gives up')
assert(M.ackTimeoutMs + M.indirectTimeoutMs > 1_100, 'one retransmission (1 s) fits into a probe')
assert(M.dialPauseMs * 2 <= M.strongConfirmMs, 'two own redials fit into the strong window')
assert(M.leaveTimeoutMs < 1_000, 'a clean leave is known within a second')

/** Rings in use beyond the mesh: 2 up to 256 members, 3 up to 4,096. Two random rings already make an expander. */
export const ringCount = (members: number): number => Math.max(2, Math.ceil(Math.log2(members) / 4))

/** k: how many observers each member has. Everybody in a small fabric, then ringSpan per ring: 6, then 9. */
export const observerCount = (members: number): number =>
  members <= M.meshMembersMax ? Math.max(0, members - 1) : Math.min(members - 1, M.ringSpan * ringCount(members))

/** Times one piece of news is passed on by one member: lambda * log10(n + 1), 4 at 9, 7 at 50, 13 at 1,000. */
export const retransmitLimit = (members: number): number => Math.ceil(M.retransmitFactor * Math.log10(members + 1))

/** Shortest weak suspicion: 2.6 s at 5 members, 2.9 s at 50, 3.2 s at 1,000 (a refutation needs log n rounds to arrive). */
export const weakSuspicionMinMs = (members: number): number => 2_400 + 80 * Math.log2(Math.max(2, members))

/** Longest weak suspicion: of one accuser whom nobody has confirmed. */
export const weakSuspicionMaxMs = (members: number): number => 2 * weakSuspicionMinMs(members)

/** Factor on the probe timeouts of a node with the given health score (Lifeguard's local health multiplier). */
export const healthFactor = (score: number): number => 1 + score

/** Pause before a dead member is tried again: 2 s at first, 8 s after 80 s, so that halves meet within 10 s. */
export const healPauseMs = (deadForMs: number): number => Math.min(8_000, Math.max(2_000, deadForMs / 10))

/** Chance that a heal round dials: the side together makes about `healTriesPerDeadMember` tries per dead member and round. */
export const healChance = (dead: number, live: number): number => Math.min(1, (M.healTriesPerDeadMember * dead) / Math.max(1, live))

/** Pause before dial number `attempt` (0 = the first retry) of a wanted member, before jitter. */
export const dialPauseMs = (attempt: number): number => Math.min(M.dialPauseMsMax, M.dialPauseMs * 2 ** Math.max(0, attempt - 1))

/** Beyond the mesh loads are gossiped; one member's pause grows with n so that what each receives stays the same. */
export const loadPauseMs = (members: number): number => Math.max(2_000, 50 * members)

// Who decides with the embedded store's node whether a host may be taken over: the host's voters, in the store.
//
//   host:  take lease + write voters, one transaction --> more than half of them cut off --> its VMs go on (survival.ts)
//   taker: read voters, lease not there --> at least half of them had the store for a whole L --> takeover, voters unchanged
//
// The embedded store is a process of one node. When that node is lost or cut off, it cannot answer that it is; so the others
// need not ask it: of two halves that share a voter, one may keep and the other may not take. What that rests on:
//   - both go by one list: the taker's transaction has its revision as a condition, and the host, whose last write may not
//     have been answered, needs a majority of each list that may stand there
//   - one voter cannot tell both within the times that matter: "cut off" and "the store for a whole L" are one contact
//     (kali/cloud/contact.ts); from one question of the host to its next F + R go by at most, and F + R + K < L
//   - each taking of the lease writes the list again: a taker that stood still since it read it does not succeed
// No list (etcd, fewer than three voters): nobody keeps by majority, and nobody needs a vote. Source: cloud.md 5.10, 5.15.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock, NodeId } from '../../fabric/base.ts'
import type { GlobalStore, Log, StoreCompare, StoreOperation } from '../../fabric/mod.ts'
import { CLOUD_KEYS } from '../cloud/keys.ts'

/** Two hosts could each be half. */
const VOTERS_MIN = 3

export type Voters = readonly NodeId[] | undefined

/** As they are written: in order, and none when they would decide nothing. Of very many a part is enough: all that matters is that both sides go by the same. */
export const votersOf = (nodes: Iterable<NodeId>): Voters => {
  const voters = [...new Set(nodes)].sort().slice(0, LIMITS.survivalMembersMax)
  return voters.length < VOTERS_MIN ? undefined : voters
}
export const isMajority = (count: number, voters: readonly NodeId[]): boolean => 2 * count > voters.length
export const isHalf = (count: number, voters: readonly NodeId[]): boolean => 2 * count >= voters.length

// ---------------------------------------------------------------- host

export interface VotersWrite {
  readonly when: StoreCompare
  readonly then: StoreOperation
  /** Whether the transaction was carried out; never called: that is not known. */
  answered(succeeded: boolean): void
}
export interface OwnVoters {
  readonly key: string
  /** Lists that may stand in the store; an undefined one: perhaps none does, or one that nobody remembers. */
  possible(): readonly Voters[]
  /** Part of a transaction that is sent now; `than`: revision of the key as it was read. */
  write(than: number, next: Voters): VotersWrite
  /** Writes them when they are others than before, one write at a time; never rejects: the next renewal tries again. */
  keep(next: Voters): Promise<void>
}

const sameVoters = (one: Voters, other: Voters): boolean => one?.join() === other?.join()

/** Nothing is known before the first answer: an earlier life may have written anything. */
export function createOwnVoters({ self, store, timeoutMs, log }: { readonly self: NodeId; readonly store: Pick<GlobalStore, 'get' | 'transact'>; readonly timeoutMs: number; readonly log: Pick<Log, 'warn'> }): OwnVoters {
  const key = CLOUD_KEYS.voters(self)
  let writes = 0
  let keeping = false
  let possible: readonly { readonly voters: Voters }[] = [{ voters: undefined }]
  const write = (than: number, voters: Voters): VotersWrite => {
    const number = ++writes, written = { voters }
    possible = possible.length < LIMITS.votersPossibleMax ? [...possible, written] : [{ voters: undefined }, written]
    return {
      when: { key, field: 'modRevision', is: '=', than },
      then: voters === undefined ? { do: 'delete', key } : { do: 'put', key, value: new TextEncoder().encode(JSON.stringify({ voters })) },
      answered(succeeded) {
        if (!succeeded) possible = possible.filter((each) => each !== written)
        // What was sent before it and is still on its way fails by its condition; what was sent after it may stand by now.
        else if (number === writes) possible = [written]
      },
    }
  }
  return {
    key, write,
    possible: () => possible.map(({ voters }) => voters),
    async keep(next) {
      if (keeping || (possible.length === 1 && sameVoters(possible[0]?.voters, next))) return
      keeping = true
      try {
        const { when, then, answered } = write((await store.get(key, { timeoutMs }))?.modRevision ?? 0, next)
        answered((await store.transact({ when: [when], then: [then] }, { timeoutMs })).succeeded)
      } catch (error) {
        log.warn('who decides over this host without the store could not be written', { reason: String(error) })
      } finally { keeping = false }
    },
  }
}

// ---------------------------------------------------------------- taker

export interface TakeoverVote {
  /** Conditions of the takeover's transaction. */
  readonly when: readonly StoreCompare[]
  /** Why it may not be; undefined: it may. */
  readonly refused?: string
}
export interface TakeoverVoteOptions {
  readonly store: Pick<GlobalStore, 'get'>
  readonly clock: Pick<Clock, 'after'>
  /** How long a node has had the store without a gap, as it says; undefined: it has not. Rejects when it cannot be reached. */
  contactOf(node: NodeId): Promise<number | undefined>
  readonly leaseMs: number
  /** Of asking them all; at most K. */
  readonly timeoutMs: number
}

/** May the protected VMs of that node's machines be taken over, as far as its voters go? Throws STORE_*. */
export const createTakeoverVote = ({ store, clock, contactOf, leaseMs, timeoutMs }: TakeoverVoteOptions) => async (node: NodeId, signal: AbortSignal): Promise<TakeoverVote> => {
  const key = CLOUD_KEYS.voters(node)
  const entry = await store.get(key, { signal })
  const when: readonly StoreCompare[] = [{ key, field: 'modRevision', is: '=', than: entry?.modRevision ?? 0 }]
  if (entry === undefined) return { when }
  const voters = readVoters(entry.value)
  if (voters === undefined) return { when, refused: `its voters (${key}) cannot be read` }
  // Read after them, asked for before the question: not there now, and not taken again while they stand as they were read.
  if (await store.get(CLOUD_KEYS.lease(node), { signal }) !== undefined) return { when, refused: 'its lease stands' }
  const count = await votes(voters, async (voter) => (await contactOf(voter) ?? -1) >= leaseMs, { clock, timeoutMs })
  return isHalf(count, voters) ? { when } : { when, refused: `of its ${voters.length} voters ${count} ${count === 1 ? 'has' : 'have'} had the global store for a whole lease, and half of them must: the others may be cut off with it, and keep their VMs` }
}

/** Those who agree: as many as are enough, or that did so in time. */
function votes(voters: readonly NodeId[], agrees: (voter: NodeId) => Promise<boolean>, { clock, timeoutMs }: Pick<TakeoverVoteOptions, 'clock' | 'timeoutMs'>): Promise<number> {
  return new Promise((resolve) => {
    let yes = 0, left = voters.length
    const end = (): void => { timer.cancel(); resolve(yes) }
    const timer = clock.after(timeoutMs, end, { background: true })
    const said = (agreed: boolean): void => {
      left--
      if (agreed) yes++
      if (isHalf(yes, voters) || left === 0) end()
    }
    for (const voter of voters) agrees(voter).then(said, () => said(false))
  })
}

function readVoters(value: Uint8Array): Voters {
  try {
    const { voters } = JSON.parse(new TextDecoder().decode(value)) as { readonly voters?: unknown }
    return Array.isArray(voters) && voters.length > 0 && voters.every((voter) => typeof voter === 'string') ? voters : undefined
  } catch {
    return undefined
  }
}

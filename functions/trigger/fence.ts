// The fence: asked at the home of an object before a singleton changes it, in whatever epoch the caller says it acts.
//
// An answer is a linearizable read of the holder's key, asked for after the call began; calls that come while a read is
// under way share the next one. An answer counts only for LIMITS.holderSettleMs after it was asked, and a new holder acts
// only that long after it won: an effect that was admitted in the old epoch is therefore over before the first of the new
// one, at whichever host, however long this process or the answer was held up:
//
//   old epoch      read sent --- key changes hands ------------------.
//   answer counts  |<------------- settle ------------->|           :
//   new epoch                    |<------------- settle ------------->| first act
//
// The newest epoch ever seen of a name is remembered; an older one is refused without asking. No answer: refused.

import { LIMITS, errorCode } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import type { GlobalStore } from '../../fabric/mod.ts'
import { FUNCTIONS } from '../errors.ts'
import { bounded, pause } from './patience.ts'

export interface FenceOptions {
  readonly store: Pick<GlobalStore, 'get'>
  readonly clock: Clock
  /** How long an answer counts; not longer than a new holder waits before it acts. */
  readonly answerMs?: number
}
export interface Fence {
  check(name: string, epoch: number, signal?: AbortSignal): Promise<void>
  /** An epoch that is known from elsewhere (the watch). */
  see(name: string, epoch: number): void
}

/** Between two questions when the store gave no answer. */
const PAUSE_MS = 50

export const holderKey = (name: string): string => `holder/${name}`

type Answer = { readonly epoch: number; readonly sentAtMs: number } | { readonly late: string }
interface Reads { running: Promise<Answer>; next: Promise<Answer> | undefined }

export function createFence({ store, clock, answerMs = LIMITS.holderSettleMs }: FenceOptions): Fence {
  const newest = new Map<string, number>()
  const reads = new Map<string, Reads>()

  const see = (name: string, epoch: number): void => {
    if ((newest.get(name) ?? 0) >= epoch) return
    newest.delete(name)
    newest.set(name, epoch)
    const oldest = newest.keys().next().value
    if (newest.size > LIMITS.fencedNamesMax && oldest !== undefined) newest.delete(oldest)
  }
  const read = async (name: string): Promise<Answer> => {
    const sentAtMs = clock.nowMs()
    try {
      const entry = await bounded(clock, answerMs, store.get(holderKey(name), { timeoutMs: answerMs }))
      const epoch = entry?.createRevision ?? 0
      see(name, epoch)
      return { epoch, sentAtMs }
    } catch (error) {
      return { late: `the store did not answer (${errorCode(error) ?? String(error)})` }
    }
  }
  /** A read that begins after this call. */
  const fresh = (name: string): Promise<Answer> => {
    const present = reads.get(name)
    if (present === undefined) {
      const running = read(name)
      const entry: Reads = { running, next: undefined }
      reads.set(name, entry)
      const follow = (): void => { if (entry.next === undefined) reads.delete(name) }
      void running.then(follow)
      return running
    }
    present.next ??= present.running.then(() => {
      reads.delete(name)
      return fresh(name)
    })
    return present.next
  }

  return {
    see,
    async check(name, epoch, signal) {
      const endsAtMs = clock.nowMs() + LIMITS.fenceTimeoutMs
      const refuse = (reason: string): Error => FUNCTIONS.FUNCTION_FENCED({ name, epoch, reason })
      for (;;) {
        if ((newest.get(name) ?? 0) > epoch) throw refuse(`epoch ${newest.get(name)} has begun`)
        const answer = await fresh(name)
        if (signal?.aborted === true) throw refuse('the call is over')
        // Another answer may have come in between.
        if ((newest.get(name) ?? 0) > epoch) throw refuse(`epoch ${newest.get(name)} has begun`)
        const inTime = 'epoch' in answer && clock.nowMs() - answer.sentAtMs < answerMs
        if ('epoch' in answer && inTime) {
          if (answer.epoch === epoch) return
          throw refuse(answer.epoch === 0 ? 'nobody holds it now' : `epoch ${answer.epoch} holds it`)
        }
        if (clock.nowMs() >= endsAtMs) throw refuse('late' in answer ? answer.late : 'the store answers too slowly')
        await pause(clock, PAUSE_MS, signal)
      }
    },
  }
}

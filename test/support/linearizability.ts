// Is a recorded history of concurrent clients one that a single copy could have produced, one call at a time? Each key is
// judged alone (linearizability is local), by the search of Wing and Gong with Lowe's memo of (calls done, state): a call may
// stand anywhere between its begin and its end; one whose outcome is unknown anywhere after its begin, or nowhere.

import type { GlobalStore } from '../../fabric/mod.ts'
import type { Random } from '../../fabric/base.ts'

export type Register = string | undefined
export interface Call {
  readonly key: string
  readonly client: number
  readonly beganAt: number
  /** Infinity: the outcome is unknown. */
  readonly endedAt: number
  readonly call: { readonly do: 'get'; readonly found: Register } | { readonly do: 'put'; readonly value: string } | { readonly do: 'delete' } | { readonly do: 'swap'; readonly from: Register; readonly to: string; readonly succeeded: boolean | undefined }
}

/** The state after the call, or 'impossible' in this one. */
function apply({ call }: Call, state: Register): Register | typeof IMPOSSIBLE {
  switch (call.do) {
    case 'get': return call.found === state ? state : IMPOSSIBLE
    case 'put': return call.value
    case 'delete': return undefined
    case 'swap': {
      const matches = state === call.from
      if (call.succeeded !== undefined && call.succeeded !== matches) return IMPOSSIBLE
      return matches ? call.to : state
    }
  }
}
const IMPOSSIBLE = Symbol('impossible')

/** Undefined when it is linearizable; else the calls of a key for which it is not, as far as an order could be found. */
export function notLinearizable(history: readonly Call[]): { readonly key: string; readonly ordered: number; readonly calls: readonly Call[] } | undefined {
  for (const [key, unsorted] of Map.groupBy(history, (call) => call.key)) {
    const calls = unsorted.toSorted((a, b) => a.beganAt - b.beganAt)
    const ordered = longestOrder(calls)
    if (ordered < calls.filter(({ endedAt }) => endedAt < Infinity).length) return { key, ordered, calls }
  }
  return undefined
}

/** How many calls with a known outcome can be put in order: all of them, when the history is linearizable. */
function longestOrder(calls: readonly Call[]): number {
  const wanted = calls.filter(({ endedAt }) => endedAt < Infinity).length
  const seen = new Set<string>()
  let best = 0
  interface Point { readonly from: number; readonly done: ReadonlySet<number>; readonly state: Register; readonly count: number }
  // `done`: indexes from `from` on; all below are done, or can no longer be. A stack, not recursion: histories are long.
  const stack: Point[] = [{ from: 0, done: new Set(), state: undefined, count: 0 }]
  for (let point = stack.pop(); point !== undefined; point = stack.pop()) {
    best = Math.max(best, point.count)
    if (point.count === wanted) return wanted
    // Nothing may stand after a call that has ended before it began.
    let firstEnd = Infinity
    const candidates: number[] = []
    for (let at = point.from; at < calls.length; at++) {
      const call = calls[at] as Call
      if (point.done.has(at)) continue
      if (call.beganAt > firstEnd) break
      firstEnd = Math.min(firstEnd, call.endedAt)
      candidates.push(at)
    }
    // Pushed last, tried first: calls in the order of their ends; unknown ones only when nothing else goes.
    for (const at of candidates.sort((a, b) => (calls[b] as Call).endedAt - (calls[a] as Call).endedAt)) {
      const call = calls[at] as Call
      if (call.beganAt > firstEnd) continue
      const state = apply(call, point.state)
      if (state === IMPOSSIBLE) continue
      const done = new Set(point.done).add(at)
      let { from } = point
      while (done.delete(from)) from++
      const memo = `${from}:${[...done].sort((a, b) => a - b).join()}:${state ?? ''}${state === undefined ? '-' : '+'}`
      if (seen.has(memo)) continue
      seen.add(memo)
      stack.push({ from, done, state, count: point.count + (call.endedAt < Infinity ? 1 : 0) })
    }
  }
  return best
}

export interface RecordOptions {
  readonly clients: readonly GlobalStore[]
  readonly keys: readonly string[]
  /** Calls of each client. */
  readonly calls: number
  readonly random: Random
  readonly timeoutMs?: number
  /** Told after each call, with how many there have been. */
  readonly onCall?: (count: number) => void
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (value: Uint8Array | undefined): Register => value && new TextDecoder().decode(value)

/** Lets clients read and write at random, every value a different one, and writes down what they asked and heard. */
export async function recordHistory({ clients, keys, calls, random, timeoutMs = 5_000, onCall }: RecordOptions): Promise<readonly Call[]> {
  const history: Call[] = []
  let moment = 0
  let count = 0
  await Promise.all(clients.map(async (store, client) => {
    let last: Register
    for (let i = 0; i < calls; i++) {
      const key = keys[random.int(keys.length)] as string
      const value = `${client}.${i}`
      const beganAt = ++moment
      const draw = random.next()
      const note = (call: Call['call'], endedAt: number): void => { history.push({ key, client, beganAt, endedAt, call }) }
      const options = { timeoutMs }
      let attempted: Call['call'] | undefined
      try {
        if (draw < 0.4) {
          last = text((await store.get(key, options))?.value)
          note({ do: 'get', found: last }, ++moment)
        } else if (draw < 0.65) {
          attempted = { do: 'put', value }
          await store.transact({ then: [{ do: 'put', key, value: bytes(value) }] }, options)
          note(attempted, ++moment)
        } else if (draw < 0.75) {
          attempted = { do: 'delete' }
          await store.transact({ then: [{ do: 'delete', key }] }, options)
          note(attempted, ++moment)
        } else {
          const from = last
          attempted = { do: 'swap', from, to: value, succeeded: undefined }
          const { succeeded } = await store.transact({ when: [from === undefined ? { key, field: 'version', is: '=', than: 0 } : { key, field: 'value', is: '=', than: bytes(from) }], then: [{ do: 'put', key, value: bytes(value) }] }, options)
          note({ ...attempted, succeeded }, ++moment)
        }
      } catch (error) {
        // What did not happen, and reads, are no part of it.
        if (attempted !== undefined && (error as { outcome?: string }).outcome !== 'not-started') note(attempted, Infinity)
      }
      onCall?.(++count)
    }
  }))
  return history
}

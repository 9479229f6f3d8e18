// Combines the partial results of dreduce and dfold, in element order, with the user's own operator:
// per chunk (in the cells), then here in a tree of bounded fan-in, run in this node's sandbox.
// The operator must be associative; order is kept, so it need not be commutative.

import type { NodeId } from '../../fabric/base.ts'
import type { Failure, ResultRun, Terminal } from '../contract.ts'
import { FUNCTIONS } from '../errors.ts'
import { checkArray, joinArrays } from '../value/mod.ts'
import type { RunSpec } from './wire.ts'

/** Partials combined by one job. */
const FAN_IN = 64

interface Partial { readonly from: number; readonly bytes: Uint8Array }

type Combine = (spec: Pick<RunSpec, 'stages' | 'terminal'>, input: { readonly count: number; readonly bytes: Uint8Array }, sink: (runs: readonly ResultRun[]) => void) => Promise<void>

export class PartialFold {
  readonly #terminal: Terminal
  readonly #combine: Combine
  readonly #partials: Partial[] = []

  constructor(terminal: Terminal, combine: Combine) {
    this.#terminal = terminal
    this.#combine = combine
  }

  /** `bytes`: a value-codec array of `outputs` values, 0 or 1. */
  add(from: number, outputs: number, bytes: Uint8Array): void {
    if (outputs === 0) return
    if (outputs !== 1) throw FUNCTIONS.BAD_MESSAGE({ what: `${outputs} partial results of one chunk` })
    checkArray(bytes, outputs)
    this.#partials.push({ from, bytes })
  }

  /** One run with the final value, or none when there was nothing to reduce. */
  async result(): Promise<{ readonly node: NodeId | undefined; readonly runs: readonly ResultRun[] } | undefined> {
    let level = this.#partials.sort((a, b) => a.from - b.from)
    while (level.length > 1) {
      const next: Partial[] = []
      for (let i = 0; i < level.length; i += FAN_IN) {
        const group = level.slice(i, i + FAN_IN)
        if (group.length === 1) { next.push(group[0]!); continue }
        const combined = await this.#combineGroup(group)
        if ('failure' in combined) return { node: undefined, runs: [{ from: group[0]!.from, count: 1, failure: combined.failure }] }
        if (combined.bytes !== undefined) next.push({ from: group[0]!.from, bytes: combined.bytes })
      }
      level = next
    }
    const last = level[0]
    return last === undefined ? undefined : { node: undefined, runs: [{ from: last.from, count: 1, outputs: 1, values: last.bytes }] }
  }

  async #combineGroup(group: readonly Partial[]): Promise<{ readonly bytes: Uint8Array | undefined } | { readonly failure: Failure }> {
    const { verb: _verb, ...ref } = this.#terminal as Extract<Terminal, { verb: 'reduce' }>
    const terminal: Terminal = { verb: 'reduce', code: ref.code, environment: ref.environment, name: ref.name }
    let outcome: { readonly bytes: Uint8Array | undefined } | { readonly failure: Failure } = { bytes: undefined }
    await this.#combine({ stages: [], terminal }, { count: group.length, bytes: joinArrays(group.map((partial) => partial.bytes)) }, (runs) => {
      for (const run of runs) {
        if ('failure' in run) outcome = { failure: run.failure }
        else if (run.outputs > 0) outcome = { bytes: run.values }
      }
    })
    return outcome
  }
}

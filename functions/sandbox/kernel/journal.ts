// Host calls that a job has made, and their answers, so that a run again after the death of its cell
// repeats no effect. Keyed (element, sequence): the element's n-th call must be the same call again. Calls
// of which the sandbox could not tell the element (a captured handle, after an await) are matched by content.
// Answers are kept as promises: a call whose answer was under way at the kill is not made twice either.

import type { HostCall } from '../../contract.ts'

interface Entry { readonly call: HostCall; readonly answer: Promise<Uint8Array>; used: boolean }

/** 'new': make the call. 'mismatch': the run again has left the path of the first. */
export type Lookup = { readonly type: 'answered'; readonly answer: Promise<Uint8Array> } | { readonly type: 'new' | 'mismatch' }

function sameCall(a: HostCall, b: HostCall): boolean {
  if (a.verb !== b.verb || a.target?.uuid !== b.target?.uuid || a.target?.kind !== b.target?.kind || a.args.byteLength !== b.args.byteLength) return false
  for (let i = 0; i < a.args.byteLength; i++) if (a.args[i] !== b.args[i]) return false
  return true
}

export class Journal {
  readonly #bytesMax: number
  readonly #byElement = new Map<number, Entry[]>()
  #unattributed: Entry[] = []
  #bytes = 0

  constructor(bytesMax: number) { this.#bytesMax = bytesMax }

  /** True once more was answered than is kept: the job must not be run again. */
  get overflowed(): boolean { return this.#bytes > this.#bytesMax }

  /** A new attempt begins: what was consumed by the last one is to be consumed again. */
  rewind(): void {
    for (const entries of this.#byElement.values()) for (const entry of entries) entry.used = false
    for (const entry of this.#unattributed) entry.used = false
  }

  /** `element` is -1 when it is not known. */
  find(element: number, sequence: number, call: HostCall): Lookup {
    const entry = element < 0 ? undefined : this.#byElement.get(element)?.[sequence]
    if (entry !== undefined) {
      if (!sameCall(entry.call, call)) return { type: 'mismatch' }
      entry.used = true
      return { type: 'answered', answer: entry.answer }
    }
    const loose = this.#unattributed.find((candidate) => !candidate.used && sameCall(candidate.call, call))
    if (loose === undefined) return { type: 'new' }
    loose.used = true
    return { type: 'answered', answer: loose.answer }
  }

  /** Resolves when every call that is kept has its answer. */
  async settled(): Promise<void> {
    const answers = [...this.#unattributed, ...[...this.#byElement.values()].flat()].map(({ answer }) => answer)
    await Promise.allSettled(answers)
  }

  record(element: number, sequence: number, call: HostCall, answer: Promise<Uint8Array>): void {
    this.#bytes += call.args.byteLength + 256
    answer.then((bytes) => { this.#bytes += bytes.byteLength }, () => {})
    if (this.overflowed) {
      this.#byElement.clear()
      this.#unattributed = []
      return
    }
    const entry: Entry = { call, answer, used: true }
    if (element < 0) {
      this.#unattributed.push(entry)
      return
    }
    const entries = this.#byElement.get(element)
    if (entries === undefined) this.#byElement.set(element, sequence === 0 ? [entry] : Object.assign([], { [sequence]: entry }))
    else entries[sequence] = entry
  }
}

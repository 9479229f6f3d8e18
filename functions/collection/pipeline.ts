// An immutable description of elements and what is done to them, and how it is run: the engine under
// a collection. Consecutive shipped stages fuse into one message per node; local operations run here.
//
//   origin (spec | input | objects behind a property such as pm.vms | derived from a pipeline by a local op | again: a derived one shipped anew)
//     + stages shipped to where the elements live
//
// A pipeline with shipped stages runs at most once by values() or outcomes(): both share the answer.
// Sources alone (`pms`) are asked anew each time.

import { capture } from '../capture/mod.ts'
import { REFERENCE } from '../contract.ts'
import type { Captured, Outcome, ReferenceRecord, SourceSpec, Stage, StageVerb, Terminal } from '../contract.ts'
import { FUNCTIONS } from '../errors.ts'
import { batchOf, inOrder, MapError, outcomesOf, valuesOf } from './batch.ts'
import type { Batch, Entry } from './batch.ts'
import type { CollectionOptions } from './contract.ts'
import { openInput } from './input.ts'
import type { Input } from './input.ts'
import type { LocalOp } from './local.ts'
import { mergeOptions } from './options.ts'
import { runRemote } from './remote-run.ts'
import type { Session } from './session.ts'

export type AnyFunction = (...args: never[]) => unknown
export type PlainSpec = Exclude<SourceSpec, { type: 'items' }>

/** Where elements come from, on the caller's side. */
export type Origin =
  | { readonly type: 'spec'; readonly spec: PlainSpec }
  | { readonly type: 'input'; readonly items: Iterable<unknown> | AsyncIterable<unknown> }
  | { readonly type: 'objects'; readonly kind: string; readonly records: () => Promise<readonly ReferenceRecord[]> }
  /** `keepsElements`: the operation passes elements on unchanged, so that machines stay machines. */
  | { readonly type: 'derived'; readonly parent: Pipeline; readonly op: LocalOp; readonly keepsElements: boolean }
  | { readonly type: 'again'; readonly parent: Pipeline }

interface Shipped { readonly stage: Stage; readonly captured: Captured }

const LOCAL_BATCH = 256

export class Pipeline {
  readonly session: Session
  readonly origin: Origin
  readonly options: CollectionOptions
  readonly #stages: readonly Shipped[]
  #settled: Promise<readonly Batch[]> | undefined

  constructor(session: Session, origin: Origin, options: CollectionOptions, stages: readonly Shipped[] = []) {
    this.session = session
    this.origin = origin
    this.options = options
    this.#stages = stages
  }

  /** The source, when nothing has been done to it. */
  get bareSpec(): PlainSpec | undefined { return this.origin.type === 'spec' && this.#stages.length === 0 ? this.origin.spec : undefined }

  /** Kind of the elements, where it is certain that they are references. */
  get kind(): string | undefined {
    if (this.#stages.some(({ stage }) => stage.verb !== 'filter')) return undefined
    switch (this.origin.type) {
      case 'spec': return this.origin.spec.type === 'kind' ? this.origin.spec.kind : this.origin.spec.type === 'references' ? this.origin.spec.references[0]?.kind : undefined
      case 'derived': return this.origin.keepsElements ? this.origin.parent.kind : undefined
      case 'again': return this.origin.parent.kind
      case 'objects': return this.origin.kind
      case 'input': return undefined
    }
  }

  with(options: CollectionOptions | undefined): Pipeline {
    return options === undefined ? this : new Pipeline(this.session, this.origin, mergeOptions(this.options, options), this.#stages)
  }

  ship(verb: StageVerb, captured: Captured, options: CollectionOptions | undefined): Pipeline {
    const shipped: Shipped = { stage: { verb, ...refOf(captured) }, captured }
    const origin: Origin = this.origin.type === 'derived' ? { type: 'again', parent: this } : this.origin
    return new Pipeline(this.session, origin, mergeOptions(this.options, options), [...this.#stages, shipped])
  }

  derive(op: LocalOp, keepsElements: boolean): Pipeline {
    return new Pipeline(this.session, { type: 'derived', parent: this, op, keepsElements }, this.options)
  }

  /** Captures a user's function for a shipped verb. */
  capture(verb: string, fn: AnyFunction): Captured {
    if (typeof fn !== 'function') throw FUNCTIONS.NOT_A_FUNCTION({ verb, got: fn === null ? 'null' : typeof fn })
    return capture(fn, { globals: this.session.globals })
  }

  /** Batches in element order unless the options say otherwise. */
  batches(): AsyncIterable<Batch> {
    const batches = this.#run({ verb: 'collect' }, undefined, this.options)
    return this.options.ordered === false || this.#isDerived ? batches : inOrder(batches)
  }

  async values(): Promise<unknown[]> {
    const batches = await this.#gathered()
    if (batches.some((batch) => batch.failed.length > 0)) throw new MapError(outcomesOf(batches))
    return valuesOf(batches)
  }

  async outcomes(): Promise<Outcome<unknown>[]> { return outcomesOf(await this.#gathered()) }

  /** Runs a folding terminal; rejects when any element failed. Entries in element order. */
  async terminal(terminal: Terminal, captured: Captured | undefined, options: CollectionOptions | undefined): Promise<Entry[]> {
    const entries: Entry[] = []
    const failed: Batch[] = []
    for await (const batch of this.#run(terminal, captured, mergeOptions(this.options, options))) {
      for (const entry of batch.entries) entries.push(entry)
      if (batch.failed.length > 0) failed.push(batch)
    }
    entries.sort((a, b) => a.index - b.index)
    // What lies behind a decided answer may have been run or not: its failures are no part of the answer.
    const decidedAt = entries.find(({ value }) => terminal.verb === 'find' || (terminal.verb === 'some' && value === true) || (terminal.verb === 'every' && value === false))?.index ?? Infinity
    const counted = failed.filter(({ from }) => from < decidedAt)
    if (counted.length > 0) throw new MapError(outcomesOf(counted))
    return entries
  }

  /** As `terminal`, with a function of the user's. */
  fold(verb: string, fn: AnyFunction, make: (ref: Omit<Stage, 'verb'>) => Terminal, options: CollectionOptions | undefined): Promise<Entry[]> {
    const captured = this.capture(verb, fn)
    return this.terminal(make(refOf(captured)), captured, options)
  }

  // ------------------------------------------------------------------ inside

  get #isDerived(): boolean { return this.origin.type === 'derived' && this.#stages.length === 0 }

  get #ships(): boolean {
    return this.#stages.length > 0 || ((this.origin.type === 'derived' || this.origin.type === 'again') && this.origin.parent.#ships)
  }

  /** All batches, in the order of the elements (or that of a local sort). */
  #gathered(): Promise<readonly Batch[]> {
    if (this.#settled !== undefined) return this.#settled
    const running = this.#gather()
    if (this.#ships) this.#settled = running
    return running
  }

  async #gather(): Promise<readonly Batch[]> {
    const batches: Batch[] = []
    for await (const batch of this.#run({ verb: 'collect' }, undefined, this.options)) batches.push(batch)
    return this.#isDerived ? batches : batches.sort((a, b) => a.from - b.from)
  }

  async *#run(terminal: Terminal, captured: Captured | undefined, options: CollectionOptions): AsyncGenerator<Batch> {
    if (options.signal?.aborted === true) throw FUNCTIONS.RUN_CANCELLED({}, { cause: options.signal.reason, outcome: 'not-started' })
    if (this.#stages.length === 0 && terminal.verb === 'collect') return yield* this.#here(options)
    const { source, input } = await this.#source()
    const all = this.#stages.map((shipped) => shipped.captured)
    if (captured !== undefined) all.push(captured)
    yield* runRemote({ session: this.session, source, input, stages: this.#stages.map((shipped) => shipped.stage), terminal, captured: all, options })
  }

  /** Elements with nothing shipped on top. */
  async *#here(options: CollectionOptions): AsyncGenerator<Batch> {
    switch (this.origin.type) {
      case 'derived': return yield* this.origin.op(this.origin.parent.#parentBatches())
      case 'again': return yield* this.origin.parent.batches()
      case 'input': return yield* inBatches(this.origin.items)
      case 'objects': return yield own(0, (await this.origin.records()).map((record) => this.session.reference(record)))
      case 'spec': {
        const { spec } = this.origin
        if (spec.type === 'range') return yield* inBatches(counting(spec.from, spec.to, spec.step))
        yield own(0, spec.type === 'kind' ? await this.session.list(spec.kind, options) : spec.references.map((record) => this.session.reference(record)))
      }
    }
  }

  /** For local operations: streams, or takes the answer that is there already. */
  async *#parentBatches(): AsyncGenerator<Batch> {
    if (this.#settled === undefined) yield* this.batches()
    else yield* await this.#settled
  }

  /** What the relay is told of the source. References run where they live, other values anywhere. */
  async #source(): Promise<{ readonly source: SourceSpec; readonly input: Input | undefined }> {
    if (this.origin.type === 'spec') return { source: this.origin.spec, input: undefined }
    // A derived collection of machines is gathered, to see where they live; one of values streams.
    const items = this.origin.type === 'input' ? this.origin.items
      : this.origin.type === 'objects' ? (await this.origin.records()).map((record) => this.session.reference(record))
      : this.origin.parent.kind === undefined ? this.origin.parent.#iterate() : await this.origin.parent.values()
    if (Array.isArray(items) && items.length > 0 && items.every(isReference)) {
      // Without attributes: their home gives them anew, and seventeen fields a machine are most of a small call.
      return { source: { type: 'references', references: items.map((item) => ({ ...item[REFERENCE], attributes: {} })) }, input: undefined }
    }
    return { source: { type: 'items' }, input: openInput(items) }
  }

  async *#iterate(): AsyncGenerator<unknown> {
    for await (const batch of this.batches()) {
      for (const entry of batch.entries) yield entry.value
      if (batch.failed.length > 0) throw new MapError(outcomesOf([batch]))
    }
  }
}

const refOf = ({ program, environment, manifest }: Captured): Omit<Stage, 'verb'> => ({ code: program.hash, environment: environment.hash, name: manifest.name })

const isReference = (item: unknown): item is { readonly [REFERENCE]: ReferenceRecord } =>
  item !== null && typeof item === 'object' && (item as { [REFERENCE]?: unknown })[REFERENCE] !== undefined

function* counting(from: number, to: number, step: number): Generator<number> {
  for (let i = 0, value = from; step > 0 ? value < to : value > to; value = from + ++i * step) yield value
}

/** Values of the caller's own. */
const own = (from: number, values: readonly unknown[]): Batch => batchOf(from, values.length, values.map((value, i) => ({ index: from + i, value, node: '', nodeName: '' })))

async function* inBatches(items: Iterable<unknown> | AsyncIterable<unknown>): AsyncGenerator<Batch> {
  let from = 0
  let values: unknown[] = []
  for await (const item of items) {
    values.push(item)
    if (values.length < LOCAL_BATCH) continue
    yield own(from, values)
    from += values.length
    values = []
  }
  if (values.length > 0) yield own(from, values)
}

// What every bench gives: figures, each with its target and the peers measured beside it in the same
// run. A bench is a module with a `bench` that run.ts runs in a process of its own, and that runs alone too:
//
//   node --no-node-snapshot test/bench/warm-call.ts [--json]
//
// Medians say what one gets, the best value what the path costs: neighbours take up to half of this kind of machine.

import { loadavg } from 'node:os'

export interface Spread {
  readonly p50: number
  /** Least for what should be low, most for what should be high. */
  readonly best: number
  readonly count: number
}

/** A peer of the same run; `absent` says what to install when it could not be measured. */
export type Peer = ({ readonly name: string } & Spread) | { readonly name: string; readonly absent: string }

export interface Figure extends Spread {
  readonly name: string
  /** First column of the table; figures without `toReach` are asides and stay out of it. */
  readonly what: string
  readonly toReach?: string
  readonly reached?: boolean
  readonly unit: string
  readonly peers: readonly Peer[]
  /** One line: why it is missed. Shown when it is. */
  readonly why?: string
  /** One line on how it was measured. */
  readonly note?: string
}

export interface BenchOptions {
  /** Length of the run that looks for false deaths. */
  readonly minutes: number | undefined
}

export interface Bench {
  readonly name: string
  run(options: BenchOptions): Promise<Figure[]>
}

export const quantile = (values: readonly number[], q: number): number => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? NaN

export const low = (values: readonly number[]): Spread => ({ p50: quantile(values, 0.5), best: Math.min(...values), count: values.length })
export const high = (values: readonly number[]): Spread => ({ p50: quantile(values, 0.5), best: Math.max(...values), count: values.length })

/** A figure of a part, for whoever works on that part: not in the README's table. */
export const aside = (name: string, value: number, unit: string, count: number, aim?: string): Figure =>
  ({ name, what: name, unit, p50: value, best: value, count, peers: [], ...(aim === undefined ? {} : { note: `aim ${aim}` }) })

/** Milliseconds of each of `count` runs, one after another. */
export async function timed(count: number, work: (i: number) => PromiseLike<unknown> | unknown): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < count; i++) {
    const startMs = performance.now()
    await work(i)
    times.push(performance.now() - startMs)
  }
  return times
}

/** Runs the contenders in turn, A B C A B C; the first round warms up and is not counted. */
export async function alternate<Name extends string>(rounds: number, contenders: Readonly<Record<Name, () => Promise<readonly number[]>>>): Promise<Readonly<Record<Name, number[]>>> {
  const names = Object.keys(contenders) as Name[]
  const values = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>
  for (let round = 0; round <= rounds; round++) {
    for (const name of names) {
      const taken = await contenders[name]()
      if (round > 0) values[name].push(...taken)
    }
  }
  return values
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })

// ---------------------------------------------------------------- what is started is stopped

const scopes = new Set<Scope>()

/** Things to stop, in reverse, however the bench ends. */
export class Scope {
  readonly #after: (() => unknown)[] = []
  defer(after: () => unknown): void { this.#after.push(after) }
  #closing: Promise<void> | undefined
  /** A bench that is interrupted closes it twice: by the signal, and because its work fails when things go. Both wait. */
  close(): Promise<void> { return this.#closing ??= this.#close() }
  async #close(): Promise<void> {
    scopes.delete(this)
    for (let after = this.#after.pop(); after !== undefined; after = this.#after.pop()) {
      try { await after() } catch (error) { console.error(error) }
    }
  }
}

export async function withScope<T>(work: (scope: Scope) => Promise<T>): Promise<T> {
  const scope = new Scope()
  scopes.add(scope)
  try { return await work(scope) } finally { await scope.close() }
}

// ---------------------------------------------------------------- printing

const digits = (value: number): string => (Math.abs(value) >= 1_000 ? Math.round(value).toLocaleString('en-US') : String(Number(value.toPrecision(3))))
const inUnit = ({ p50, best }: Spread, unit: string): string => `${digits(p50)} (${digits(best)}) ${unit}`
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

function verdict({ reached, why, note }: Figure): string {
  if (reached === undefined) return `undecided: ${note ?? 'not measured'}`
  return reached ? 'reached' : `**MISSED**${why === undefined ? '' : `: ${why}`}`
}

export function tableOf(figures: readonly Figure[]): string {
  const rows = figures.filter(({ toReach }) => toReach !== undefined).map((figure) => [
    figure.what, figure.toReach ?? '', Number.isNaN(figure.p50) ? `not measured: ${figure.note ?? ''}` : inUnit(figure, figure.unit),
    figure.peers.map((peer) => `${peer.name} ${'absent' in peer ? `not measured (${peer.absent})` : inUnit(peer, figure.unit)}`).join('; '), verdict(figure),
  ])
  return [['what', 'to reach', 'p50 (best)', 'peers in the same run, p50 (best)', ''], ['---', '---', '---', '---', '---'], ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n')
}

export const lineOf = ({ why, ...rest }: Figure): string =>
  JSON.stringify(rest.reached === false && why !== undefined ? { ...rest, why } : rest, (_, value: unknown) => (typeof value === 'number' ? Number(value.toPrecision(5)) : value))

/** Figures of the JSON lines of a bench. */
export const readLines = (text: string): Figure[] => text.split('\n').filter((line) => line.startsWith('{"name":')).map((line) => {
  const figure = JSON.parse(line) as Figure
  return { ...figure, p50: figure.p50 ?? NaN, best: figure.best ?? NaN }
})

/** Runs one bench as a program of its own. */
export async function standalone(bench: Bench): Promise<void> {
  const at = process.argv.indexOf('--minutes')
  const minutes = at < 0 ? undefined : Number(process.argv[at + 1])
  // Not once: Ctrl-C, `timeout` and run.ts signal a group and its leader, and the second one must not end the cleaning up.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void Promise.all([...scopes].map((scope) => scope.close())).then(() => process.exit(130)))
  if (!process.argv.includes('--json')) console.error(`${bench.name}: load ${loadavg()[0]?.toFixed(2)} at the start`)
  const figures = await bench.run({ minutes })
  for (const figure of figures) console.log(lineOf(figure))
  if (!process.argv.includes('--json')) console.log(tableOf(figures))
  process.exit(0)
}

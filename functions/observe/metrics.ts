// Figures for Prometheus: of this node's functions and of the node itself. Owner of prom-client.
//
// Label sets are bounded by the book that names functions (stats-book.ts): at most LIMITS.statsFunctionsMax names and
// of each LIMITS.statsVersionsMax versions; a function that is removed takes its series along. `node` is on every series.
// Texts of several nodes are put together line by line, so that each family has one HELP and one TYPE (prom-client's own
// aggregation of JSON takes ten times as long, and all of it in one turn of the event loop).

import { createRequire } from 'node:module'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Gauge as GaugeOf } from 'prom-client'
import { LIMITS } from '../../fabric/base.ts'
import type { CallRecord, InvokeOutcome } from '../deployed.ts'
import type { FunctionGauges } from './stats-book.ts'

/** What the node says of itself at the moment of asking; undefined figures are left out. */
export interface NodeGauges {
  readonly cells?: number
  readonly cellMemoryMiB?: number
  readonly quarantined?: number
  readonly storeReachable?: boolean
  /** By state. */
  readonly members?: Readonly<Record<string, number>>
  /** Objects that live here, by kind. */
  readonly objects?: Readonly<Record<string, number>>
  readonly logLines?: number
}

/** Label values in use for one function: what has to go with it. `versions`: the last called last, each with its statuses. */
interface Series { readonly versions: Map<string, Set<string>>; readonly events: Set<string> }

export interface MetricsOptions {
  readonly nodeName: () => string
  /** The name under which a function is counted (StatsBook.label). */
  readonly label: (name: string) => string
  readonly functions: () => Iterable<FunctionGauges>
  readonly node: () => NodeGauges
}

export interface Metrics {
  called(call: CallRecord, status: InvokeOutcome['status']): void
  count(name: string, what: string, by: number): void
  forget(name: string): void
  /** Prometheus text of this node. */
  text(): Promise<string>
  close(): void
}

const SECONDS = 1_000
const DURATION_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const EVENT_LOOP_RESOLUTION_MS = 20
const VERSION_CHARS = 12
/** Kinds of counts that Observer.count() may name; more would be a mistake of ours. */
const COUNTS_MAX = 64

export function createMetrics({ nodeName, label, functions, node }: MetricsOptions): Metrics {
  // Only when a node starts: a shell loads this file too, and never makes figures.
  const { Counter, Gauge, Histogram, Registry } = createRequire(import.meta.url)('prom-client') as typeof import('prom-client')
  const registry = new Registry()
  const registers = [registry]
  const gauge = (name: string, help: string, labelNames: readonly string[] = []): GaugeOf => new Gauge({ name, help, labelNames, registers })
  const calls = new Counter({ name: 'kumoi_function_calls_total', help: 'Calls of functions that ended on this node.', labelNames: ['function', 'version', 'status'], registers })
  const durations = new Histogram({ name: 'kumoi_function_duration_seconds', help: 'Time from the arrival of a call on this node to its outcome, waiting included.', labelNames: ['function'], buckets: DURATION_SECONDS, registers })
  const cpu = new Counter({ name: 'kumoi_function_cpu_seconds_total', help: 'Processor time used by calls.', labelNames: ['function'], registers })
  const cold = new Counter({ name: 'kumoi_function_cold_starts_total', help: 'Calls for which an isolate or a cell had to be made.', labelNames: ['function'], registers })
  const counts = new Counter({ name: 'kumoi_function_events_total', help: 'What happened to functions beside calls: busy answers, retries, dead letters, missed ticks, breaker openings.', labelNames: ['function', 'event'], registers })
  const running = gauge('kumoi_function_running', 'Calls that run now.', ['function'])
  const waiting = gauge('kumoi_function_waiting', 'Calls that wait for their turn.', ['function'])
  const broken = gauge('kumoi_function_breaker_open', '1 while a function that killed its sandbox is refused.', ['function'])
  const cells = gauge('kumoi_cells', 'Sandbox processes.')
  const cellMemory = gauge('kumoi_cells_resident_bytes', 'Memory of all sandbox processes.')
  const quarantined = gauge('kumoi_quarantined_programs', 'Programs that are refused because they kept killing their sandbox.')
  const memory = gauge('kumoi_node_resident_bytes', 'Memory of the node process.')
  const lag = gauge('kumoi_node_event_loop_delay_seconds', 'Delay of the event loop since the figures were last asked for.', ['quantile'])
  const store = gauge('kumoi_store_reachable', '1 when the global store answered last.')
  const members = gauge('kumoi_members', 'Members of the fabric as this node sees them.', ['state'])
  const objects = gauge('kumoi_objects', 'Objects that live on this node.', ['kind'])
  const logLines = gauge('kumoi_log_lines', 'Lines of functions that this node keeps.')

  const loop = monitorEventLoopDelay({ resolution: EVENT_LOOP_RESOLUTION_MS })
  loop.enable()
  const series = new Map<string, Series>()
  const kinds = new Set<string>()

  const seriesOf = (name: string): Series => {
    const found = series.get(name)
    if (found !== undefined) return found
    const made: Series = { versions: new Map(), events: new Set() }
    series.set(name, made)
    return made
  }
  /** The version's label; of more than LIMITS.statsVersionsMax the one that was called longest ago is dropped. */
  const versionLabel = (name: string, version: string, status: string): string => {
    const { versions } = seriesOf(name)
    const short = version.slice(0, VERSION_CHARS)
    const statuses = versions.get(short) ?? new Set<string>()
    versions.delete(short)
    versions.set(short, statuses.add(status))
    if (versions.size > LIMITS.statsVersionsMax) for (const [oldest, used] of versions) {
      for (const one of used) calls.remove({ function: name, version: oldest, status: one })
      versions.delete(oldest)
      break
    }
    return short
  }

  const put = (into: GaugeOf, value: number | undefined): void => { if (value !== undefined) into.set(value) }
  const refresh = (): void => {
    for (const one of [running, waiting, broken, members, objects]) one.reset()
    for (const { name, running: now, waiting: queued, broken: open } of functions()) {
      const labels = { function: label(name) }
      running.inc(labels, now)
      waiting.inc(labels, queued)
      if (open) broken.set(labels, 1)
    }
    const { cells: count, cellMemoryMiB, quarantined: refused, storeReachable, members: states = {}, objects: things = {}, logLines: lines } = node()
    put(cells, count)
    put(cellMemory, cellMemoryMiB === undefined ? undefined : cellMemoryMiB * 1_048_576)
    put(quarantined, refused)
    put(store, storeReachable === undefined ? undefined : Number(storeReachable))
    put(logLines, lines)
    for (const [state, n] of Object.entries(states)) members.set({ state }, n)
    for (const [kind, n] of Object.entries(things)) objects.set({ kind }, n)
    memory.set(process.memoryUsage.rss())
    for (const [quantile, ns] of [['0.5', loop.percentile(50)], ['0.99', loop.percentile(99)], ['1', loop.max]] as const) lag.set({ quantile }, Math.max(0, ns / 1e9 - EVENT_LOOP_RESOLUTION_MS / SECONDS))
    loop.reset()
  }

  return {
    called({ name, version, queuedMs, runMs, cpuMs, cold: wasCold }, status) {
      const of = { function: label(name) }
      calls.inc({ ...of, version: of.function === name ? versionLabel(name, version, status) : '', status })
      durations.observe(of, (queuedMs + runMs) / SECONDS)
      cpu.inc(of, Math.max(0, cpuMs) / SECONDS)
      if (wasCold) cold.inc(of)
    },
    count(name, what, by) {
      if (!kinds.has(what) && kinds.size >= COUNTS_MAX) return
      kinds.add(what)
      const of = label(name)
      seriesOf(of).events.add(what)
      counts.inc({ function: of, event: what }, by)
    },
    forget(name) {
      const { versions = new Map<string, Set<string>>(), events = new Set<string>() } = series.get(name) ?? {}
      series.delete(name)
      for (const [version, statuses] of versions) for (const status of statuses) calls.remove({ function: name, version, status })
      for (const event of events) counts.remove({ function: name, event })
      for (const one of [durations, cpu, cold]) one.remove({ function: name })
    },
    async text() {
      refresh()
      registry.setDefaultLabels({ node: nodeName() })
      return registry.metrics()
    },
    close() { loop.disable() },
  }
}

/** Lines of one family, all nodes. */
interface Family { readonly head: readonly string[]; readonly samples: string[] }

const HEAD = /^# (HELP|TYPE) (kumoi_[a-z0-9_]{1,80}) .*$/
const SAMPLE = /^(kumoi_[a-z0-9_]{1,80})\{([^{}]*)\} (?:[0-9.eE+-]+|NaN|[+-]?Inf)$/
const SUFFIX = /_(?:bucket|sum|count)$/

/** Adds a node's lines to the families; false, with nothing added, when they are not what a node of ours says of itself. */
function addText(families: Map<string, Family>, node: string, text: string): boolean {
  const heads = new Map<string, string[]>()
  const found: (readonly [string, string])[] = []
  for (const line of text.split('\n')) {
    if (line === '') continue
    const [, , headed] = HEAD.exec(line) ?? []
    if (headed !== undefined) { heads.set(headed, [...heads.get(headed) ?? [], line]); continue }
    const [, name, labels] = SAMPLE.exec(line) ?? []
    if (name === undefined || labels?.includes(`node="${node}"`) !== true) return false
    const family = heads.has(name) ? name : name.replace(SUFFIX, '')
    if (!heads.has(family)) return false
    found.push([family, line])
  }
  for (const [family, head] of heads) if (!families.has(family)) families.set(family, { head, samples: [] })
  for (const [family, line] of found) families.get(family)?.samples.push(line)
  return true
}

/** Prometheus text of all nodes, each family once; `down`: those that have not answered. A node whose text makes no sense has not answered. */
export function fabricText(answers: readonly { readonly node: string; readonly text: string }[], down: readonly string[]): string {
  const families = new Map<string, Family>()
  const up = [...down.map((node) => ({ node, value: 0 })), ...answers.map(({ node, text }) => ({ node, value: Number(addText(families, node, text)) }))]
  const own: Family = { head: ['# HELP kumoi_up 1 for a member that gave its figures, 0 for one that did not answer.', '# TYPE kumoi_up gauge'], samples: up.map(({ node, value }) => `kumoi_up{node="${node}"} ${value}`) }
  return `${[own, ...families.values()].flatMap(({ head, samples }) => [...head, ...samples]).join('\n')}\n`
}

// Everything that this node sees of functions: the Observer that the other parts tell, and what shells and other nodes ask.
//
//   invoke/, trigger/, context --called, line, count--> Observer --> log ring, book of figures, Prometheus
//   'functions.logs' 'functions.stats' 'functions.metrics'            of the fabric, gathered by the node asked
//   'functions.logs.node' 'functions.stats.node' 'functions.metrics.node'  of one node

import type { CallContext, Membership, RpcPeer, RpcRegistry } from '../../fabric/mod.ts'
import { LIMITS } from '../../fabric/base.ts'
import type { CallParent } from '../../fabric/mod.ts'
import type { Clock, ErrorRecord, NodeId, Random } from '../../fabric/base.ts'
import type { LogLine, Observer } from '../deployed.ts'
import type { FunctionStats } from '../deployed-api.ts'
import { FUNCTIONS } from '../errors.ts'
import { gather } from './gather.ts'
import { registerLogs } from './log-gather.ts'
import type { LogRingLimits } from './log-ring.ts'
import { METRICS_METHOD, STATS_METHOD } from './log-wire.ts'
import { createNodeLogs, registerNodeLogs } from './logs.ts'
import type { NodeLogs } from './logs.ts'
import { createMetrics, fabricText } from './metrics.ts'
import type { NodeGauges } from './metrics.ts'
import { Sketch } from './sketch.ts'
import { mergeFigures, StatsBook } from './stats-book.ts'
import type { FunctionGauges, NodeFigures } from './stats-book.ts'

const NODE_STATS_METHOD = 'functions.stats.node'
const NODE_METRICS_METHOD = 'functions.metrics.node'

/** Takes the values of secrets out of what leaves a function (state/redaction.ts). */
export interface Redaction { line(line: LogLine): LogLine; error(error: ErrorRecord): ErrorRecord }

export interface ObservationOptions {
  readonly registry: RpcRegistry
  readonly membership: Pick<Membership, 'self' | 'members' | 'member' | 'onEvent'>
  peer(node: NodeId): RpcPeer | Promise<RpcPeer>
  readonly clock: Clock
  readonly random: Random
  readonly redaction?: Redaction
  /** Functions that are deployed, by name: they have a row of figures before their first call. */
  readonly names: () => readonly string[]
  /** What the invoker knows of functions now. */
  readonly functions: () => Iterable<FunctionGauges>
  readonly node: () => NodeGauges
  readonly ring?: Partial<LogRingLimits>
}

export interface Observation extends Observer {
  readonly logs: NodeLogs
  stats(parent: CallParent, name?: string): Promise<readonly FunctionStats[]>
  /** Prometheus text of the whole fabric. */
  metrics(parent: CallParent): Promise<string>
  /** The function was removed: its figures go. Its lines stay until others push them out. */
  forget(name: string): void
  close(): void
}

export function createObservation(options: ObservationOptions): Observation {
  const { registry, membership, clock, random, redaction, names, functions, node } = options
  const book = new StatsBook()
  const nodeName = (): string => membership.self.name
  const logs = createNodeLogs({ clock, random, nodeName, ...(redaction === undefined ? {} : { redact: (line: LogLine) => redaction.line(line) }), ...(options.ring === undefined ? {} : { limits: options.ring }) })
  const metrics = createMetrics({ nodeName, label: (name) => book.label(name), functions, node: () => ({ logLines: logs.lines, ...node() }) })
  const nodes = { membership, peer: (id: NodeId) => options.peer(id) }

  const stats = async (parent: CallParent, name?: string): Promise<readonly FunctionStats[]> => {
    const { answers, silent } = await gather<readonly NodeFigures[]>(nodes, { method: NODE_STATS_METHOD, parent, own: () => book.figures(functions()), read: readFigures })
    const rows = mergeFigures(answers.map(({ node: at, answer: figures }) => ({ node: at, figures })), { names: names(), silent })
    return name === undefined ? rows : rows.filter((row) => row.name === name)
  }
  const fabricMetrics = async (parent: CallParent): Promise<string> => {
    const { answers, silent } = await gather(nodes, { method: NODE_METRICS_METHOD, parent, own: () => metrics.text(), read: readMetrics })
    return fabricText(answers.map(({ node: at, answer: text }) => ({ node: at, text })), silent)
  }

  registerNodeLogs(registry, logs)
  registerLogs(registry, { logs, membership, peer: nodes.peer, clock })
  registry.method(NODE_STATS_METHOD, () => book.figures(functions()).map(writeFigures))
  registry.method(NODE_METRICS_METHOD, () => metrics.text())
  registry.method(METRICS_METHOD, (_body: unknown, context: CallContext) => fabricMetrics(context))
  registry.method(STATS_METHOD, async (body: unknown, context: CallContext) => {
    const name = (body as { readonly name?: unknown } | null)?.name
    if (name !== undefined && name !== null && typeof name !== 'string') throw FUNCTIONS.PAYLOAD_INVALID({ what: 'name', expected: 'a text', got: typeof name })
    return await stats(context, name ?? undefined)
  })

  return {
    logs, stats, metrics: fabricMetrics,
    called(call, { status, error }) {
      book.called(call, status)
      metrics.called(call, status)
      if (error === undefined) return
      const { code, message } = error
      const stack = stackOf(error)
      const { name, version, callId, trace } = call
      logs.line({ atMs: clock.wallMs(), name, version, callId, trace, level: 'error', text: message, fields: { code, status, ...(stack === undefined ? {} : { stack }) } })
    },
    line: (line) => logs.line(line),
    count: (name, what, by = 1) => metrics.count(name, what, by),
    forget(name) {
      book.forget(name)
      metrics.forget(name)
    },
    close() {
      logs.close()
      metrics.close()
    },
  }
}

const writeFigures = ({ durations, ...figures }: NodeFigures): unknown => ({ ...figures, durations: durations.toWire() })

/** What a peer sent, checked. Throws BAD_MESSAGE. */
function readFigures(body: unknown): readonly NodeFigures[] {
  const bad = (what: string): never => { throw FUNCTIONS.BAD_MESSAGE({ what }) }
  if (!Array.isArray(body) || body.length > LIMITS.statsFunctionsMax + LIMITS.storeRangeMax) return bad('figures of functions')
  return body.map((value: unknown) => {
    const row = (typeof value === 'object' && value !== null ? value : bad('figures')) as Record<string, unknown>
    const number = (field: string): number => { const found = row[field]; return typeof found === 'number' && found >= 0 ? found : bad(field) }
    const versions = (typeof row['versions'] === 'object' && row['versions'] !== null ? row['versions'] : {}) as Record<string, unknown>
    return {
      name: typeof row['name'] === 'string' ? row['name'] : bad('name'), calls: number('calls'), errors: number('errors'), coldStarts: number('coldStarts'), cpuMs: number('cpuMs'),
      running: number('running'), waiting: number('waiting'), warm: row['warm'] === true, durations: Sketch.fromWire(row['durations']),
      versions: Object.fromEntries(Object.entries(versions).slice(0, LIMITS.statsVersionsMax).filter((entry): entry is [string, number] => typeof entry[1] === 'number')),
    }
  })
}

function readMetrics(body: unknown): string {
  if (typeof body !== 'string' || body.length > LIMITS.metricsBytesMax) throw FUNCTIONS.BAD_MESSAGE({ what: 'metrics' })
  return body
}

/** Of what was thrown: an error that tells of others (a map that failed) has no frames of its own, its cause has. */
const stackOf = ({ stack, cause }: ErrorRecord): string | undefined => (stack?.includes('\n') === true || cause === undefined ? stack : stackOf(cause) ?? stack)

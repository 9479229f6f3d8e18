// `dc.functions.logs`, `.stats`, `.metrics`: the shell's end of observe.ts, over its connection to a node.

import type { CallOptions, RpcPeer } from '../../fabric/mod.ts'
import { LIMITS } from '../../fabric/base.ts'
import type { FunctionStats, LogOptions, ObserveApi } from '../deployed-api.ts'
import { LOGS_METHOD, METRICS_METHOD, readLogStream, requestOf, STATS_METHOD, writeRequest } from './log-wire.ts'
import type { NodeLine } from './log-wire.ts'

export interface ObserveClientOptions {
  readonly peer: Pick<RpcPeer, 'call' | 'open'>
  callOptions(): CallOptions
}

export function createObserveClient({ peer, callOptions }: ObserveClientOptions): ObserveApi {
  return {
    logs: (options = {}) => logs(peer, callOptions, options),
    stats: async (name) => await peer.call(STATS_METHOD, { name: name ?? null }, callOptions()) as readonly FunctionStats[],
    metrics: async () => await peer.call(METRICS_METHOD, null, callOptions()) as string,
  }
}

async function* logs(peer: ObserveClientOptions['peer'], callOptions: () => CallOptions, options: LogOptions): AsyncGenerator<NodeLine> {
  const { timeoutMs: _bound, signal: ours, ...rest } = callOptions()
  const signals = [ours, options.signal].filter((signal) => signal !== undefined)
  const signal = signals.length === 0 ? undefined : AbortSignal.any(signals)
  // Following has no end of its own.
  const stream = peer.open(LOGS_METHOD, writeRequest(requestOf(options)), { ...(options.follow === true ? rest : callOptions()), ...(options.follow === true ? { timeoutMs: LIMITS.callTimeoutMsMax } : {}), ...(signal === undefined ? {} : { signal }) })
  for await (const message of readLogStream(stream)) if (message.tag === 'lines') for (const { line } of message.lines) yield line
}

// dc.functions' part of the catalog, over a connection to a node.

import { LIMITS } from '../../fabric/base.ts'
import type { CallOptions, RpcPeer } from '../../fabric/mod.ts'
import type { CatalogApi, CatalogProblem, DeployReport, FunctionRow } from '../deployed-api.ts'
import type { FunctionRecord } from '../deployed.ts'
import { CATALOG_METHODS, fromJson } from './wire.ts'

export interface CatalogClientOptions {
  readonly peer: Pick<RpcPeer, 'call' | 'open'>
  callOptions(): CallOptions
}

export function createCatalogClient({ peer, callOptions }: CatalogClientOptions): CatalogApi {
  const record = async (method: string, body: Readonly<Record<string, unknown>>): Promise<FunctionRecord> => fromJson(await peer.call(method, body, callOptions())) as FunctionRecord
  const list = async (): Promise<{ readonly rows: readonly FunctionRow[]; readonly problems: readonly CatalogProblem[] }> => {
    const stream = peer.open(CATALOG_METHODS.list, {}, callOptions())
    stream.end()
    const rows: FunctionRow[] = []
    for await (const row of stream) rows.push(fromJson(row) as FunctionRow)
    return { rows, problems: fromJson(await stream.result) as readonly CatalogProblem[] }
  }

  return {
    async deploy({ script, sourceMap, packages, files }, { onProgress, ...options } = {}) {
      const stream = peer.open(CATALOG_METHODS.deploy, { options, packages, files, scriptBytes: script.length, mapBytes: sourceMap.length }, callOptions())
      stream.result.catch(() => {})
      const send = async (): Promise<void> => {
        for (const bytes of [script, sourceMap]) {
          for (let at = 0; at < bytes.length; at += LIMITS.blobChunkBytes) await stream.write(bytes.subarray(at, Math.min(bytes.length, at + LIMITS.blobChunkBytes)))
        }
        stream.end()
      }
      // After a refusal, which comes as the result, nothing can be sent and this changes nothing.
      const sending = send().catch((error: unknown) => stream.cancel(error instanceof Error ? error : undefined))
      try {
        for await (const step of stream) onProgress?.(String(step))
      } catch {
        // As above: why it ended is the result's to say.
      }
      await sending
      return fromJson(await stream.result) as DeployReport
    },
    list: async () => (await list()).rows,
    problems: async () => (await list()).problems,
    get: async (name) => fromJson(await peer.call(CATALOG_METHODS.get, { name }, callOptions())) as FunctionRow,
    rollback: (name, version) => record(CATALOG_METHODS.rollback, { name, version: version ?? null }),
    alias: (name, moves) => record(CATALOG_METHODS.alias, { name, moves }),
    pause: (name) => record(CATALOG_METHODS.pause, { name }),
    resume: (name) => record(CATALOG_METHODS.resume, { name }),
    remove: async (name) => { await peer.call(CATALOG_METHODS.remove, { name }, callOptions()) },
  }
}

// `dc.audit` over a shell's connection to a node (rmo/audit/gather.ts is the other end).

import { LIMITS } from '../fabric/base.ts'
import type { CallOptions, ClientStream, RpcPeer } from '../fabric/mod.ts'
import type { AuditEntry, AuditReport } from '../rmo/mod.ts'

export interface AuditListOptions {
  /** "vm:web1": kind and name or uuid. */
  readonly object?: string
  /** "alice", or a principal: also what was done in his name. */
  readonly user?: string
  /** Name or id of a node; left out: all members. */
  readonly node?: string
  /** Wall clock. */
  readonly sinceMs?: number
  /** Newest records; default 100, at most LIMITS.auditAnswerMax. */
  readonly limit?: number
  /** Goes on with records as they come, until `signal`. */
  readonly follow?: boolean
  readonly signal?: AbortSignal
}
/** A record with the name of its node; or why a node's are not among them. */
export type AuditRow = (AuditEntry & { readonly nodeName: string }) | { readonly notice: { readonly node: string; readonly reason: string } }

export interface AuditApi {
  /** Ordered by time up to now, then as they come. */
  list(options?: AuditListOptions): AsyncIterable<AuditRow>
  /** Logs of one node, or of all, judged against their checkpoints and witnesses. */
  verify(options?: { readonly node?: string }): Promise<readonly AuditReport[]>
  /** Lines of a file that `kumoi audit verify --file` judges without a node. */
  export(options?: { readonly node?: string }): AsyncIterable<string>
}

const LIST_DEFAULT = 100
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

async function *messagesOf(stream: ClientStream): AsyncGenerator<unknown> {
  stream.result.catch(() => {})
  try {
    yield* stream
    await stream.result
  } finally {
    stream.cancel()
  }
}

export function createAuditApi({ peer, callOptions }: { readonly peer: Pick<RpcPeer, 'call' | 'open'>; readonly callOptions: () => CallOptions }): AuditApi {
  return {
    async *list({ signal, node, follow = false, limit = LIST_DEFAULT, ...query } = {}) {
      const options = { ...callOptions(), ...(follow ? { timeoutMs: LIMITS.callTimeoutMsMax } : {}), ...(signal === undefined ? {} : { signal }) }
      for await (const message of messagesOf(peer.open('audit.list', { ...query, limit, follow, ...(node === undefined ? {} : { node }) }, options))) {
        const { entries, notice } = message as { readonly entries?: readonly AuditRow[]; readonly notice?: { readonly node: string; readonly reason: string } }
        if (notice !== undefined) yield { notice: plain(notice) as { readonly node: string; readonly reason: string } }
        for (const entry of entries ?? []) yield plain(entry) as AuditRow
      }
    },
    verify: async ({ node } = {}) => plain(await peer.call('audit.verify', node === undefined ? {} : { node }, { timeoutMs: LIMITS.mapTimeoutMs, ...callOptions() })) as readonly AuditReport[],
    async *export({ node } = {}) {
      for await (const message of messagesOf(peer.open('audit.export', node === undefined ? {} : { node }, { timeoutMs: LIMITS.mapTimeoutMs, ...callOptions() }))) yield* message as readonly string[]
    },
  }
}

// Asks every member the same thing, each for a bounded time, and says who did not answer.

import type { CallParent, Membership, RpcPeer } from '../../fabric/mod.ts'
import { LIMITS } from '../../fabric/base.ts'
import type { NodeId } from '../../fabric/base.ts'

export interface GatherNodes {
  readonly membership: Pick<Membership, 'self' | 'members'>
  peer(node: NodeId): RpcPeer | Promise<RpcPeer>
}

export interface Gathered<T> {
  readonly answers: readonly { readonly node: string; readonly answer: T }[]
  /** Names of members that are dead or did not answer properly in time. */
  readonly silent: readonly string[]
}

/** `read` throws for an answer that makes no sense: that node counts as silent. Members that left are not asked. */
export async function gather<T>({ membership, peer }: GatherNodes, { method, parent, own, read }: {
  readonly method: string
  readonly parent: CallParent
  readonly own: () => T | Promise<T>
  readonly read: (body: unknown) => T
}): Promise<Gathered<T>> {
  const asked = membership.members().filter(({ state }) => state !== 'left')
  const ask = async (id: NodeId): Promise<T> => id === membership.self.id ? own() : read(await (await peer(id)).call(method, null, { parent, timeoutMs: LIMITS.gatherTimeoutMs }))
  const settled = await Promise.all(asked.map(async ({ id, name, state }) => {
    if (state === 'dead') return { node: name }
    // A connection may take longer to fail than an answer may take to come.
    const bound = AbortSignal.timeout(LIMITS.gatherTimeoutMs)
    const late = new Promise<never>((_, reject) => bound.addEventListener('abort', () => reject(bound.reason), { once: true }))
    return { node: name, answer: await Promise.race([ask(id), late]).catch(() => undefined) }
  }))
  const answers: { readonly node: string; readonly answer: T }[] = []
  const silent: string[] = []
  for (const { node, answer } of settled) if (answer === undefined) silent.push(node); else answers.push({ node, answer })
  return { answers, silent }
}

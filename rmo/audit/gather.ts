// The audit of the whole fabric, asked of any node: records of all members in the order of time, their verification, and
// their export. A member that does not answer is named, never left out in silence.
//
//   audit.list    {query, node} -> messages {entries} (last ones, sorted; then as they come) and {notice}
//   audit.verify  {node} -> AuditReport[]        audit.export  {node} -> messages of lines

import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Clock, NodeId } from '../../fabric/base.ts'
import type { CallContext, Member, RpcPeer } from '../../fabric/mod.ts'
import { RMO } from '../errors.ts'
import { entryOf } from './chain.ts'
import { readCheckpoint, readCut } from './checkpoint.ts'
import type { AuditVerifier } from './checkpoint.ts'
import type { AuditEntry } from './contract.ts'
import { exportHeader, exportLine } from './export.ts'
import { ownChain, serveEntries } from './service.ts'
import type { AuditServiceOptions, ChainSource } from './service.ts'
import { awayReport, judgeAudit } from './verify.ts'
import type { AuditReport, WitnessWord } from './verify.ts'
import { AUDIT_METHODS, fieldsOf, readNode, readQuery, readRows, readWitnessed } from './wire.ts'
import type { AuditQuery } from './wire.ts'

export interface AuditGatherOptions extends AuditServiceOptions {
  readonly self: NodeId
  readonly fabric: string
  readonly members: () => readonly Pick<Member, 'id' | 'name' | 'state'>[]
  readonly peer: (node: NodeId) => RpcPeer | Promise<RpcPeer>
  readonly verifier: AuditVerifier
  readonly clock: Clock
}
type Asked = Pick<Member, 'id' | 'name' | 'state'>

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
const isThere = ({ state }: Asked): boolean => state === 'alive' || state === 'suspect'

export function serveAuditGather(options: AuditGatherOptions): void {
  const { registry, self, fabric, members, peer, book, log, checkpoints, verifier, clock, mayRead } = options

  /** Members that are meant; those that left are no members. */
  const meant = (node: string | undefined): readonly Asked[] => {
    const all = members().filter(({ state }) => state !== 'left')
    if (node === undefined) return all
    const found = all.filter(({ id, name }) => name === node || id === node)
    if (found.length === 0) throw RMO.AUDIT_UNKNOWN_NODE({ node, known: all.map(({ name }) => name) })
    return found
  }
  const parentOf = ({ principal, trace, hop, signal, remainingMs }: CallContext): Omit<CallContext, 'caller'> => ({ principal, trace, hop, signal, remainingMs })
  const call = async (node: NodeId, method: string, body: unknown, context: CallContext): Promise<unknown> =>
    (await peer(node)).call(method, body, { parent: parentOf(context), timeoutMs: LIMITS.auditWitnessTimeoutMs })

  /** Waits for a member's last records; what comes later goes out as it comes. */
  const list = async (query: AuditQuery, asked: readonly Asked[], context: CallContext, send: (message: unknown) => Promise<void>): Promise<void> => {
    let history: { readonly entry: AuditEntry; readonly name: string }[] | undefined = []
    const refusals: unknown[] = []
    let answered = 0
    const tell = (entries: readonly { readonly entry: AuditEntry; readonly name: string }[]): Promise<void> => send({ entries: entries.map(({ entry, name }) => ({ ...entry, nodeName: name })) })
    const all = Promise.withResolvers<void>()
    const first = (): void => { if (++answered === asked.length) all.resolve() }
    const follow = async (member: Asked): Promise<void> => {
      let live = false
      const take = async (rows: readonly string[]): Promise<void> => {
        const entries = rows.map((row) => ({ entry: entryOf(row), name: member.name }))
        if (rows.length === 0 && !live) {
          live = true
          first()
        } else if (history === undefined) await tell(entries)
        else history.push(...entries)
      }
      try {
        if (!isThere(member)) throw new Error('it is dead')
        if (member.id === self) await mayRead(context, query.object).then(() => serveEntries(log, query, context.signal, take))
        else for await (const message of (await peer(member.id)).open(AUDIT_METHODS.entries, { ...query }, { parent: parentOf(context) })) await take(readRows(message))
      } catch (error) {
        if (context.signal.aborted) return
        if (errorCode(error) === RMO.DENIED.code) refusals.push(error)
        else await send({ notice: { node: member.name, reason: reasonOf(error) } })
      } finally {
        if (!live) first()
      }
    }
    const timer = clock.after(LIMITS.gatherTimeoutMs, () => all.resolve(), { background: true })
    const following = Promise.all(asked.map(follow))
    await all.promise
    timer.cancel()
    // Who may read what one object's home has need not be let in everywhere; nowhere is a refusal.
    if (refusals.length === asked.length && refusals.length > 0) throw refusals[0]
    const sorted = history.sort((a, b) => a.entry.atMs - b.entry.atMs || (a.name < b.name ? -1 : a.name > b.name ? 1 : a.entry.seq - b.entry.seq)).slice(-query.limit)
    history = undefined
    for (let at = 0; at < sorted.length; at += LIMITS.logBatchLinesMax) await tell(sorted.slice(at, at + LIMITS.logBatchLinesMax))
    if (query.follow) await following
  }

  const wordOf = async (of: NodeId, { id, name, state }: Asked, context: CallContext): Promise<WitnessWord> => {
    if (id === self) return { node: id, name, has: book.of(of) }
    try {
      if (!isThere({ id, name, state })) throw new Error('it is dead')
      return { node: id, name, has: readWitnessed(await call(id, AUDIT_METHODS.witnessed, { node: of }, context)) }
    } catch (error) {
      return { node: id, name, has: undefined, error: reasonOf(error) }
    }
  }
  const chainOf = async (node: NodeId, context: CallContext): Promise<ChainSource> => {
    if (node === self) return ownChain({ log, checkpoints })
    const stream = (await peer(node)).open(AUDIT_METHODS.chain, null, { parent: parentOf(context) })
    stream.result.catch(() => {})
    const { cut, own } = fieldsOf(await stream.read())
    return {
      cut: readCut(cut), own: Array.isArray(own) ? own.map(readCheckpoint).filter((checkpoint) => checkpoint !== undefined) : [],
      async *rows() { for await (const message of stream) yield readRows(message) },
    }
  }
  /** First the witnesses, then the log: it has then at least what they have. */
  const seen = async (member: Asked, context: CallContext): Promise<{ readonly words: readonly WitnessWord[]; readonly chain: ChainSource }> => {
    if (!isThere(member)) throw new Error('it is dead')
    await (member.id === self ? checkpoints.settle() : call(member.id, AUDIT_METHODS.settle, null, context).catch(() => {}))
    const words = await Promise.all(meant(undefined).filter(({ id }) => id !== member.id).map((other) => wordOf(member.id, other, context)))
    return { words, chain: await chainOf(member.id, context) }
  }
  const verify = async (member: Asked, context: CallContext): Promise<AuditReport> => {
    try {
      const { words, chain } = await seen(member, context)
      const judge = judgeAudit({ node: member.id, name: member.name, cut: chain.cut, own: chain.own, words, verifier })
      for await (const rows of chain.rows()) for (const row of rows) judge.take(row)
      return judge.report()
    } catch (error) {
      return awayReport(member.id, member.name, reasonOf(error))
    }
  }

  registry.stream(AUDIT_METHODS.list, async (body, context, stream) => {
    const query = readQuery(body)
    await list(query, meant(readNode(body)), context, (message) => stream.write(message))
    return null
  })
  registry.method(AUDIT_METHODS.verify, async (body, context) => {
    await mayRead(context, undefined)
    const reports: AuditReport[] = []
    for (const member of meant(readNode(body))) reports.push(await verify(member, context))
    return reports
  })
  registry.stream(AUDIT_METHODS.export, async (body, context, stream) => {
    await mayRead(context, undefined)
    for (const member of meant(readNode(body))) {
      const { words, chain } = await seen(member, context)
      await stream.write([exportHeader({ fabric, node: member.id, name: member.name, atMs: Math.round(clock.wallMs()), cut: chain.cut ?? null, own: chain.own, words })])
      for await (const rows of chain.rows()) await stream.write(rows.map(exportLine))
    }
    return null
  })
}

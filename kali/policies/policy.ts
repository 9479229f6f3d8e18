// From a pure decide to a deployed policy: what it is declared as, and one round of it.
//
//   tick -> pools that name it -> snapshot, memory -> decide -> act (round by compare-and-swap) -> what came of it
//
// A singleton, so that one node at a time evaluates, under a fencing epoch; two that overlap after all are told apart by the
// round, which act() takes once. A pool that fails does not keep the others waiting. Loads no I/O: it is bundled (functions/).

import { errorCode, LIMITS, seededRandom } from '../../fabric/base.ts'
import type { ActRequest, ActResult, Decide, MemoryRecord, PolicyMemory, PoolSnapshot } from '../cloud/contract.ts'
import type { FunctionDefinition } from '../../functions/base.ts'
import { fingerprint } from './elastic-memory.ts'

/** What a policy uses of a pool (kali/kinds/pool.ts). */
export interface PolicyPool {
  readonly name: string
  readonly uuid: string
  snapshot(): PromiseLike<PoolSnapshot>
  memory(policy: string): PromiseLike<Pick<MemoryRecord, 'round' | 'memory'> | undefined>
  act(request: ActRequest): PromiseLike<ActResult>
}
/** What a policy uses of run's context. */
export interface PolicyContext {
  readonly pools: PromiseLike<readonly PolicyPool[]>
  readonly log: { info(text: string, fields?: Readonly<Record<string, unknown>>): void; warn(text: string, fields?: Readonly<Record<string, unknown>>): void }
}

/** Counts of one round over all pools; what the function answers. */
export interface PolicyReport { readonly pools: number; readonly done: number; readonly refused: number; readonly failed: number }
export interface PolicyOptions {
  /** A text for people; the revision is added to it. */
  readonly description: string
  /** Default '1s'. */
  readonly every?: string
}

/** Of the policies that are delivered: raised with each release that changes one, so that nodes replace older ones (deploy.ts). */
export const POLICY_REVISION = 2
const REVISION = / \[delivered with Kumoi, revision (\d+)\]$/
export const revisionOf = (description: string): number | undefined => {
  const [, revision] = REVISION.exec(description) ?? []
  return revision === undefined ? undefined : Number(revision)
}
export const delivered = (description: string): string => `${description} [delivered with Kumoi, revision ${POLICY_REVISION}]`

/** For defineFunction: `export default defineFunction(policyFunction('my-policy', decide, { description }))`. */
export function policyFunction<M>(name: string, decide: Decide<M>, { description, every = '1s' }: PolicyOptions): FunctionDefinition<PolicyContext, unknown, PolicyReport> {
  return {
    name, description, trigger: { every }, singleton: true, rights: ['pool:read', 'pool:operate'], limits: { timeout: `${LIMITS.policyRoundMs}ms` },
    run: (context) => everyPool(name, decide, context),
  }
}

async function everyPool<M>(name: string, decide: Decide<M>, { pools, log }: PolicyContext): Promise<PolicyReport> {
  const all = [...await pools]
  const waiting = all.values()
  const report = { pools: 0, done: 0, refused: 0, failed: 0 }
  let first: unknown
  const work = async (): Promise<void> => {
    for (const pool of waiting) {
      try {
        const result = await policyRound(name, decide, pool)
        if (result === undefined) continue
        report.pools++
        for (const { outcome } of result.results) if (outcome !== 'nothing') report[outcome]++
      } catch (error) {
        // Another round was first: nothing was done twice, and the next tick begins from it.
        if (errorCode(error) === 'KALI_ERR_CHANGED') continue
        report.failed++
        first ??= error
        log.warn('a pool could not be seen to', { pool: pool.name, error: error instanceof Error ? error.message : String(error) })
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(LIMITS.policyPoolsAtOnce, all.length) }, work))
  // What fails everywhere is to be seen as a failing function.
  if (report.failed > 0 && report.failed === all.length) throw first
  return report
}

/** One round for one pool; undefined: the pool does not name this policy. Rejects with KALI_ERR_CHANGED when another round was first. */
export async function policyRound<M>(name: string, decide: Decide<M>, pool: PolicyPool): Promise<ActResult | undefined> {
  const [snapshot, kept] = await Promise.all([pool.snapshot(), pool.memory(name)])
  if (!snapshot.pool.policies.includes(name)) return undefined
  const round = kept?.round ?? 0
  const before = kept?.memory as PolicyMemory<M> | null | undefined
  const { next } = seededRandom(Number.parseInt(fingerprint([name, pool.uuid, round]), 16))
  const { proposals, memory, notes = {} } = decide({ snapshot, memory: before?.memory, random: next })
  const after: PolicyMemory<M> = { memory, notes }
  // Most rounds find all well: they need not be written down.
  if (proposals.length === 0 && before !== undefined && before !== null && same(before, after)) return { round, results: [] }
  return pool.act({ policy: name, round, memory: after, proposals })
}

/** As plain data: what is undefined is not there. */
const same = (a: unknown, b: unknown): boolean => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b))

/** The store need not keep the order of keys. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(sorted)
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, entry]) => [key, sorted(entry)]))
}

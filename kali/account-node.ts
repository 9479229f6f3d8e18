// What a node answers of accounts: its own, and, gathered from all members, the fabric's; and the price table in the global store.
//
// Invariants: whoever has the right account:read sees everybody's, a user without it his own, on each node anew; a member that
// does not answer is named, never left out in silence.

import { errorCode, LIMITS } from '../fabric/base.ts'
import type { Clock } from '../fabric/base.ts'
import type { CallContext, FabricNode, FabricStore } from '../fabric/mod.ts'
import { AMOUNTS, ownerOf, RMO, sumOf } from '../rmo/mod.ts'
import type { AccessPolicy, Accounts, UsageRow } from '../rmo/mod.ts'
import { readPrices } from './account-prices.ts'
import type { Prices } from './account-prices.ts'
import { ACCOUNT_METHODS } from './account-wire.ts'
import type { AccountAnswer, AccountQuery, AccountRow } from './account-wire.ts'

const PRICES_KEY = 'account/prices'
const USER_CHARS_MAX = 128
const SETTLED_MS = 3_600_000
const READ = 'account:read'

export interface AccountServiceOptions {
  readonly fabric: Pick<FabricNode, 'id' | 'registry' | 'membership' | 'peer'>
  readonly store: Pick<FabricStore, 'get' | 'transact'>
  readonly accounts: Accounts
  readonly may: AccessPolicy['may']
  readonly clock: Clock
}

const fieldsOf = (body: unknown): Readonly<Record<string, unknown>> => (typeof body === 'object' && body !== null && !Array.isArray(body) ? body as Record<string, unknown> : {})
const bad = (path: string, expected: string, got: unknown): Error => RMO.ARGUMENT_INVALID({ call: 'account', path, expected, got: typeof got })

function readQuery(body: unknown): AccountQuery {
  const { sinceMs, untilMs, user } = fieldsOf(body)
  const time = (value: unknown, path: string): number => {
    if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) throw bad(path, 'a time in milliseconds', value)
    return value
  }
  if (user !== undefined && (typeof user !== 'string' || user === '' || user.length > USER_CHARS_MAX)) throw bad('user', 'a name', user)
  return { sinceMs: time(sinceMs, 'sinceMs'), untilMs: time(untilMs, 'untilMs'), ...(user === undefined ? {} : { user: user.includes(':') || user === 'unknown' ? user : `user:${user}` }) }
}

/** Sums over the hours, by object and owner; the greatest of too many. */
export function summed(rows: readonly UsageRow[], node: string): readonly AccountRow[] {
  const sums = new Map<string, AccountRow>()
  for (const { hourMs: _hour, ...row } of rows) {
    const key = JSON.stringify([row.owner, row.kind, row.id, row.pool])
    const before = sums.get(key)
    // The newest name stands.
    sums.set(key, { ...row, node, ...(before === undefined ? {} : sumOf(row, before)) })
  }
  const weight = ({ vcpuMs, cpuUs }: AccountRow): number => vcpuMs + cpuUs
  return [...sums.values()].sort((a, b) => weight(b) - weight(a)).slice(0, LIMITS.accountRowsMax)
}

const AMOUNT_FIELDS = AMOUNTS as readonly string[]
function readRow(value: unknown, node: string): AccountRow {
  const fields = fieldsOf(value)
  const shown = (name: string): string => { const text = fields[name]; return typeof text === 'string' ? text : '' }
  const amounts = Object.fromEntries(AMOUNT_FIELDS.map((name) => { const amount = fields[name]; return [name, typeof amount === 'number' && amount >= 0 ? amount : 0] }))
  return { owner: shown('owner'), kind: shown('kind') as AccountRow['kind'], id: shown('id'), name: shown('name'), pool: shown('pool'), node, ...amounts as Record<(typeof AMOUNTS)[number], number> }
}

export function serveAccounts({ fabric, store, accounts, may, clock }: AccountServiceOptions): void {
  const { registry, membership, id: self } = fabric
  const nameHere = (): string => membership.self.name

  /** Whose he may see: undefined is everybody's. */
  const visible = ({ principal }: CallContext, { user }: AccountQuery): { readonly owner: string | undefined; readonly only: boolean } => {
    const { allowed, reason } = may(principal, READ)
    if (allowed) return { owner: user, only: false }
    const own = ownerOf(principal)
    if (!own.startsWith('user:') || (user !== undefined && user !== own)) throw RMO.DENIED({ principal, kind: 'accounts', name: user ?? 'everybody', verb: 'read', acl: 'inspect', reason })
    return { owner: own, only: true }
  }
  const rowsHere = async (query: AccountQuery, context: CallContext): Promise<readonly AccountRow[]> => {
    const { owner } = visible(context, query)
    // As of now, not of the last tick; what is long past is written.
    if (query.untilMs > clock.wallMs() - SETTLED_MS) await accounts.settle()
    return summed(accounts.book.rows(query).filter((row) => owner === undefined || row.owner === owner), nameHere())
  }

  registry.method(ACCOUNT_METHODS.rows, async (body, context) => ({ rows: await rowsHere(readQuery(body), context) }))
  registry.method(ACCOUNT_METHODS.list, async (body, context): Promise<AccountAnswer> => {
    const query = readQuery(body)
    const { owner, only } = visible(context, query)
    const silent: { node: string; reason: string }[] = []
    const { principal, trace, hop, signal, remainingMs } = context
    const members = membership.members().filter(({ state }) => state !== 'left')
    const answers = await Promise.all(members.map(async ({ id, name, state }): Promise<readonly AccountRow[]> => {
      try {
        if (id === self) return await rowsHere(query, context)
        if (state === 'dead') throw new Error('it is dead')
        const answer = fieldsOf(await (await fabric.peer(id)).call(ACCOUNT_METHODS.rows, { ...query }, { parent: { principal, trace, hop, signal, remainingMs }, timeoutMs: LIMITS.accountAnswerMs }))
        return Array.isArray(answer['rows']) ? answer['rows'].slice(0, LIMITS.accountRowsMax).map((row) => readRow(row, name)) : []
      } catch (error) {
        if (signal.aborted) throw error
        silent.push({ node: name, reason: errorCode(error) ?? (error instanceof Error ? error.message : String(error)) })
        return []
      }
    }))
    return { rows: answers.flat().slice(0, LIMITS.accountRowsMax), silent, ...(only && owner !== undefined ? { only: owner } : {}) }
  })
  registry.method(ACCOUNT_METHODS.prices, async (): Promise<Prices | null> => {
    const entry = await store.get(PRICES_KEY)
    return entry === undefined ? null : readPrices(JSON.parse(new TextDecoder().decode(entry.value)))
  })
  registry.method(ACCOUNT_METHODS.setPrices, async (body, { principal }) => {
    const { allowed, reason } = may(principal, 'account:prices')
    if (!allowed) throw RMO.DENIED({ principal, kind: 'accounts', name: 'prices', verb: 'set', acl: 'administer', reason })
    const then = body === null || body === undefined ? { do: 'delete', key: PRICES_KEY } as const : { do: 'put', key: PRICES_KEY, value: new TextEncoder().encode(JSON.stringify(readPrices(body))) } as const
    await store.transact({ then: [then] })
    return null
  })
}

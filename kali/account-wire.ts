// Accounts on the wire, and `dc.account` over a shell's connection (account-node.ts is the other end).
//
//   account.list       any node: sums of all members in an interval     account.rows       one node's own
//   account.prices     the fabric's price table                         account.setPrices  replaces it

import { LIMITS } from '../fabric/base.ts'
import type { CallOptions, RpcPeer } from '../fabric/mod.ts'
import type { UsageKey, UsageRow } from '../rmo/mod.ts'
import { costOf, readPrices } from './account-prices.ts'
import type { Prices } from './account-prices.ts'

export const ACCOUNT_METHODS = { list: 'account.list', rows: 'account.rows', prices: 'account.prices', setPrices: 'account.setPrices' } as const

export interface AccountQuery {
  /** Wall clock; hours that begin in it. */
  readonly sinceMs: number
  readonly untilMs: number
  /** "alice" or "user:alice", "local:0": one owner's. Left out: all that the caller may see. */
  readonly user?: string
}
/** What was used of one object in the whole interval, on one node. */
export type AccountRow = Omit<UsageRow, 'hourMs'> & { readonly node: string }
export interface AccountAnswer {
  readonly rows: readonly AccountRow[]
  /** Members whose accounts are not among the rows. */
  readonly silent: readonly { readonly node: string; readonly reason: string }[]
  /** Set: the caller sees his own only. */
  readonly only?: UsageKey['owner']
}

export interface PricedAnswer extends Omit<AccountAnswer, 'rows'> {
  /** `cost`: in the currency of `prices`, when there are any. */
  readonly rows: readonly (AccountRow & { readonly cost?: number })[]
  readonly prices?: Prices
}

export interface AccountApi {
  /** `prices`: instead of those that are set. Throws KALI_ERR_PRICES_INVALID. */
  list(query: AccountQuery, options?: { readonly prices?: Prices }): Promise<PricedAnswer>
  /** Undefined: nobody has set any. */
  prices(): Promise<Prices | undefined>
  /** Undefined takes them away. */
  setPrices(prices: Prices | undefined): Promise<void>
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

export function createAccountApi({ peer, callOptions }: { readonly peer: Pick<RpcPeer, 'call'>; readonly callOptions: () => CallOptions }): AccountApi {
  const pricesSet = async (): Promise<Prices | undefined> => (plain(await peer.call(ACCOUNT_METHODS.prices, null, callOptions())) as Prices | null) ?? undefined
  return {
    async list(query, { prices: given } = {}) {
      const prices = given === undefined ? await pricesSet() : readPrices(given)
      const answer = plain(await peer.call(ACCOUNT_METHODS.list, { ...query }, { timeoutMs: LIMITS.mapTimeoutMs, ...callOptions() })) as AccountAnswer
      return prices === undefined ? answer : { ...answer, prices, rows: answer.rows.map((row) => ({ ...row, cost: costOf(row, prices) })) }
    },
    prices: pricesSet,
    setPrices: async (prices) => { await peer.call(ACCOUNT_METHODS.setPrices, prices === undefined ? null : { ...prices }, callOptions()) },
  }
}

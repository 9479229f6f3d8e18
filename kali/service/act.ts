// One round of a policy carried out: first its memory, by compare-and-swap on the round, so that of two evaluators that
// overlap one acts; then each proposal by itself, in order. What is refused is refused alone.
//
//   ActRequest --remember(round)--> KALI_ERR_CHANGED: nothing is done
//        `--each proposal--> actions.ts --one transaction--> done | nothing | refused --> journal, once until it differs
//
// While the cloud is frozen (mode) nothing is carried out but what is said.

import { assert, errorCode, LIMITS } from '../../fabric/base.ts'
import { parseFunctionPrincipal } from '../../functions/base.ts'
import type { Authority } from '../../functions/mod.ts'
import type { ActRequest, ActResult, Proposal } from '../cloud/contract.ts'
import { KALI } from '../errors.ts'
import { aboutOf, carryOut } from './actions.ts'
import type { Done } from './actions.ts'
import type { Desk } from './desk.ts'

type Result = ActResult['results'][number]
type Outcome = Omit<Done, 'outcome'> & { readonly outcome: Result['outcome'] }

/** Not those in names. */
const NUMBERS = /(?<![\w-])\d+(\.\d+)?(?![\w-])/g

export function createAct(desk: Desk): (pool: string, request: ActRequest, by: Authority) => Promise<ActResult> {
  /** What was journaled last of a policy about something: the same again is no news. Oldest first. */
  const said = new Map<string, string>()
  const isNews = (key: string, text: string): boolean => {
    const before = said.get(key)
    said.delete(key)
    said.set(key, text)
    const [oldest] = said.keys()
    if (said.size > LIMITS.cloudSaidMax && oldest !== undefined) said.delete(oldest)
    return before !== text
  }

  const carry = async (pool: string, policy: string, { action, reason, details }: Proposal, by: Authority): Promise<Result> => {
    const decided = desk.decide(policy, reason)
    const { mode } = desk.view.mode()
    let outcome: Outcome
    try {
      by.signal.throwIfAborted()
      if (mode !== 'armed' && action.do !== 'note') outcome = { outcome: 'refused', reason: `the cloud is set to ${mode}: policies restart and move nothing`, about: aboutOf(action) }
      else outcome = await carryOut({ desk, pool, decided, signal: by.signal }, action)
    } catch (error) {
      if (errorCode(error) === undefined && !by.signal.aborted) desk.log.warn('an action of a policy failed', { policy, action: action.do, reason: String(error) })
      outcome = { outcome: 'refused', reason: error instanceof Error ? error.message : String(error), about: aboutOf(action) }
    }
    const { outcome: came, reason: why, about, choice } = outcome
    const key = `${pool} ${policy} ${about.join(' ')}`
    // Ages and amounts change from round to round, and are no news.
    const told = came === 'done' ? `done ${decided.decision}` : `${action.do} ${came} ${why.replace(NUMBERS, '#')}`
    if (isNews(key, told)) {
      const shown = { ...details, ...outcome.details, ...(came === 'refused' ? { wanted: reason } : {}) }
      await desk.journal({ id: decided.decision, pool, policy, about, action: action.do, reason: why, outcome: came, ...(choice === undefined ? {} : { choice }), ...(Object.keys(shown).length === 0 ? {} : { details: shown }) })
    }
    return { outcome: came, reason: why }
  }

  return async (pool, { policy, round, memory, proposals }, by) => {
    desk.poolOf(pool)
    // A function speaks for itself: another policy's memory is not its to replace. Administrators may speak for any.
    const caller = parseFunctionPrincipal(by.principal)
    if (caller !== undefined && caller.name !== policy) throw KALI.POLICY_FOREIGN({ policy, caller: caller.name })
    const invalid = (what: string, expected: string, got: unknown): Error => KALI.RECORD_INVALID({ what: `${what} of an act of ${policy}`, expected, got: String(got) })
    if (!Number.isSafeInteger(round) || round < 0) throw invalid('the round', 'a whole number from 0', round)
    if (!Array.isArray(proposals) || proposals.length > LIMITS.cloudProposalsMax) throw invalid('the list of proposals', `at most ${LIMITS.cloudProposalsMax}`, Array.isArray(proposals) ? proposals.length : typeof proposals)
    await desk.book.remember(policy, pool, round, memory)
    const results: Result[] = []
    for (const proposal of proposals) results.push(await carry(pool, policy, proposal, by))
    assert(results.length === proposals.length, 'each proposal has a result')
    return { round: round + 1, results }
  }
}

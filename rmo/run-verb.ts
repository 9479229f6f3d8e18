// One verb of one object, at its home: the gate, the arguments, the change's id, the audit, the account.
//
//   reading verb   gate -> arguments -> run
//   changing verb  operation id -> gate -> intent on disk -> arguments -> run -> outcome "done" | "failed"
//                                   `-> refusal
//
// "Changing" is what ACL_VERBS calls privileged: none of them runs unless its intent is stored (audit/log.ts). Who may not do
// it does not learn how it is done: the gate stands before the argument check. Every call is counted on the object's account.

import type { Clock } from '../fabric/base.ts'
import { parseFunctionPrincipal } from '../functions/base.ts'
import type { Authority } from '../functions/mod.ts'
import { admitted } from './admission.ts'
import type { FoundObject, NodeCapabilities } from './capabilities.ts'
import { checkArguments, operationOf } from './check.ts'
import type { FurtherQuestion, FurtherRight } from './further-rights.ts'
import { audited } from './audit/audited.ts'
import type { AuditIntent } from './audit/contract.ts'
import { failureText } from './audit/log.ts'
import { ACL_VERBS } from './gate.ts'
import type { Ledger } from './ledger.ts'
import type { Operations } from './operations.ts'
import type { Home, Verb } from './verb.ts'

export interface VerbRunnerOptions {
  readonly pass: NodeCapabilities['pass']
  /** What of a verb's further rights is to be asked of whom (further-rights.ts), and the asking. */
  readonly further: (of: FoundObject, rights: readonly FurtherRight[]) => readonly FurtherQuestion[]
  readonly passOn: NodeCapabilities['passOn']
  readonly denial: NodeCapabilities['denial']
  readonly operations: Operations
  readonly ledger: Ledger
  readonly clock: Clock
}

export function createVerbRunner({ pass, passOn, denial, further, operations, ledger, clock }: VerbRunnerOptions): (found: FoundObject, verb: string, args: readonly unknown[], authority: Authority) => Promise<unknown> {
  const tails = new Map<string, Promise<unknown>>()
  const homeOf = (found: FoundObject, authority: Authority): Home => {
    const { kind: { kind }, object: { uuid } } = found
    return {
      kind, uuid, ledger,
      allows: async (acl) => await denial(found, acl, acl, authority) === undefined,
      serial(work) {
        const key = `${kind}/${uuid}`
        const run = (tails.get(key) ?? Promise.resolve()).then(work, work)
        tails.set(key, run)
        const ended = (): void => { if (tails.get(key) === run) tails.delete(key) }
        run.then(ended, ended)
        return run
      },
    }
  }

  type Ask = () => Promise<void>
  const perform = (found: FoundObject, verb: string, operation: Verb, args: readonly unknown[], authority: Authority): unknown =>
    operation.run(found.object.local, checkArguments(found.kind.kind, verb, operation, args), authority, homeOf(found, authority))
  const read = async (found: FoundObject, verb: string, operation: Verb, args: readonly unknown[], authority: Authority): Promise<unknown> => {
    await pass(found, verb, operation.acl, authority)
    return perform(found, verb, operation, args, authority)
  }
  const counted = async (found: FoundObject, authority: Authority, work: Promise<unknown>): Promise<unknown> => {
    const of = { kind: found.kind.kind, uuid: found.object.uuid }
    const startedAtMs = clock.nowMs()
    try {
      const answer = await work
      ledger.count(of, authority.principal, clock.nowMs() - startedAtMs, false)
      return answer
    } catch (error) {
      ledger.count(of, authority.principal, clock.nowMs() - startedAtMs, true)
      throw error
    }
  }
  const change = async (found: FoundObject, verb: string, operation: Verb, args: readonly unknown[], authority: Authority, id: string): Promise<unknown> => {
    const { principal, trace, code } = authority
    const intent: AuditIntent = { operation: id, principal, trace, verb, acl: operation.acl, object: `${found.kind.kind}/${found.object.uuid}`, name: found.name, ...(code === undefined ? {} : { code }) }
    const ask: Ask = async () => {
      await pass(found, verb, operation.acl, authority)
      const rights = operation.also?.(args, found.object.local) ?? []
      for (const question of further(found, rights)) await passOn(question, question.verb, question.acl, authority)
    }
    const run = (): unknown => perform(found, verb, operation, args, authority)
    await ask().catch((error: unknown) => {
      ledger.log.refused(intent, failureText(error))
      throw error
    })
    return audited(ledger.log, intent, async () => (parseFunctionPrincipal(principal)?.epoch !== undefined ? admitted(ask, run) : run()))
  }

  return async (found, verb, args, given) => {
    const operation = operationOf(found.kind, verb)
    if (!ACL_VERBS[operation.acl].privileged) return counted(found, given, read(found, verb, operation, args, given))
    const id = given.operation ?? operations.mint()
    const { principal, trace, hop, signal, code } = given
    const authority: Authority = { principal, trace, hop, signal, operation: id, ...(code === undefined ? {} : { code }), remainingMs: () => given.remainingMs() }
    const what = `${principal} ${found.kind.kind}/${found.object.uuid} ${verb}`
    return operations.once(id, what, operation.acl, () => counted(found, authority, change(found, verb, operation, args, authority, id)))
  }
}

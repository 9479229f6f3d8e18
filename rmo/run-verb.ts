// One verb of one object, at its home: the gate, the arguments, the change's id, the audit, the account.
//
//   reading verb   gate -> arguments -> run
//   changing verb  operation id -> audit "running" -> gate -> arguments -> run -> audit "done" | "failed" | "denied"
//
// "Changing" is what ACL_VERBS calls privileged. Who may not do it does not learn how it is done: the gate stands before
// the argument check. Every call is counted on the object's account.

import { errorCode } from '../fabric/base.ts'
import type { Clock } from '../fabric/base.ts'
import { parseFunctionPrincipal } from '../functions/base.ts'
import type { Authority } from '../functions/mod.ts'
import { admitted } from './admission.ts'
import type { FoundObject, NodeCapabilities } from './capabilities.ts'
import { checkArguments, operationOf } from './check.ts'
import { RMO } from './errors.ts'
import { ACL_VERBS } from './gate.ts'
import type { Ledger } from './ledger.ts'
import type { Operations } from './operations.ts'
import type { Home, Verb } from './verb.ts'

export interface VerbRunnerOptions {
  readonly pass: NodeCapabilities['pass']
  readonly operations: Operations
  readonly ledger: Ledger
  readonly clock: Clock
}

const textOf = (error: unknown): string => {
  const code = errorCode(error)
  const message = error instanceof Error ? error.message : String(error)
  return code === undefined ? message : `${code}: ${message}`
}

export function createVerbRunner({ pass, operations, ledger, clock }: VerbRunnerOptions): (found: FoundObject, verb: string, args: readonly unknown[], authority: Authority) => Promise<unknown> {
  const tails = new Map<string, Promise<unknown>>()
  const homeOf = ({ kind: { kind }, object: { uuid } }: FoundObject): Home => ({
    kind, uuid, ledger,
    serial(work) {
      const key = `${kind}/${uuid}`
      const run = (tails.get(key) ?? Promise.resolve()).then(work, work)
      tails.set(key, run)
      const ended = (): void => { if (tails.get(key) === run) tails.delete(key) }
      run.then(ended, ended)
      return run
    },
  })

  const run = async (found: FoundObject, verb: string, operation: Verb, args: readonly unknown[], authority: Authority): Promise<unknown> => {
    const ask = (): Promise<void> => pass(found, verb, operation.acl, authority)
    await ask()
    const run = (): unknown => operation.run(found.object.local, checkArguments(found.kind.kind, verb, operation, args), authority, homeOf(found))
    return ACL_VERBS[operation.acl].privileged && parseFunctionPrincipal(authority.principal)?.epoch !== undefined ? admitted(ask, run) : run()
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
  const audited = async (found: FoundObject, verb: string, operation: Verb, args: readonly unknown[], authority: Authority, id: string): Promise<unknown> => {
    const end = ledger.begin({ kind: found.kind.kind, uuid: found.object.uuid }, { operation: id, principal: authority.principal, trace: authority.trace, verb, acl: operation.acl })
    try {
      const answer = await run(found, verb, operation, args, authority)
      end({ outcome: 'done' })
      return answer
    } catch (error) {
      end({ outcome: errorCode(error) === RMO.DENIED.code ? 'denied' : 'failed', error: textOf(error) })
      throw error
    }
  }

  return async (found, verb, args, given) => {
    const operation = operationOf(found.kind, verb)
    if (!ACL_VERBS[operation.acl].privileged) return counted(found, given, run(found, verb, operation, args, given))
    const id = given.operation ?? operations.mint()
    const { principal, trace, hop, signal } = given
    const authority: Authority = { principal, trace, hop, signal, operation: id, remainingMs: () => given.remainingMs() }
    const what = `${principal} ${found.kind.kind}/${found.object.uuid} ${verb}`
    return operations.once(id, what, operation.acl, () => counted(found, authority, audited(found, verb, operation, args, authority, id)))
  }
}

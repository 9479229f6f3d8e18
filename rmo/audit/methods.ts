// Privileged RPC methods in the audit: what is put round a method so that it runs between its two records.
//
//   call -> what it is (verb, object) -> refused too often lately? -> intent on disk -> the method -> outcome
//
// Whether the caller may is the method's own question, asked inside: a refusal is an outcome then. Two records for each would let
// somebody without rights write the log full and its old end out of it, so whoever was refused LIMITS.auditRefusalsPerWindow
// times in a window waits for its end; what he tries meanwhile is counted (refusals.ts).

import { errorCode, FABRIC, LIMITS } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import type { CallContext, RpcRegistry } from '../../fabric/mod.ts'
import { RMO } from '../errors.ts'
import { audited, isDenial } from './audited.ts'
import type { AuditedOptions } from './audited.ts'
import type { AuditLog } from './contract.ts'
import { failureText } from './log.ts'

/** What a call is, for the audit; undefined: this one is not privileged. Must bear any body. */
export type DescribeMethod = (body: unknown, context: CallContext) => { readonly verb: string; readonly object: string; readonly name?: string; readonly unrecorded?: 'go-on' } | undefined

export interface AuditMethodsOptions {
  readonly registry: Pick<RpcRegistry, 'around'>
  readonly log: AuditLog
  readonly clock: Clock
  readonly operation: () => string
  readonly methods: Readonly<Record<string, DescribeMethod>>
}

/** A stream ends when its caller has had enough. */
const STREAM: AuditedOptions = { isEnd: (error) => errorCode(error) === FABRIC.CANCELLED.code }

/** Names of the table that the registry does not have: a table that has gone stale. */
export function auditMethods({ registry, log, clock, operation, methods }: AuditMethodsOptions): readonly string[] {
  const refused = new Map<string, { count: number; untilMs: number }>()
  const note = (principal: string): void => {
    const nowMs = clock.nowMs()
    for (const [key, { untilMs }] of refused) if (untilMs <= nowMs || refused.size >= LIMITS.auditRefusersMax) refused.delete(key)
    const row = refused.get(principal) ?? { count: 0, untilMs: nowMs + LIMITS.auditRefusalWindowMs }
    row.count++
    refused.set(principal, row)
  }
  const mustWait = (principal: string): boolean => {
    const row = refused.get(principal)
    return row !== undefined && row.count >= LIMITS.auditRefusalsPerWindow && row.untilMs > clock.nowMs()
  }

  return Object.entries(methods).flatMap(([method, describe]) => {
    const found = registry.around(method, (inner) => async (body, context, stream) => {
      const described = describe(body, context)
      if (described === undefined) return inner(body, context, stream)
      const { unrecorded = 'refuse', ...what } = described
      const { principal, trace } = context
      const intent = { operation: operation(), trace, principal, ...what }
      if (mustWait(principal)) {
        const error = RMO.REFUSED_TOO_OFTEN({ principal, times: LIMITS.auditRefusalsPerWindow, windowMs: LIMITS.auditRefusalWindowMs })
        log.refused(intent, failureText(error))
        throw error
      }
      try {
        return await audited(log, intent, () => inner(body, context, stream), { ...stream === undefined ? {} : STREAM, unrecorded })
      } catch (error) {
        if (isDenial(errorCode(error))) note(principal)
        throw error
      }
    })
    return found ? [] : [method]
  })
}

// Who may change what is deployed, what waits, and the secrets: whoever has the right (rmo/acl/rights.ts; handed in), so that of a
// narrowed "local:0/x" nobody may more than look. Without it the administrator of a node's machine, un-narrowed. A running function may neither. Loads no I/O.

import { FUNCTIONS } from './errors.ts'
import { parseFunctionPrincipal } from './principal.ts'

/** Throws unless the caller has `right` ("function:deploy"); `what` for the message: "deploy functions". */
export type Admit = (caller: { readonly principal: string }, right: string, what: string) => void

/** Without a judge of rights: the administrator alone. Throws FUNCTION_DENIED, DEPLOY_DENIED. */
export function admitAdministrator({ principal }: { readonly principal: string }, _right: string, what: string): void {
  const running = parseFunctionPrincipal(principal)
  if (running !== undefined) throw FUNCTIONS.FUNCTION_DENIED({ name: running.name, what, right: '' })
  if (!/^local:\d+$/.test(principal)) throw FUNCTIONS.DEPLOY_DENIED({ principal, what, reason: "only the administrator of a node's machine may; leave --as out" })
}

/** By who has which right; a running function has none of these. */
export const admitBy = (may: (principal: string, right: string) => { readonly allowed: boolean; readonly reason: string }): Admit => ({ principal }, right, what) => {
  const running = parseFunctionPrincipal(principal)
  if (running !== undefined) throw FUNCTIONS.FUNCTION_DENIED({ name: running.name, what, right: '' })
  const { allowed, reason } = may(principal, right)
  if (!allowed) throw FUNCTIONS.DEPLOY_DENIED({ principal, what, reason })
}

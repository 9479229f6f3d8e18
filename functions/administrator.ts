// Who may change what is deployed, what waits, and the secrets: the administrator of a node's machine, un-narrowed; "local:0/x"
// may look. A running function may neither. Loads no I/O.

import { FUNCTIONS } from './errors.ts'
import { parseFunctionPrincipal } from './principal.ts'

/** `what`: "deploy functions". Throws FUNCTION_DENIED, DEPLOY_DENIED. */
export function admitAdministrator({ principal }: { readonly principal: string }, what: string): void {
  const running = parseFunctionPrincipal(principal)
  if (running !== undefined) throw FUNCTIONS.FUNCTION_DENIED({ name: running.name, what, right: '' })
  if (!/^local:\d+$/.test(principal)) throw FUNCTIONS.DEPLOY_DENIED({ principal, what })
}

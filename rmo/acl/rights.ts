// Rights that are not of an object but of the node's services: deploying, secrets, tickets, ... Judged on the global object,
// in its rules and by roles, by may() of policy.ts. Each belongs to a category of ACL_VERBS, so that "*:read" and "*:administer" mean
// them too. Which RPC method needs which: kali/method-rights.ts. Data only.

import type { AclVerb } from '../gate.ts'

const table = (rights: Readonly<Record<string, AclVerb>>): ReadonlyMap<string, AclVerb> => new Map(Object.entries(rights))

/** By the kind's name as it stands in rights: "function:deploy". */
export const SERVICE_RIGHTS: ReadonlyMap<string, ReadonlyMap<string, AclVerb>> = new Map(Object.entries({
  function: table({ list: 'read', run: 'execute', invoke: 'execute', emit: 'execute', deploy: 'create', change: 'update', remove: 'delete', calls: 'inspect', redrive: 'operate', discard: 'delete', logs: 'inspect', metrics: 'read' }),
  secret: table({ list: 'read', use: 'inspect', set: 'administer', remove: 'administer' }),
  node: table({ watch: 'watch', admit: 'administer', revoke: 'administer', down: 'administer' }),
  store: table({ status: 'read' }),
  audit: table({ read: 'administer' }),
  account: table({ read: 'inspect', prices: 'administer' }),
}))

/** "function:deploy" -> its category; undefined: there is no such right. */
export function serviceRight(right: string): { readonly kind: string; readonly verb: string; readonly acl: AclVerb } | undefined {
  const [kind = '', verb = ''] = right.split(':')
  const acl = SERVICE_RIGHTS.get(kind)?.get(verb)
  return acl === undefined ? undefined : { kind, verb, acl }
}

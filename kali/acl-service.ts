// 'acl.why': why somebody may or may not, answered by the policy that judges calls, where the object lives.
//
//   kumoi acl why --acl.why--> [relay] --> [home of the object]: may the asker administer it, or asks he about himself? -> judge
//
// Nothing is logged of the question itself: nothing was tried.

import type { NodeId } from '../fabric/base.ts'
import type { CallContext, RpcPeer, RpcRegistry } from '../fabric/mod.ts'
import { ACL_VERBS, namesKind, parsePrincipal, RMO, serviceRight } from '../rmo/mod.ts'
import type { AccessPolicy, AclVerb, Ancestors, Explained, KindRegistry, Ledger, NodeCapabilities, ObjectKey, Policy, TrustView } from '../rmo/mod.ts'
import { ACL_METHODS } from './acl-wire.ts'
import type { AclAnswer, AclLevel, AclQuestion } from './acl-wire.ts'

export interface AclServiceOptions {
  readonly registry: Pick<RpcRegistry, 'method'>
  readonly capabilities: Pick<NodeCapabilities, 'self' | 'kinds' | 'directory' | 'find' | 'objectHere' | 'pass'>
  /** The whole judgement, functions' own rights included. */
  readonly policy: Policy
  readonly may: AccessPolicy['may']
  readonly ancestors: Ancestors
  readonly ledger: Pick<Ledger, 'rules'>
  readonly trust: Pick<TrustView, 'user'>
  readonly global: ObjectKey
  peer(node: NodeId): RpcPeer | Promise<RpcPeer>
}

const FIELDS = ['principal', 'verb', 'kind', 'uuid', 'home'] as const
const CHARS_MAX = 1_024

function readQuestion(body: unknown): AclQuestion {
  const fields = typeof body === 'object' && body !== null ? body as Readonly<Record<string, unknown>> : {}
  for (const name of FIELDS) {
    const value = fields[name]
    if (typeof value !== 'string' || value === '' || value.length > CHARS_MAX) throw RMO.ARGUMENT_INVALID({ call: ACL_METHODS.why, path: name, expected: `a text of 1 to ${CHARS_MAX} characters`, got: typeof value })
  }
  return fields as unknown as AclQuestion
}

/** "vm:start" of a VM is "start". Throws RMO_ERR_ARGUMENT_INVALID for a right of another kind. */
function verbOf(asked: string, kind: KindRegistry['kinds'][number]): string {
  const at = asked.indexOf(':')
  if (at < 0) return asked
  const of = asked.slice(0, at)
  if (of !== '*' && !namesKind(of.toLowerCase(), kind)) throw RMO.ARGUMENT_INVALID({ call: 'acl why', path: 'verb', expected: `a verb of ${kind.plural}, such as "${kind.plural.replace(/s$/, '')}:read"`, got: `"${asked}"` })
  return asked.slice(at + 1)
}

export function serveAcl({ registry, capabilities, policy, may, ancestors, ledger, trust, global, peer }: AclServiceOptions): void {
  const nameOf = ({ kind, uuid }: ObjectKey): string => {
    const object = capabilities.objectHere({ kind, uuid, home: capabilities.self })
    return object === undefined ? uuid.slice(0, 8) : String(capabilities.kinds.kindOf(kind).observe(object.local).name)
  }
  const level = async (on: ObjectKey, context: CallContext): Promise<AclLevel> => {
    const full = nameOf(on)
    const read = await policy({ principal: context.principal, trace: context.trace, node: capabilities.self, kind: on.kind, uuid: on.uuid, name: full, verb: 'info', acl: 'read' })
    const name = read.allowed ? full : on.uuid.slice(0, 8)
    // Asked without the log: what is not for him is left out, and nothing was tried.
    const answer = await policy({ principal: context.principal, trace: context.trace, node: capabilities.self, kind: on.kind, uuid: on.uuid, name, verb: 'acls', acl: 'administer' })
    return { kind: on.kind, uuid: on.uuid, name, ...(answer.allowed ? { rules: ledger.rules(on) } : {}) }
  }
  const judge = async ({ principal, verb: asked, kind: kindName, uuid }: AclQuestion, { trace }: CallContext): Promise<Explained & { readonly needs: string }> => {
    const service = serviceRight(asked)
    if (service !== undefined) {
      if (kindName !== global.kind) throw RMO.ARGUMENT_INVALID({ call: 'acl why', path: 'path', expected: `"global" for the right ${asked}`, got: kindName })
      return { ...may(principal, asked), needs: `${asked}, which is "${service.acl}"` }
    }
    const kind = capabilities.kinds.kindOf(kindName)
    const verb = verbOf(asked, kind)
    const category = Object.hasOwn(ACL_VERBS, verb) ? verb as AclVerb : undefined
    const acl: AclVerb | undefined = kind.operations.get(verb)?.acl ?? (Object.hasOwn(kind.streams, verb) ? kind.streams[verb]?.acl : undefined) ?? category
    if (acl === undefined) throw RMO.VERB_UNKNOWN({ kind: kindName, verb, verbs: [...kind.operations.keys(), ...Object.keys(kind.streams), ...Object.keys(ACL_VERBS)] })
    const name = nameOf({ kind: kindName, uuid })
    const singular = kind.plural.replace(/s$/, '')
    return { ...await policy({ principal, trace, node: capabilities.self, kind: kindName, uuid, name, verb, acl }), needs: verb === acl ? `${singular}:${acl}` : `${singular}:${verb}, which is "${acl}"` }
  }

  registry.method(ACL_METHODS.why, async (body, context): Promise<AclAnswer> => {
    const question = readQuestion(body)
    const target = { kind: question.kind, uuid: question.uuid, home: question.home }
    const kind = capabilities.kinds.kindOf(question.kind)
    if (context.caller.via === 'socket' && capabilities.objectHere(target) === undefined) {
      const home = capabilities.directory.locate(kind, target)
      const { principal, trace, hop, signal } = context
      if (home !== capabilities.self) return await (await peer(home)).call(ACL_METHODS.why, { ...question, home }, { parent: { principal, trace, hop, signal, remainingMs: () => context.remainingMs() } }) as AclAnswer
    }
    const found = capabilities.find(target)
    if (context.principal !== question.principal) await capabilities.pass(found, 'acls', 'administer', context)
    const root = parsePrincipal(question.principal)?.root
    const { rule, ...answer } = await judge(question, context)
    return {
      ...answer, ...(rule === undefined ? {} : { rule }),
      chain: await Promise.all(ancestors(question).map((on) => level(on, context))),
      known: root !== undefined && (root.type !== 'user' || trust.user(root.name) !== undefined),
    }
  })
}

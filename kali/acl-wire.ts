// 'acl.why' as it travels: who, which right, of which object -> the judgement, and the rules that stand over the object.
// Loads no I/O: shells use it too.

import type { CallOptions, RpcPeer } from '../fabric/mod.ts'
import type { AclRule, ObjectKey } from '../rmo/mod.ts'

export const ACL_METHODS = { why: 'acl.why' } as const

export interface AclTarget { readonly kind: string; readonly uuid: string; readonly home: string }
/** `verb`: a verb of the object's kind ("start"), a category ("operate"), or with the Global a right of the node itself ("function:deploy"). */
export interface AclQuestion extends AclTarget { readonly principal: string; readonly verb: string }

/** Rules of one object of the chain; `rules` is absent where the asker may not see them. */
export interface AclLevel extends ObjectKey { readonly name: string; readonly rules?: readonly AclRule[] }
export interface AclAnswer {
  readonly allowed: boolean
  readonly reason: string
  /** "vm:start", which is "operate". */
  readonly needs: string
  /** The rule that decided, when one did. */
  readonly rule?: AclRule & { readonly on: ObjectKey }
  /** The object first, the Global last. */
  readonly chain: readonly AclLevel[]
  /** Of the principal, when it is a user of this fabric. */
  readonly known: boolean
}

export interface AclApi {
  /** Why somebody may or may not; needs "administer" on the object, except about oneself. */
  why(question: AclQuestion): Promise<AclAnswer>
}

export function createAclApi({ peer, callOptions }: { readonly peer: Pick<RpcPeer, 'call'>; readonly callOptions: () => CallOptions }): AclApi {
  return { why: async ({ principal, verb, kind, uuid, home }) => await peer.call(ACL_METHODS.why, { principal, verb, kind, uuid, home }, callOptions()) as AclAnswer }
}

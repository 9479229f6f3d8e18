// Methods that cut a node off and let it in again, and what travels in them; loaded by shells too.

import type { NodeId } from '../../fabric/base.ts'
import type { RevokedNodeRecord } from './contract.ts'

export const NODE_METHODS = { revoke: 'node.revoke', admit: 'node.admit', revoked: 'node.revoked' } as const

/** `node`: name of a member, its id, or a beginning of that which no other has; or the key of a node that is none. */
export interface RevokeNodeBody { readonly node: string; readonly reason: string }
/** `lifetimeMs`: of the ticket, should one be needed. */
export interface AdmitNodeBody { readonly node: string; readonly lifetimeMs?: number }

/** 'readmitted': its revocation is taken back. 'member': it is one, and needs nothing. 'ticket': for that key only. */
export type AdmitNodeAnswer =
  | { readonly as: 'readmitted'; readonly node: NodeId; readonly name: string }
  | { readonly as: 'member'; readonly node: NodeId; readonly name: string }
  | { readonly as: 'ticket'; readonly node: NodeId; readonly ticket: string; readonly lifetimeMs: number }

export type RevokedNodeRow = RevokedNodeRecord

// The gate: whoever asks, from a shell, a sandbox or another node, every verb passes here before it runs.
//
// A policy answers for one request: acl/policy.ts by rules, roles and administrators; function-policy.ts before it for deployed
// functions. Privileged verbs are logged whether they were allowed or not. The gate stands on the object's home: a node never relies on another's check.

import type { Clock, NodeId } from '../fabric/base.ts'
import { RMO } from './errors.ts'

export interface AclVerbEntry { readonly doc: string; readonly privileged: boolean }

/** What an access rule can grant. Each verb of each kind needs exactly one of these. */
export const ACL_VERBS = {
  read: { doc: 'see attributes, info, stats, dump and collections', privileged: false },
  watch: { doc: 'receive events', privileged: false },
  update: { doc: 'change settings', privileged: true },
  create: { doc: 'make new objects in it', privileged: true },
  delete: { doc: 'remove it', privileged: true },
  operate: { doc: 'start, stop, suspend, migrate', privileged: true },
  execute: { doc: 'run programs on it', privileged: true },
  inspect: { doc: 'read files and consoles of it', privileged: true },
  administer: { doc: 'change who may do what', privileged: true },
} as const satisfies Readonly<Record<string, AclVerbEntry>>
export type AclVerb = keyof typeof ACL_VERBS

export interface GateRequest {
  readonly principal: string
  readonly trace: string
  readonly node: NodeId
  readonly kind: string
  readonly uuid: string
  readonly name: string
  readonly verb: string
  readonly acl: AclVerb
  /** Name of the deployed function that asks in the principal's name (function-policy.ts sets it). */
  readonly via?: string
}
export type Decision = { readonly allowed: true; readonly reason: string } | { readonly allowed: false; readonly reason: string }

/** Decides one request. Must be quick; it stands in the path of each call. */
export type Policy = (request: GateRequest) => Decision | Promise<Decision>

/** One line about a privileged verb: when (wall clock), what was asked, and what was decided. */
export interface GateRecord extends GateRequest { readonly atMs: number; readonly allowed: boolean; readonly reason: string }
export type GateLog = (record: GateRecord) => void

export interface Gate {
  /** Resolves when the verb may run; rejects with RMO_ERR_DENIED. */
  pass(request: GateRequest): Promise<void>
  /** The same question without the log and without an error: for what a listing shows, and whether a watch may go on. */
  judge(request: GateRequest): Decision | Promise<Decision>
}

export interface GateOptions { readonly policy: Policy; readonly log: GateLog; readonly clock: Clock }

/** What an object is called by who may not know its name. */
export const shortId = (uuid: string): string => uuid.slice(0, 8)

export function createGate({ policy, log, clock }: GateOptions): Gate {
  /** A refusal tells no more than a listing. Machines are members, whose names everybody has who may say who he is. */
  const mayName = async (request: GateRequest): Promise<boolean> =>
    request.kind === 'PhysicalMachine' || request.kind === 'Global' || (request.acl !== 'read' && (await policy({ ...request, verb: 'info', acl: 'read' })).allowed)
  return {
    judge: policy,
    async pass(request) {
      const answer = policy(request)
      const decision = answer instanceof Promise ? await answer : answer
      if (ACL_VERBS[request.acl].privileged) log({ ...request, atMs: clock.wallMs(), allowed: decision.allowed, reason: decision.reason })
      if (!decision.allowed) {
        const { principal, kind, uuid, name, verb, acl } = request
        throw RMO.DENIED({ principal, kind, name: await mayName(request) ? name : shortId(uuid), verb, acl, reason: decision.reason })
      }
    },
  }
}

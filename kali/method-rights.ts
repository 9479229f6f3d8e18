// What each RPC method of a node asks of who calls it through a local door: one row a method, and the door that asks. A method without
// a row is the machine administrator's alone; test/kali/method-rights.test.ts goes through a node's whole registry.
//
//   shell, user --socket--> [door: this table -> may()] -> handler -> [gate, for what is of an object]
//
// Members are not asked here (they are certified, and believed on principals: the entry node asked), but for what is theirs alone
// the handlers refuse everybody else themselves. Narrowings hold: the call's own principal is judged, not the connection's.

import type { OpenDoorsOptions } from '../fabric/mod.ts'
import type { Explained } from '../rmo/mod.ts'
import { KALI } from './errors.ts'

/** 'open': whoever reaches the socket. 'anyone': who has said who he is. 'asks': its handler asks the gate, by the object. 'machine': the machine's administrator, and members. 'members': members only. Else a right (rmo/acl/rights.ts). */
export type MethodRow = 'open' | 'anyone' | 'asks' | 'machine' | 'members' | `${string}:${string}`

const rows = (row: MethodRow, prefix: string, ...names: readonly string[]): readonly (readonly [string, MethodRow])[] => names.map((name) => [`${prefix}.${name}`, row])

export const METHOD_RIGHTS: ReadonlyMap<string, MethodRow> = new Map([
  ...rows('open', 'trust', 'login', 'challenge', 'present', 'whoami'),
  ...rows('anyone', 'trust', 'renew'),
  ...rows('asks', 'trust', 'show', 'rotate', 'user.list', 'user.revoke', 'user.restore', 'role.list', 'role.set', 'role.rm', 'ldap.set', 'ldap.rm', 'ldap.test'),
  ...rows('anyone', 'node', 'info', 'members', 'revoked'),
  ...rows('node:watch', 'node', 'watch'),
  ...rows('node:admit', 'node', 'ticket', 'admit'),
  ...rows('node:revoke', 'node', 'revoke'),
  ...rows('node:down', 'node', 'down'),
  ...rows('store:status', 'node.store', 'status'),
  ...rows('machine', 'node.store', 'copy'),
  ...rows('asks', 'rmo', 'invoke', 'list', 'watch', 'stream'),
  ...rows('asks', 'acl', 'why'),
  ...rows('asks', 'account', 'list', 'rows', 'setPrices'),
  ...rows('anyone', 'account', 'prices'),
  ...rows('function:run', 'functions', 'run'),
  ...rows('function:list', 'functions', 'list', 'get'),
  ...rows('function:deploy', 'functions', 'deploy'),
  ...rows('function:change', 'functions', 'rollback', 'alias', 'pause', 'resume'),
  ...rows('function:remove', 'functions', 'remove'),
  ...rows('function:invoke', 'functions', 'invoke', 'enqueue'),
  ...rows('function:emit', 'functions', 'emit'),
  ...rows('function:calls', 'functions', 'waiting', 'dead'),
  ...rows('function:redrive', 'functions', 'redrive'),
  ...rows('function:discard', 'functions', 'discard'),
  ...rows('function:logs', 'functions', 'logs'),
  ...rows('function:metrics', 'functions', 'stats', 'metrics'),
  ...rows('secret:list', 'functions.secret', 'list'),
  ...rows('secret:set', 'functions.secret', 'set'),
  ...rows('secret:remove', 'functions.secret', 'remove'),
  ...rows('members', 'functions', 'call', 'execute', 'keep', 'ready', 'logs.node', 'metrics.node', 'stats.node'),
  ...rows('machine', 'blob', 'get'),
  ...rows('members', 'store', 'get', 'range', 'transact', 'grant', 'keepAlive', 'revoke', 'lifetime', 'revision', 'count', 'watch', 'where', 'host'),
  ...rows('members', 'rmo', 'migration'),
  ...rows('members', 'kali', 'cut-off'),
  ...rows('asks', 'audit', 'list', 'verify', 'export'),
  ...rows('members', 'audit', 'witness', 'witnessed', 'settle', 'chain', 'entries'),
])

/** Whether a user's connection may call it at all; what he may then is asked. */
export function isForUsers(method: string): boolean {
  const row = METHOD_RIGHTS.get(method)
  return row !== undefined && row !== 'machine' && row !== 'members'
}

const ADMINISTRATOR = /^local:\d+$/
const NARROWED_ADMINISTRATOR = /^local:\d+\//

type Refusal = Error & { readonly code: string }

/** Judges a call through a local door; undefined: it may go on. */
export function createMethodDoor(may: (principal: string, right: string) => Explained): (method: string, principal: string) => Refusal | undefined {
  return (method, principal) => {
    const row = METHOD_RIGHTS.get(method)
    // The handlers of 'members' refuse a socket themselves, with better words; who is no administrator does not come so far.
    if (row === 'open' || row === 'asks' || row === 'anyone') return undefined
    if (row === undefined || row === 'members' || row === 'machine') return ADMINISTRATOR.test(principal) || (row !== 'machine' && NARROWED_ADMINISTRATOR.test(principal)) ? undefined : KALI.METHOD_DENIED({ method, principal, right: '', reason: 'it is for the administrator of the machine' })
    const { allowed, reason } = may(principal, row)
    return allowed ? undefined : KALI.METHOD_DENIED({ method, principal, right: row, reason })
  }
}

/** The local doors of a node with each method's right asked: before the session counts a call, where the method is for users at all. */
export function guardDoors({ admit, ...doors }: OpenDoorsOptions, door: ReturnType<typeof createMethodDoor>): OpenDoorsOptions {
  return {
    ...doors,
    administers: (method, principal) => door(method, principal) === undefined,
    ...(admit === undefined ? {} : {
      admit(connection) {
        const visitor = admit(connection)
        return {
          principal: () => visitor.principal(),
          refuse: (method, principal) => (isForUsers(method) && visitor.principal() !== NOBODY ? door(method, principal) ?? visitor.refuse(method, principal) : visitor.refuse(method, principal) ?? door(method, principal)),
        }
      },
    }),
  }
}
const NOBODY = 'nobody'

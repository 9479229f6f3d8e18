// Audit on the wire: names of the methods, what is asked, and how what comes back is read. Everything read is checked.
//
//   audit.witness    member -> member      {checkpoint, from, digests} -> WitnessAnswer
//   audit.witnessed  what this node has of another's log               audit.settle  checkpoints of this node are with witnesses
//   audit.chain      the whole log as stored                           audit.entries  records of this node by a filter, then as they come
//   audit.list       entries of all members    audit.verify  reports   audit.export  lines of a file       (asked of any node)

import { LIMITS } from '../../fabric/base.ts'
import { RMO } from '../errors.ts'
import { entryOf } from './chain.ts'
import { readCheckpoint } from './checkpoint.ts'
import type { AuditEntry } from './contract.ts'
import type { WitnessAnswer, Witnessed } from './witness.ts'

export const AUDIT_METHODS = {
  witness: 'audit.witness', witnessed: 'audit.witnessed', settle: 'audit.settle', chain: 'audit.chain', entries: 'audit.entries',
  list: 'audit.list', verify: 'audit.verify', export: 'audit.export',
} as const

/** Which records. All that is given must be so. */
export interface AuditQuery {
  /** "vm:web1", "VM/UUID", "function/NAME": kind and name or uuid. */
  readonly object?: string
  /** "alice" or "user:alice": also narrowed, and functions that he deployed. */
  readonly user?: string
  /** Wall clock. */
  readonly sinceMs?: number
  /** The newest so many of each node; at most LIMITS.auditAnswerMax. */
  readonly limit: number
  /** Stays, and tells what comes. */
  readonly follow: boolean
}

const bad = (path: string, expected: string, value: unknown): never => { throw RMO.ARGUMENT_INVALID({ call: 'audit', path, expected, got: value === null ? 'nothing' : typeof value }) }
export const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> => (typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array) ? value as Record<string, unknown> : {})
const textOf = (value: unknown, path: string): string => (typeof value === 'string' && value !== '' && value.length <= LIMITS.auditTextCharsMax ? value : bad(path, `a text of at most ${LIMITS.auditTextCharsMax} characters`, value))

export function readQuery(body: unknown): AuditQuery {
  const { object, user, sinceMs, limit, follow } = fieldsOf(body)
  const number = (value: unknown, path: string, max: number): number => (typeof value === 'number' && value >= 0 && value <= max ? value : bad(path, `a number of at most ${max}`, value))
  return {
    ...(object === undefined ? {} : { object: textOf(object, 'object') }), ...(user === undefined ? {} : { user: textOf(user, 'user') }),
    ...(sinceMs === undefined ? {} : { sinceMs: number(sinceMs, 'sinceMs', Number.MAX_SAFE_INTEGER) }),
    limit: number(limit, 'limit', LIMITS.auditAnswerMax), follow: follow === true,
  }
}
/** Name or id of a node; undefined: all. */
export const readNode = (body: unknown): string | undefined => { const { node } = fieldsOf(body); return node === undefined || node === null ? undefined : textOf(node, 'node') }

/** Whether an entry is what was asked for. Pure. */
export function matcher({ object, user, sinceMs = 0 }: AuditQuery): (entry: AuditEntry) => boolean {
  const [kind = '', which = ''] = object === undefined ? [] : [object.slice(0, object.search(/[:/]/)).toLowerCase(), object.slice(object.search(/[:/]/) + 1)]
  const who = user === undefined || user.includes(':') ? user : `user:${user}`
  const isObject = ({ object: of, name }: AuditEntry): boolean => of.toLowerCase().startsWith(`${kind}/`) && (name === which || of.slice(kind.length + 1) === which)
  // "fn:keep@0123#7/user:alice/tenant": whoever is somewhere in it.
  const isUser = ({ principal }: AuditEntry): boolean => who !== undefined && `/${principal}/`.includes(`/${who}/`)
  return (entry) => entry.atMs >= sinceMs && (object === undefined || isObject(entry)) && (user === undefined || isUser(entry))
}

export function readWitnessed(value: unknown): Witnessed {
  const { checkpoints, contradictions } = fieldsOf(value)
  const list = (given: unknown): readonly unknown[] => (Array.isArray(given) ? given.slice(0, LIMITS.auditCheckpointsKept) : bad('checkpoints', 'a list', given))
  const one = (given: unknown) => readCheckpoint(given) ?? bad('checkpoint', 'a checkpoint', given)
  return { checkpoints: list(checkpoints).map(one), contradictions: list(contradictions).map((pair) => ({ held: one(fieldsOf(pair)['held']), shown: one(fieldsOf(pair)['shown']) })) }
}

export function readWitnessAnswer(value: unknown): WitnessAnswer | undefined {
  const { answer, from, ordinal, size } = fieldsOf(value)
  if (answer === 'kept' || answer === 'known') return { answer }
  if ((answer === 'more' || answer === 'prove') && typeof from === 'number') return { answer, from }
  if (answer === 'contradiction' && typeof ordinal === 'number' && typeof size === 'number') return { answer, ordinal, size }
  return undefined
}

/** A batch of records as stored. */
export const readRows = (message: unknown): readonly string[] => (Array.isArray(message) ? message.map((row: unknown) => (typeof row === 'string' ? row : bad('a record', 'a text', row))) : bad('records', 'a list', message))
export const readEntries = (message: unknown): readonly AuditEntry[] => readRows(message).map(entryOf)

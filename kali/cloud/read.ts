// Records of the cloud from bytes and to bytes: canonical JSON, and a checked shape in both directions, so that nothing is
// written that another node could not read.
//
// Invariants: what decodes has every field that records.ts promises, of its type and in its bounds; unknown fields are kept
// (a newer node's survive a change by an older one); records are frozen, because all of a node share them; `revision` is of
// the view, and never written.

import { LIMITS } from '../../fabric/base.ts'
import type { GlobalStoreEntry } from '../../fabric/mod.ts'
import type { AclRule, VmSettings } from '../../rmo/mod.ts'
import { KALI } from '../errors.ts'
import type { Stored } from './contract.ts'
import { nameProblem } from './keys.ts'
import type { AccessRecord, Amounts, DecisionRecord, ElasticSpec, GroupRecord, HaTimings, IntentRecord, LeaseRecord, MachineRecord, MemoryRecord, ModeRecord, OwnerRecord, PoolRecord, Protection, QuotaRecord, RuleRecord, SchedulerRef, StatusRecord } from './records.ts'

// ---------------------------------------------------------------- shapes

/** What is wrong with a value, as "path must be expected"; undefined: nothing. */
type Problem = { readonly what: string; readonly expected: string } | undefined
type Check = (value: unknown, what: string) => Problem

const check = (expected: string, holds: (value: unknown) => boolean): Check => (value, what) => (holds(value) ? undefined : { what, expected })
const number = (least: number, most = Number.MAX_SAFE_INTEGER): Check => check(`a number from ${least} to ${most}`, (value) => typeof value === 'number' && value >= least && value <= most)
const whole = (least: number, most = Number.MAX_SAFE_INTEGER): Check => check(`a whole number from ${least} to ${most}`, (value) => Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most)
const text = (most: number, least = 0): Check => check(`text of ${least} to ${most} characters`, (value) => typeof value === 'string' && value.length >= least && value.length <= most && value.isWellFormed())
const flag = check('true or false', (value) => typeof value === 'boolean')
const anything: Check = () => undefined
const oneOf = (...values: readonly string[]): Check => check(values.join(', '), (value) => typeof value === 'string' && values.includes(value))
const name: Check = (value, what) => {
  const expected = typeof value === 'string' ? nameProblem(value) : 'text'
  return expected === undefined ? undefined : { what, expected }
}
const listOf = (item: Check, most: number): Check => (value, what) => {
  if (!Array.isArray(value) || value.length > most) return { what, expected: `a list of at most ${most}` }
  for (const [at, one] of value.entries()) {
    const problem = item(one, `${what}[${at}]`)
    if (problem !== undefined) return problem
  }
  return undefined
}
const tableOf = (item: Check): Check => (value, what) => {
  if (!isPlain(value)) return { what, expected: 'an object' }
  for (const [key, one] of Object.entries(value)) {
    const problem = item(one, `${what}.${key}`)
    if (problem !== undefined) return problem
  }
  return undefined
}
const optional = (inner: Check): Check => (value, what) => (value === undefined ? undefined : inner(value, what))
/** Every field of T by name: a field added to records.ts is added here, or the type check says so. */
function fields<T>(shape: { readonly [K in keyof Required<T>]: Check }): Check {
  const checks = Object.entries(shape) as [string, Check][]
  return (value, what) => {
    if (!isPlain(value)) return { what, expected: 'an object' }
    for (const [key, inner] of checks) {
      const problem = inner(value[key], what === '' ? key : `${what}.${key}`)
      if (problem !== undefined) return problem
    }
    return undefined
  }
}
const isPlain = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

// ---------------------------------------------------------------- records

const KEY_CHARS_MAX = 128
const LIST_MAX = 4_096
const id = text(KEY_CHARS_MAX, 1)
const note = text(LIMITS.cloudTextCharsMax)
const account = text(LIMITS.cloudAccountCharsMax, 1)
const ms = number(0)
const amounts = fields<Amounts>({ vms: number(0), vcpus: number(0), memoryMiB: number(0) })
const scope = check('pool/UUID, account/PRINCIPAL, user/NAME or group/NAME', (value) => typeof value === 'string' && /^(pool|account|user|group)\/./.test(value) && value.length <= LIMITS.cloudAccountCharsMax + 'account/'.length)

const schedulerShapes: Readonly<Record<SchedulerRef['type'], Check>> = {
  builtin: fields<Extract<SchedulerRef, { type: 'builtin' }>>({ type: anything, name: id, options: optional(tableOf(check('a number, a text, true or false', (value) => ['number', 'string', 'boolean'].includes(typeof value)))) }),
  function: fields<Extract<SchedulerRef, { type: 'function' }>>({ type: anything, name: text(LIMITS.cloudTextCharsMax, 1) }),
  closure: fields<Extract<SchedulerRef, { type: 'closure' }>>({ type: anything, name: note, text: text(LIMITS.cloudRecordBytesMax, 1), codeHash: id, environment: text(LIMITS.cloudRecordBytesMax), environmentHash: id }),
}
const scheduler: Check = (value, what) => {
  const shape = isPlain(value) && typeof value.type === 'string' && Object.hasOwn(schedulerShapes, value.type) ? schedulerShapes[value.type as SchedulerRef['type']] : undefined
  return shape === undefined ? { what, expected: 'a builtin, function or closure' } : shape(value, what)
}

/** What the cloud itself counts and shows; the rest is judged by the host that makes the VM. */
const settings = fields<Pick<VmSettings, 'name' | 'memoryMiB' | 'vcpus' | 'devices' | 'labels' | 'image'>>({
  name: text(LIMITS.cloudTextCharsMax, 1), memoryMiB: number(0), vcpus: number(0), devices: listOf(check('an object', isPlain), LIST_MAX),
  labels: optional(tableOf(text(LIMITS.cloudTextCharsMax))), image: optional(text(LIMITS.cloudTextCharsMax)),
})
const protection = fields<Protection & { readonly armed: boolean }>({ restarts: whole(0), relocations: whole(0), windowMs: ms, onGuestShutdown: oneOf('leave', 'restart'), priority: number(Number.MIN_SAFE_INTEGER), armed: flag })
const timings = fields<HaTimings>({ preset: oneOf('fast', 'calm', 'custom'), renewMs: ms, giveUpMs: ms, killMs: ms, watchdogMs: ms, slackMs: ms, leaseMs: ms })
const elasticSpec = fields<ElasticSpec>({
  out: number(0), in: number(0), min: whole(0), max: whole(0), metric: (value, what) => (isPlain(value) && (value.type === 'cpu' || (value.type === 'function' && typeof value.name === 'string')) ? undefined : { what, expected: 'cpu, or a function by name' }),
  hold: whole(1), periodMs: ms, warmUpMs: ms, cooldownOutMs: ms, cooldownInMs: ms, stepOut: whole(1), stepIn: whole(1), margin: number(0), flightMs: ms, drainMs: ms, readyText: optional(note),
  schedule: optional(listOf(check('an object', isPlain), LIST_MAX)),
})

/** A kind of record: its shape, its most bytes. */
export interface RecordKind<T> { readonly what: string; readonly shape: Check; readonly bytesMax: number; readonly like?: T }
const kind = <T>(what: string, shape: { readonly [K in keyof Required<T>]: Check }, bytesMax: number = LIMITS.cloudRecordBytesMax): RecordKind<T> => ({ what, shape: fields<T>(shape), bytesMax })

export const RECORDS = {
  pool: kind<PoolRecord>('pool', {
    uuid: id, name, description: note, overcommit: fields<PoolRecord['overcommit']>({ cpuRatio: number(0), memoryRatio: number(0) }), reserve: fields<PoolRecord['reserve']>({ vcpus: number(0), memoryMiB: number(0) }),
    survivesHosts: whole(0), scheduler, migrations: fields<PoolRecord['migrations']>({ perHost: whole(0), perPool: whole(0) }), policies: listOf(text(LIMITS.cloudTextCharsMax, 1), LIST_MAX), createdBy: note, createdAtMs: ms,
  }),
  machine: kind<MachineRecord>('machine', { uuid: id, name: text(LIMITS.cloudTextCharsMax, 1), node: id, pool: id, mode: oneOf('in-service', 'draining', 'maintenance'), cores: number(0), memoryMiB: number(0), booked: amounts, asleep: optional(flag) }),
  intent: kind<IntentRecord>('intent', {
    uuid: id, name, pool: id, account, desired: oneOf('running', 'stopped', 'absent'), machine: optional(fields<NonNullable<IntentRecord['machine']>>({ uuid: id, name: text(LIMITS.cloudTextCharsMax, 1), node: id })), epoch: whole(0),
    origin: oneOf('present', 'create', 'restore', 'migrate'), settings, booked: flag, owner: optional(fields<OwnerRecord>({ user: text(LIMITS.userNameCharsMax, 1), groups: listOf(text(LIMITS.groupNameCharsMax, 1), LIMITS.quotaGroupsMax) })), protection: optional(protection), group: optional(id),
    tries: fields<IntentRecord['tries']>({ restarts: whole(0), relocations: whole(0), sinceMs: ms }), error: optional(note), decision: note, decidedBy: note, decidedAtMs: ms, reason: note,
  }),
  status: kind<StatusRecord>('status', { uuid: id, machine: id, epoch: whole(0), phase: oneOf('creating', 'starting', 'running', 'ready', 'stopping', 'stopped', 'crashed', 'shut-down', 'migrating', 'failed'), sinceMs: ms, attempts: whole(0), error: optional(note) }),
  group: kind<GroupRecord>('group', { uuid: id, name, pool: id, spec: elasticSpec, template: settings, original: optional(id), paused: flag, account, createdAtMs: ms }),
  rule: kind<RuleRecord>('rule', { name, pool: id, type: oneOf('together', 'apart', 'on', 'not-on'), hard: flag, vms: listOf(note, LIST_MAX), machines: optional(listOf(note, LIST_MAX)) }),
  lease: kind<LeaseRecord>('lease', { node: id, name: text(LIMITS.cloudTextCharsMax), boot: id, timings }),
  quota: kind<QuotaRecord>('quota', { scope, limit: fields<Partial<Amounts>>({ vms: optional(number(0)), vcpus: optional(number(0)), memoryMiB: optional(number(0)) }) }),
  // Verbs as text: a rule about one that this node does not know yet must not take the others away.
  access: kind<AccessRecord>('list of access rules', { rules: listOf(fields<AclRule>({ effect: oneOf('allow', 'deny'), principal: text(LIMITS.cloudAccountCharsMax, 1), verbs: listOf(text(KEY_CHARS_MAX, 1), LIST_MAX) }), LIMITS.aclRulesMax) }),
  mode: kind<ModeRecord>('mode', { mode: oneOf('armed', 'freeze'), by: note, atMs: ms, reason: note }),
  memory: kind<MemoryRecord>('memory of a policy', { round: whole(1), atMs: ms, memory: anything }, LIMITS.cloudMemoryBytesMax),
  decision: kind<DecisionRecord>('decision', { id: note, pool: id, policy: note, atMs: ms, about: listOf(note, LIST_MAX), action: text(KEY_CHARS_MAX, 1), reason: text(LIMITS.cloudRecordBytesMax), outcome: oneOf('done', 'refused', 'nothing'), choice: optional(check('an object', isPlain)), details: optional(check('an object', isPlain)) }),
  amounts: kind<Amounts>('counter', { vms: number(0), vcpus: number(0), memoryMiB: number(0) }),
} as const

// ---------------------------------------------------------------- bytes

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

/** The record of an entry, frozen, without its revision. Throws KALI_ERR_RECORD_INVALID. */
export function decodeRecord<T>(kind: RecordKind<T>, value: Uint8Array): T {
  let read: unknown
  try { read = JSON.parse(decoder.decode(value)) } catch (cause) { throw KALI.RECORD_INVALID({ what: `a ${kind.what}`, expected: 'JSON in UTF-8', got: `${value.byteLength} other bytes` }, { cause }) }
  const problem = kind.shape(read, '')
  if (problem !== undefined) throw invalid(kind, problem, read)
  return frozen(read) as T
}

/** With the revision of its last change. Throws KALI_ERR_RECORD_INVALID. */
export const storedRecord = <T>(kind: RecordKind<T>, { value, modRevision }: Pick<GlobalStoreEntry, 'value' | 'modRevision'>): Stored<T> => Object.freeze({ ...decodeRecord(kind, value), revision: modRevision })

/** As written: keys in order, so that equal records are equal bytes. Throws KALI_ERR_RECORD_INVALID for what no node could read, or is too large. */
export function encodeRecord<T extends object>(kind: RecordKind<T>, record: T): Uint8Array {
  const problem = kind.shape(record, '')
  if (problem !== undefined) throw invalid(kind, problem, record)
  const bytes = encoder.encode(canonical({ ...record, revision: undefined }))
  if (bytes.byteLength > kind.bytesMax) throw KALI.RECORD_INVALID({ what: `a ${kind.what}`, expected: `at most ${kind.bytesMax} bytes`, got: `${bytes.byteLength}` })
  return bytes
}

const SHOWN_CHARS = 80
function invalid(kind: RecordKind<unknown>, { what, expected }: NonNullable<Problem>, record: unknown): Error {
  const got = what.split(/[.[]/).reduce<unknown>((at, step) => (typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[step.replace(']', '')] : at), record)
  return KALI.RECORD_INVALID({ what: `${what === '' ? 'it' : what} of a ${kind.what}`, expected, got: (JSON.stringify(got) ?? 'nothing').slice(0, SHOWN_CHARS) })
}

/** One text for equal data: keys in order of their code units; undefined fields are left out. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item === undefined ? null : item)).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const parts = Object.entries(value).filter(([, field]) => field !== undefined).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${parts.map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`).join(',')}}`
}

function frozen(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  for (const inner of Object.values(value)) frozen(inner)
  return Object.freeze(value)
}

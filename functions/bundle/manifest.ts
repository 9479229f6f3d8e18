// Definition -> manifest: what a version is, in full, with every default written out. Pure and deterministic: the same
// definition and script give the same manifest on every node. Checks that other layers know better (cron patterns, rights,
// kinds) are handed in.

import { LIMITS } from '../../fabric/base.ts'
import type { Hash } from '../../fabric/base.ts'
import type { FunctionLimits, FunctionManifest, TargetText, TriggerRecord } from '../deployed.ts'
import { DefinitionReader, descriptionForm } from './definition.ts'
import type { Fields } from './definition.ts'

/** The script that was described. */
export interface ManifestSource {
  readonly version: Hash
  readonly bytes: number
  readonly sourceMap: Hash
  readonly packages: FunctionManifest['packages']
  readonly files: FunctionManifest['files']
}

/** Each answers what would be right, in words ("one of ..."), or undefined when nothing is wrong. */
export interface ManifestChecks {
  readonly cron: (pattern: string, timezone: string) => string | undefined
  readonly right?: (right: string) => string | undefined
  readonly kind?: (kind: string) => string | undefined
}

const FIELDS = ['name', 'description', 'trigger', 'rights', 'singleton', 'target', 'limits', 'retry', 'secrets', 'run'] as const
const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/
const RIGHT = /^([a-z][a-z0-9-]*|\*):([a-z]+|\*)$/i
const TOPIC = /^[\w.:/-]{1,128}$/
const KIND = /^[A-Za-z][A-Za-z0-9]{0,63}$/
const EVENT = /^[\w.:-]{1,64}$/
const SECRET = /^[A-Za-z0-9_][\w.-]{0,127}$/
const TARGET = /^(any|all|home|node:[^\s]{1,128})$/
const WHERE_MAX = 32

/** Throws DEFINITION_INVALID with the path of what is wrong. */
export function manifestOf(description: unknown, source: ManifestSource, checks: ManifestChecks): FunctionManifest {
  const named = typeof description === 'object' && description !== null ? (description as Fields)['name'] : undefined
  const read = new DefinitionReader(typeof named === 'string' && NAME.test(named) ? named : '(no name)')
  const fields = read.fields(description, 'the definition', FIELDS)
  const name = read.text(fields['name'], 'name', 'a to z, 0 to 9 and dashes, at most 63, such as "hot-machines"', NAME)
  if (!read.isFunction(fields['run'])) read.refuse('run', 'a function', fields['run'])
  const triggers = triggersOf(read, fields['trigger'], checks)
  const singleton = read.flag(fields['singleton'], 'singleton')
  const target = read.text(fields['target'] ?? 'any', 'target', '"any", "all", "home" or "node:NAME"', TARGET) as TargetText
  if (singleton && target === 'all') read.refuse('target', '"any" or "node:NAME" for a singleton', target)
  return {
    name, description: read.text(fields['description'] ?? '', 'description', `a text of at most ${LIMITS.functionDescriptionChars} characters`, descriptionForm),
    version: source.version, bytes: source.bytes, sourceMap: source.sourceMap, triggers,
    rights: distinct(read.list(fields['rights'], 'rights', LIMITS.functionRightsMax).map((right, i) => rightOf(read, right, `rights[${i}]`, checks))),
    singleton, target, limits: limitsOf(read, fields['limits']), retry: retryOf(read, fields['retry']),
    secrets: distinct(read.list(fields['secrets'], 'secrets', LIMITS.functionSecretsMax).map((secret, i) => read.text(secret, `secrets[${i}]`, 'the name of a secret', SECRET))),
    packages: source.packages, files: source.files,
  }
}

const distinct = (texts: readonly string[]): readonly string[] => [...new Set(texts)]

function rightOf(read: DefinitionReader, right: unknown, path: string, checks: ManifestChecks): string {
  const text = read.text(right, path, 'a kind and a verb, such as "vm:read"', RIGHT)
  const expected = text.startsWith('function:') ? (text === 'function:invoke' ? undefined : '"function:invoke"') : checks.right?.(text)
  return expected === undefined ? text : read.refuse(path, expected, text)
}

function limitsOf(read: DefinitionReader, value: unknown): FunctionLimits {
  const fields = value === undefined ? {} : read.fields(value, 'limits', ['timeout', 'heapMiB', 'cpuTime', 'concurrency', 'queue'])
  const timeoutMs = read.duration(fields['timeout'], 'limits.timeout', LIMITS.functionTimeoutMs, 1, LIMITS.functionTimeoutMsMax)
  return {
    timeoutMs,
    heapLimitMiB: read.count(fields['heapMiB'], 'limits.heapMiB', LIMITS.heapLimitMiB, LIMITS.functionHeapMiBMin, LIMITS.functionHeapMiBMax),
    cpuTimeMs: read.duration(fields['cpuTime'], 'limits.cpuTime', Math.min(timeoutMs, LIMITS.cpuTimeMsMax), 1, LIMITS.cpuTimeMsMax),
    concurrency: read.count(fields['concurrency'], 'limits.concurrency', LIMITS.functionConcurrency, 1, LIMITS.functionConcurrencyMax),
    queue: read.count(fields['queue'], 'limits.queue', LIMITS.functionQueue, 0, LIMITS.functionQueueMax),
  }
}

function retryOf(read: DefinitionReader, value: unknown): FunctionManifest['retry'] {
  const fields = value === undefined ? {} : read.fields(value, 'retry', ['attempts', 'backoff'])
  return {
    attempts: read.count(fields['attempts'], 'retry.attempts', LIMITS.asyncAttempts, 1, LIMITS.functionAttemptsMax),
    backoffMs: read.duration(fields['backoff'], 'retry.backoff', LIMITS.asyncBackoffMs, 1, LIMITS.functionBackoffMsMax),
  }
}

// ---------------------------------------------------------------- triggers

function triggersOf(read: DefinitionReader, value: unknown, checks: ManifestChecks): readonly TriggerRecord[] {
  if (value === undefined) return []
  const many = Array.isArray(value)
  return read.list(many ? value : [value], 'trigger', LIMITS.functionTriggersMax).map((each, i) => triggerOf(read, each, many ? `trigger[${i}]` : 'trigger', checks))
}

const KINDS_OF_TRIGGER: Readonly<Record<string, readonly string[]>> = {
  every: ['every'], cron: ['cron', 'timezone'], on: ['on', 'events', 'where', 'filter'], topic: ['topic'], http: ['http'],
}

function triggerOf(read: DefinitionReader, value: unknown, path: string, checks: ManifestChecks): TriggerRecord {
  const kinds = Object.keys(KINDS_OF_TRIGGER)
  const of = typeof value === 'object' && value !== null ? kinds.filter((kind) => Object.hasOwn(value, kind)) : []
  const [kind] = of
  if (kind === undefined) read.fields(value, path, kinds)
  if (kind === undefined || of.length > 1) return read.refuse(path, `an object with one of ${kinds.join(', ')}; several triggers are a list`, value)
  const fields = read.fields(value, path, KINDS_OF_TRIGGER[kind] ?? [])
  switch (kind) {
    case 'every': return { type: 'every', everyMs: read.duration(fields['every'], `${path}.every`, undefined, LIMITS.functionEveryMsMin, LIMITS.functionEveryMsMax) }
    case 'cron': return cronOf(read, fields, path, checks)
    case 'on': return eventOf(read, fields, path, checks)
    case 'topic': return { type: 'topic', topic: read.text(fields['topic'], `${path}.topic`, 'letters, digits and . : / _ -, at most 128', TOPIC) }
    default: return { type: 'http', open: fields['http'] === true ? false : read.flag(read.fields(fields['http'], `${path}.http`, ['open'])['open'], `${path}.http.open`) }
  }
}

function cronOf(read: DefinitionReader, fields: Fields, path: string, { cron }: ManifestChecks): TriggerRecord {
  const pattern = read.text(fields['cron'], `${path}.cron`, 'a cron pattern of five or six fields, such as "*/5 * * * *"', /^.{1,256}$/)
  const timezone = read.text(fields['timezone'] ?? 'UTC', `${path}.timezone`, 'a time zone, such as "Europe/Berlin"', /^[\w+/-]{1,64}$/)
  const problem = cron(pattern, timezone)
  return problem === undefined ? { type: 'cron', pattern, timezone } : read.refuse(`${path}.cron`, `a cron pattern in a time zone that exists (${problem})`, fields['timezone'] === undefined ? pattern : `${pattern} ${timezone}`)
}

function eventOf(read: DefinitionReader, fields: Fields, path: string, { kind: kindProblem }: ManifestChecks): TriggerRecord {
  const kind = read.text(fields['on'], `${path}.on`, 'a kind, such as "VM"', KIND)
  const expected = kindProblem?.(kind)
  if (expected !== undefined) read.refuse(`${path}.on`, expected, kind)
  const events = read.list(fields['events'], `${path}.events`, LIMITS.functionTriggersMax).map((event, i) => read.text(event, `${path}.events[${i}]`, 'the type of an event', EVENT))
  const where: Record<string, string | number | boolean> = {}
  const given = fields['where'] === undefined ? {} : typeof fields['where'] === 'object' && fields['where'] !== null && !Array.isArray(fields['where']) ? fields['where'] as Fields : read.refuse(`${path}.where`, 'an object of fields and values', fields['where'])
  if (Object.keys(given).length > WHERE_MAX) read.refuse(`${path}.where`, `at most ${WHERE_MAX} fields`, Object.keys(given).length)
  for (const key of Object.keys(given).sort()) {
    const value = given[key]
    if (typeof value !== 'string' && typeof value !== 'boolean' && !(typeof value === 'number' && Number.isFinite(value))) return read.refuse(`${path}.where.${key}`, 'a text, a number, true or false', value)
    Object.defineProperty(where, key, { value, enumerable: true, configurable: true, writable: true })
  }
  if (fields['filter'] !== undefined && !read.isFunction(fields['filter'])) read.refuse(`${path}.filter`, 'a function', fields['filter'])
  return { type: 'event', kind, events: distinct(events), where, filtered: fields['filter'] !== undefined }
}

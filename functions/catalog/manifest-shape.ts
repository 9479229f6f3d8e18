// What a manifest and the records of the catalog look like when they are well-formed: the strict readers of
// functions/deployed.ts: FunctionManifest, FunctionRecord, VersionRecord. Bounds are far above what bundle/ makes.

import { isHash, isNodeId, LIMITS } from '../../fabric/base.ts'
import type { Hash, NodeId } from '../../fabric/base.ts'
import type { AliasTarget, FunctionLimits, FunctionManifest, FunctionRecord, TargetText, TriggerRecord, VersionRecord } from '../deployed.ts'
import { either, flag, integer, list, object, oneOf, ShapeError, table, text } from './shape.ts'
import type { Reader } from './shape.ts'

/** Names of functions and of aliases. */
export const FUNCTION_NAME = /^[a-z0-9][a-z0-9-]{0,62}$/

const COUNT_MAX = 4_096
const MS_MAX = 366 * 24 * 3_600_000
const short = text({ charsMax: 256 })
const long = text({ charsMax: 4_096 })
const name = text({ like: FUNCTION_NAME, charsMax: 63 })
const hash: Reader<Hash> = (value, path) => { if (isHash(value)) return value; throw new ShapeError(`${path} is not a SHA-256`) }
const node: Reader<NodeId> = (value, path) => { if (isNodeId(value)) return value; throw new ShapeError(`${path} is not the id of a node`) }
const count = integer(0, Number.MAX_SAFE_INTEGER)
const ms = integer(0, MS_MAX)
const scalar: Reader<string | number | boolean> = (value, path) => {
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return value
  return short(value, path)
}

const TRIGGERS: { readonly [T in TriggerRecord['type']]: Reader<Extract<TriggerRecord, { readonly type: T }>> } = {
  every: object({ type: oneOf('every'), everyMs: integer(1, MS_MAX) }),
  cron: object({ type: oneOf('cron'), pattern: short, timezone: short }),
  event: object({ type: oneOf('event'), kind: short, events: list(short, 256), where: table(/^.{1,256}$/s, scalar, 256), filtered: flag }),
  topic: object({ type: oneOf('topic'), topic: short }),
  http: object({ type: oneOf('http'), open: flag }),
}
const trigger: Reader<TriggerRecord> = (value, path) => {
  const type = (value as { readonly type?: unknown } | null)?.type
  if (typeof type !== 'string' || !Object.hasOwn(TRIGGERS, type)) throw new ShapeError(`${path}.type is not a known trigger`)
  return TRIGGERS[type as TriggerRecord['type']](value, path)
}

const limits: Reader<FunctionLimits> = object({ timeoutMs: ms, heapLimitMiB: count, cpuTimeMs: ms, concurrency: count, queue: count })
const target = either(oneOf('any', 'all', 'home'), text({ like: /^node:.+$/s, charsMax: 256 })) as Reader<TargetText>

export const readManifest: Reader<FunctionManifest> = object({
  name, description: long, version: hash, bytes: integer(1, LIMITS.bundleBytesMax), sourceMap: hash,
  triggers: list(trigger, 64), rights: list(short, 256), singleton: flag, target, limits,
  retry: object({ attempts: count, backoffMs: ms }), secrets: list(short, 256),
  packages: list(object({ name: short, version: short }), COUNT_MAX), files: list(long, COUNT_MAX),
})

const SIGNED = { by: long, node, atMs: count, signature: text({ like: /^[0-9a-f]+$/, charsMax: 8_192 }) }
/** Percent of the calls that name no alias. */
const percent = integer(1, 99)
const alias: Reader<AliasTarget> = object<AliasTarget>({ version: hash, percent }, ['percent'])

export const readFunctionShape: Reader<FunctionRecord> = object({
  name, aliases: table(FUNCTION_NAME, alias, LIMITS.functionAliases), history: list(hash, LIMITS.versionsKept), paused: flag,
  generation: integer(1, Number.MAX_SAFE_INTEGER), ...SIGNED,
})
export const readVersionShape: Reader<VersionRecord> = object({ manifest: readManifest, ...SIGNED })

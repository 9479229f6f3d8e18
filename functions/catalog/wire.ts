// Messages of the catalog's methods. Records travel as JSON bytes: a list of a thousand versions has more maps than a
// control record may have (LIMITS.cborMapsMax), and who reads takes them apart strictly anyway.
//
//   functions.deploy  (stream)  ask { options, packages, files, script: bytes, map: bytes }  -> chunks of script, then of map
//                               <- text of each step, for people        result: JSON of DeployReport
//   functions.list    (stream)  ask { }                          <- JSON of a FunctionRow each    result: JSON of CatalogProblem[]
//   functions.get | rollback | alias | pause | resume | remove    ask { name, ... }             -> JSON
//   functions.keep              member to member: fetch these blobs from me and say when they are durable
//   functions.ready             member to member: say when you have seen this revision and warmed this version

import { isHash } from '../../fabric/base.ts'
import type { Hash } from '../../fabric/base.ts'
import type { DeployOptions } from '../deployed-api.ts'
import type { FunctionManifest } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'

export const CATALOG_METHODS = {
  deploy: 'functions.deploy', list: 'functions.list', get: 'functions.get', rollback: 'functions.rollback', alias: 'functions.alias',
  pause: 'functions.pause', resume: 'functions.resume', remove: 'functions.remove', keep: 'functions.keep', ready: 'functions.ready',
} as const

/** Packages and files of one bundle are for people; beyond this they are refused. */
const LIST_MAX = 4_096

const encoder = new TextEncoder()
const decoder = new TextDecoder()
export const toJson = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value))
/** What the node that we are connected to answered. */
export const fromJson = (body: unknown): unknown => (body instanceof Uint8Array ? JSON.parse(decoder.decode(body)) as unknown : bad('an answer'))

function bad(what: string): never { throw FUNCTIONS.BAD_MESSAGE({ what }) }

type Fields = Readonly<Record<string, unknown>>
export const fields = (value: unknown, what: string): Fields => (typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array) ? value as Fields : bad(what))
export const string = (value: unknown, what: string): string => (typeof value === 'string' ? value : bad(what))
export const count = (value: unknown, what: string): number => (Number.isSafeInteger(value) && (value as number) >= 0 ? value as number : bad(what))
export const hash = (value: unknown, what: string): Hash => (isHash(value) ? value : bad(what))
const list = (value: unknown, what: string): readonly unknown[] => (Array.isArray(value) && value.length <= LIST_MAX ? value : bad(what))

export interface DeployRequest {
  readonly options: Omit<DeployOptions, 'onProgress'>
  readonly packages: FunctionManifest['packages']
  readonly files: readonly string[]
  readonly scriptBytes: number
  readonly mapBytes: number
}

export function readDeploy(body: unknown): DeployRequest {
  const request = fields(body, 'deploy')
  const options = fields(request['options'], 'deploy.options')
  const dryRun = options['dryRun'] ?? false
  return {
    options: {
      ...(options['alias'] === undefined ? {} : { alias: string(options['alias'], 'deploy.alias') }),
      ...(options['percent'] === undefined ? {} : { percent: count(options['percent'], 'deploy.percent') }),
      ...(options['generation'] === undefined ? {} : { generation: count(options['generation'], 'deploy.generation') }),
      dryRun: typeof dryRun === 'boolean' ? dryRun : bad('deploy.dryRun'),
    },
    packages: list(request['packages'], 'deploy.packages').map((entry) => {
      const found = fields(entry, 'deploy.package')
      return { name: string(found['name'], 'deploy.package.name'), version: string(found['version'], 'deploy.package.version') }
    }),
    files: list(request['files'], 'deploy.files').map((file) => string(file, 'deploy.file')),
    scriptBytes: count(request['scriptBytes'], 'deploy.scriptBytes'),
    mapBytes: count(request['mapBytes'], 'deploy.mapBytes'),
  }
}

export function readMoves(value: unknown): Readonly<Record<string, string | null>> {
  return Object.fromEntries(Object.entries(fields(value, 'moves')).map(([alias, where]) => [alias, where === null ? null : string(where, 'moves.version')]))
}

// 'functions.deploy', 'functions.list' and the other methods of the catalog, for shells and programs at this node.
//
//   deploy:  script + map -> blobs -> manifest made here, by running 'describe' in the sandbox -> copies on N nodes, durable
//            -> version and pointer in one transaction -> the live members have seen it and are warm -> report
//
// Invariants: nobody's word is taken for what a script is; until the transaction nothing can be seen of a deploy, after it
// all of it. Stopped anywhere before, it leaves at most blobs that nobody names, which make room in time.

import { errorCode, LIMITS, nearest } from '../../fabric/base.ts'
import type { Clock, Hash } from '../../fabric/base.ts'
import { hashOf } from '../../fabric/mod.ts'
import type { BlobStore, CallContext, RpcRegistry, RpcStream } from '../../fabric/mod.ts'
import type { BuiltBundle, DeployReport, FunctionRow } from '../deployed-api.ts'
import type { FunctionManifest, Holders } from '../deployed.ts'
import { admitAdministrator } from '../administrator.ts'
import type { Admit } from '../administrator.ts'
import { atOriginal } from '../bundle/positions.ts'
import { FUNCTIONS } from '../errors.ts'
import type { NodeCatalog } from './catalog.ts'
import { change } from './changes.ts'
import type { Wish } from './changes.ts'
import { compareManifests } from './compare.ts'
import { readManifest } from './manifest-shape.ts'
import type { Readiness } from './ready.ts'
import { ShapeError } from './shape.ts'
import { CATALOG_METHODS, fields, readDeploy, readMoves, string, toJson } from './wire.ts'
import type { DeployRequest } from './wire.ts'
import { BOUNDS, stateOf } from './writer.ts'
import type { Writer } from './writer.ts'

/** A script with what is known of it without running it. */
export interface ScriptToDescribe extends Pick<BuiltBundle, 'script' | 'packages' | 'files'> { readonly version: Hash; readonly sourceMap: Hash }

export interface CatalogServiceOptions {
  readonly registry: RpcRegistry
  readonly catalog: NodeCatalog
  readonly writer: Writer
  readonly readiness: Readiness
  readonly blobs: BlobStore
  readonly clock: Clock
  /** What the script says of itself, asked of it in the sandbox (bundle/). Throws DEFINITION_INVALID. */
  describe(script: ScriptToDescribe, context: CallContext): Promise<FunctionManifest>
  readonly holders?: Pick<Holders, 'holder'>
  nameOf(node: string): string
  /** Default: the administrator of the machine alone. */
  readonly admit?: Admit
}

export function serveCatalog(options: CatalogServiceOptions): void {
  const { registry, catalog, writer, holders, nameOf, clock, admit = admitAdministrator } = options

  const rowOf = (name: string): FunctionRow | undefined => {
    const deployed = catalog.get(name)
    if (deployed === undefined) return undefined
    const held = deployed.manifest.singleton ? holders?.holder(name) : undefined
    return {
      name, record: deployed.record, manifest: deployed.manifest, versions: [...deployed.versions.values()].toSorted((a, b) => b.atMs - a.atMs),
      ...(held === undefined ? {} : { holder: { node: nameOf(held.node), epoch: held.epoch } }),
    }
  }
  /** Who asks sees what he just wrote: this node's own catalog is waited for, unless it cannot follow the store now. */
  const seen = async (revision: number, { signal }: CallContext): Promise<void> => {
    const late = new AbortController()
    const timer = clock.after(LIMITS.catalogSeenMs, () => late.abort(), { background: true })
    await catalog.reached(revision, AbortSignal.any([signal, late.signal])).catch(() => {}).finally(() => timer.cancel())
  }
  /** The store says whether there is such a function; what was likely meant, the catalog. */
  const named = async <T>(name: string, work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      if (errorCode(error) !== FUNCTIONS.FUNCTION_UNKNOWN.code) throw error
      throw FUNCTIONS.FUNCTION_UNKNOWN({ name, near: nearest(name, catalog.list().map(({ record }) => record.name)) ?? '' })
    }
  }
  const write = async (name: string, wish: Wish, context: CallContext): Promise<Uint8Array> => {
    const { record, revision } = await named(name, writer.write(name, wish, context.principal, context.signal))
    await seen(revision, context)
    return toJson(record)
  }
  const nameIn = (body: unknown): string => string(fields(body, 'request')['name'], 'request.name')

  registry.stream(CATALOG_METHODS.deploy, async (body, context, stream) => {
    admit(context, 'function:deploy', 'deploy functions')
    return toJson(await deploy(options, readDeploy(body), context, stream))
  })
  registry.stream(CATALOG_METHODS.list, async (_body, _context, stream) => {
    for (const { record } of catalog.list()) {
      const row = rowOf(record.name)
      if (row !== undefined) await stream.write(toJson(row))
    }
    return toJson(catalog.problems())
  })
  registry.method(CATALOG_METHODS.get, (body) => {
    const name = nameIn(body)
    const row = rowOf(name)
    // Throws what there is to say of a name that is not there.
    if (row === undefined) catalog.resolve(name, 0)
    return toJson(row)
  })
  registry.method(CATALOG_METHODS.rollback, (body, context) => {
    admit(context, 'function:change', 'roll functions back')
    const { version } = fields(body, 'request')
    return write(nameIn(body), { do: 'rollback', ...(version === undefined || version === null ? {} : { version: string(version, 'request.version') }) }, context)
  })
  registry.method(CATALOG_METHODS.alias, (body, context) => {
    admit(context, 'function:change', 'move aliases')
    return write(nameIn(body), { do: 'alias', moves: readMoves(fields(body, 'request')['moves']) }, context)
  })
  for (const verb of ['pause', 'resume'] as const) {
    registry.method(CATALOG_METHODS[verb], (body, context) => {
      admit(context, 'function:change', `${verb} functions`)
      return write(nameIn(body), { do: verb }, context)
    })
  }
  registry.method(CATALOG_METHODS.remove, async (body, context) => {
    admit(context, 'function:remove', 'remove functions')
    const name = nameIn(body)
    await seen(await named(name, writer.remove(name, context.signal)), context)
    return null
  })
}

/** The bytes that were announced, no more and no fewer. */
async function received(request: DeployRequest, stream: RpcStream): Promise<{ readonly script: Uint8Array; readonly map: Uint8Array }> {
  const { scriptBytes, mapBytes, files } = request
  if (scriptBytes === 0 || scriptBytes > LIMITS.bundleBytesMax) throw FUNCTIONS.BUNDLE_TOO_LARGE({ bytes: scriptBytes, bytesMax: LIMITS.bundleBytesMax, biggest: files[0] ?? 'the script' })
  if (mapBytes > LIMITS.sourceMapBytesMax) throw FUNCTIONS.BUNDLE_TOO_LARGE({ bytes: mapBytes, bytesMax: LIMITS.sourceMapBytesMax, biggest: 'the source map' })
  const whole = new Uint8Array(scriptBytes + mapBytes)
  let at = 0
  for (let chunk = await stream.read(); chunk !== undefined; chunk = await stream.read()) {
    if (!(chunk instanceof Uint8Array) || chunk.length === 0 || at + chunk.length > whole.length) throw FUNCTIONS.BAD_MESSAGE({ what: 'a script longer than announced' })
    whole.set(chunk, at)
    at += chunk.length
  }
  if (at !== whole.length) throw FUNCTIONS.BAD_MESSAGE({ what: 'a script shorter than announced' })
  // Copies of exactly their size: blobs are kept, the common buffer is not.
  return { script: whole.slice(0, scriptBytes), map: whole.slice(scriptBytes) }
}

async function deploy({ blobs, describe, writer, readiness, catalog, admit = admitAdministrator }: CatalogServiceOptions, request: DeployRequest, context: CallContext, stream: RpcStream): Promise<DeployReport> {
  const { options: { alias = 'stable', percent, dryRun = false, generation }, packages, files } = request
  // Steps are for people: one that cannot be sent any more is not missed.
  const step = (text: string): void => { stream.write(text).catch(() => {}) }
  const { script, map } = await received(request, stream)
  const version = hashOf(script)
  step('checking')
  const manifest = checked(await describe({ script, version, sourceMap: hashOf(map), packages, files }, context).catch((error: unknown) => { throw atOriginal(error, new TextDecoder().decode(map)) }), version)
  const { name } = manifest
  // Its code reads what it names, and its code is the deployer's.
  if (manifest.secrets.length > 0) admit(context, 'secret:use', `deploy a function that reads secrets (${manifest.secrets.join(', ')})`)
  const wish: Wish = { do: 'deploy', version, alias, ...(percent === undefined ? {} : { percent }), ...(generation === undefined ? {} : { generation }) }
  const before = await writer.read(name, context.signal)
  // Its callers, its state and what it handles come with the name.
  if (before.versions.size > 0 && [...before.versions.values()].every(({ by }) => by !== context.principal)) admit(context, 'function:change', `deploy over function ${name}, which is somebody else's`)
  const planned = change(stateOf(name, before), wish, BOUNDS)
  const reportOf = ({ record: present, versions }: Pick<typeof before, 'record' | 'versions'>, changed: boolean): Pick<DeployReport, 'name' | 'manifest' | 'outcome' | 'previous' | 'changes'> => {
    const previous = (present?.aliases[alias] ?? present?.aliases['stable'])?.version
    const told = versions.get(version)?.manifest ?? manifest
    return {
      name, manifest: told, outcome: !changed ? 'same' : present === undefined ? 'new' : 'changed',
      previous: previous === version ? undefined : previous, changes: compareManifests(versions.get(previous ?? '')?.manifest, told),
    }
  }
  if (dryRun) return { ...reportOf(before, planned.next !== undefined), copies: [], ready: [], record: planned.next === undefined ? before.record as DeployReport['record'] : { ...planned.next, by: context.principal, node: catalog.self, atMs: 0, signature: '' } }

  step('copying')
  blobs.add(script)
  const mapHash = blobs.add(map)
  const copies = await readiness.copy({ version, sourceMap: mapHash }, context)
  if (copies.length === 0) throw FUNCTIONS.DEPLOY_NO_COPY({ name, asked: LIMITS.bundleCopies })
  step('writing')
  const written = await writer.write(name, wish, context.principal, context.signal, manifest)
  step('getting ready')
  const ready = await readiness.ready({ name, version, revision: written.revision }, context)
  return { ...reportOf(written.before, written.changed), copies, ready, record: written.record }
}

/** describe() is ours and what it was told is not: what comes out of it is what will be stored, so it must be storable. */
function checked(manifest: FunctionManifest, version: Hash): FunctionManifest {
  try {
    const read = readManifest(manifest, 'manifest')
    if (read.version !== version) throw new ShapeError('manifest.version is not the hash of the script')
    return read
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error
    throw FUNCTIONS.DEFINITION_INVALID({ name: manifest.name, path: 'its manifest', expected: 'one that can be stored', got: error.message })
  }
}

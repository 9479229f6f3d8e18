// Records of deployed functions as they stand in the global store: canonical JSON, signed.
//
//   function/NAME               the one movable pointer: aliases, history, paused
//   function-version/NAME/HASH  a version's manifest; never changes
//
// The signature covers the purpose ("kumoi function 1"), a zero byte and the canonical JSON without `signature`, so that
// no signed text can be taken for another kind. Nothing of a record is believed before its signature, its shape and its
// key fit together: whoever can write to the store (an etcd outside the fabric) can take records away, not make them.

import type { Hash, NodeId } from '../../fabric/base.ts'
import type { GlobalStore } from '../../fabric/mod.ts'
import type { FunctionRecord, Signed, VersionRecord } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { readFunctionShape, readVersionShape } from './manifest-shape.ts'
import { ShapeError } from './shape.ts'
import type { Reader } from './shape.ts'

export const FUNCTION_PREFIX = 'function/'
export const VERSION_PREFIX = 'function-version/'
export const functionKey = (name: string): string => `${FUNCTION_PREFIX}${name}`
export const versionsPrefix = (name: string): string => `${VERSION_PREFIX}${name}/`
export const versionKey = (name: string, version: Hash): string => `${versionsPrefix(name)}${version}`

/** A node's own key, and the judgement of what other nodes signed (fabric/identity/signing.ts). */
export interface RecordSigner {
  readonly node: NodeId
  /** Lower-case hex; carries what is needed to judge it for ever, also when this node has left. */
  sign(bytes: Uint8Array): string
  /** Whether `node` was certified by this fabric and signed exactly these bytes. */
  verify(node: NodeId, bytes: Uint8Array, signature: string): boolean
}

const PURPOSE = { function: 'kumoi function 1\0', version: 'kumoi function-version 1\0' } as const
type Kind = keyof typeof PURPOSE

/** One text for equal data: keys in order of their code units, no spaces. Plain data only; undefined fields are left out. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const fields = Object.entries(value).filter(([, field]) => field !== undefined).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`).join(',')}}`
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })
const statement = (kind: Kind, unsigned: object): Uint8Array => encoder.encode(PURPOSE[kind] + canonicalJson(unsigned))

type Unsigned<T extends Signed> = Omit<T, 'node' | 'signature'>

function signed<T extends Signed>(kind: Kind, body: Unsigned<T>, signer: RecordSigner): T {
  const unsigned = { ...body, node: signer.node }
  return { ...unsigned, signature: signer.sign(statement(kind, unsigned)) } as unknown as T
}

export const signFunction = (body: Unsigned<FunctionRecord>, signer: RecordSigner): FunctionRecord => signed<FunctionRecord>('function', body, signer)
export const signVersion = (body: Unsigned<VersionRecord>, signer: RecordSigner): VersionRecord => signed<VersionRecord>('version', body, signer)

export const encodeStored = (stored: FunctionRecord | VersionRecord): Uint8Array => encoder.encode(canonicalJson(stored))

/** Throws FUNCTION_UNSIGNED. */
function opened<T extends Signed>(kind: Kind, name: string, bytes: Uint8Array, read: Reader<T>, signer: RecordSigner): T {
  let parsed: T
  try {
    parsed = read(JSON.parse(decoder.decode(bytes)) as unknown, 'record')
  } catch (error) {
    throw FUNCTIONS.FUNCTION_UNSIGNED({ name, reason: `it cannot be read: ${error instanceof ShapeError ? error.message : 'it is no JSON'}` })
  }
  const { signature, ...unsigned } = parsed
  if (!signer.verify(parsed.node, statement(kind, unsigned), signature)) throw FUNCTIONS.FUNCTION_UNSIGNED({ name, reason: `its signature is not that of node ${parsed.node.slice(0, 8)} of this fabric, or it was altered` })
  return parsed
}

/** The record under `function/NAME`. Throws FUNCTION_UNSIGNED. */
export function openFunction(name: string, bytes: Uint8Array, signer: RecordSigner): FunctionRecord {
  const record = opened('function', name, bytes, readFunctionShape, signer)
  if (record.name !== name) throw FUNCTIONS.FUNCTION_UNSIGNED({ name, reason: `it is the record of ${record.name}` })
  if (record.aliases['stable'] === undefined) throw FUNCTIONS.FUNCTION_UNSIGNED({ name, reason: 'it has no stable version' })
  return record
}

/** The record under `function-version/NAME/VERSION`. Throws FUNCTION_UNSIGNED. */
export function openVersion(name: string, version: Hash, bytes: Uint8Array, signer: RecordSigner): VersionRecord {
  const record = opened('version', name, bytes, readVersionShape, signer)
  const { manifest } = record
  if (manifest.name !== name || manifest.version !== version) throw FUNCTIONS.FUNCTION_UNSIGNED({ name, reason: `the manifest under ${version.slice(0, 12)} is that of ${manifest.name} ${manifest.version.slice(0, 12)}` })
  return record
}

/** The version with that hash, or beginning of one, as the store has it, judged; undefined when there is none. For a node whose catalog has not seen it yet. */
export async function findVersion({ store, signer }: { readonly store: Pick<GlobalStore, 'range'>; readonly signer: RecordSigner }, name: string, version: string): Promise<VersionRecord | undefined> {
  const { entries: [entry] } = await store.range(`${versionsPrefix(name)}${version}`, { limit: 1 })
  return entry === undefined ? undefined : openVersion(name, entry.key.slice(versionsPrefix(name).length), entry.value, signer)
}

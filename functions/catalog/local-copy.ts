// The node's own copy of the catalog, in its local store: what it knew when it last ran, for a start while the global store
// cannot be reached. Signed records, judged again when read: nothing here needs to be believed.
//
//   catalog/function/NAME    catalog/function-version/NAME/HASH    values: the records' canonical JSON

import type { LocalStore, StoreChange } from '../../fabric/mod.ts'
import type { DeployedFunction } from '../deployed.ts'
import { canonicalJson, FUNCTION_PREFIX, functionKey, VERSION_PREFIX, versionKey, versionsPrefix } from './records.ts'

const ROOT = 'catalog/'
/** More than any fabric has. */
const ENTRIES_MAX = 1_000_000
const encoder = new TextEncoder()

export interface LocalFunction { readonly name: string; readonly record: Uint8Array; readonly versions: ReadonlyMap<string, Uint8Array> }
export interface LocalCopy {
  read(): readonly LocalFunction[]
  /** Makes it so (undefined: gone); in order, one after another. A full disk costs a later start its functions, nothing now. */
  write(name: string, deployed: DeployedFunction | undefined): void
  /** Resolves when everything is written, or could not be. */
  settled(): Promise<void>
}

export function createLocalCopy({ store, failed }: { readonly store: LocalStore; readonly failed: (name: string, error: unknown) => void }): LocalCopy {
  let writing: Promise<void> = Promise.resolve()
  const entries = (prefix: string): readonly { readonly key: string; readonly value: string }[] =>
    store.range({ prefix: ROOT + prefix, limit: ENTRIES_MAX }).map(({ key, value }) => ({ key: key.slice(ROOT.length), value }))

  const save = async (name: string, deployed: DeployedFunction | undefined): Promise<void> => {
    const wanted = new Map<string, string>()
    if (deployed !== undefined) {
      wanted.set(functionKey(name), canonicalJson(deployed.record))
      for (const [version, record] of deployed.versions) wanted.set(versionKey(name, version), canonicalJson(record))
    }
    const own = store.get(ROOT + functionKey(name))
    const present = new Map([...(own === undefined ? [] : [[functionKey(name), own] as const]), ...entries(versionsPrefix(name)).map(({ key, value }) => [key, value] as const)])
    const changes: StoreChange[] = []
    for (const [key, value] of wanted) if (present.get(key) !== value) changes.push({ key: ROOT + key, value })
    for (const key of present.keys()) if (!wanted.has(key)) changes.push({ key: ROOT + key, value: undefined })
    if (changes.length > 0) await store.write(changes)
  }

  return {
    read() {
      const versions = Map.groupBy(entries(VERSION_PREFIX), ({ key }) => key.slice(VERSION_PREFIX.length, key.lastIndexOf('/')))
      return entries(FUNCTION_PREFIX).map(({ key, value }) => {
        const name = key.slice(FUNCTION_PREFIX.length)
        return { name, record: encoder.encode(value), versions: new Map((versions.get(name) ?? []).map((version) => [version.key.slice(version.key.lastIndexOf('/') + 1), encoder.encode(version.value)])) }
      })
    },
    write(name, deployed) {
      writing = writing.then(() => save(name, deployed)).catch((error: unknown) => failed(name, error))
    },
    settled: () => writing,
  }
}

// Puts the catalog's methods on a node: what the deploys of its shells, and those of the other members, need of it.

import type { BlobStore, GlobalStore } from '../../fabric/mod.ts'
import { createReadiness } from './ready.ts'
import type { ReadyOptions } from './ready.ts'
import type { RecordSigner } from './records.ts'
import { serveCatalog } from './service.ts'
import type { CatalogServiceOptions } from './service.ts'
import { createWriter } from './writer.ts'

export interface RegisterCatalogOptions extends ReadyOptions, Omit<CatalogServiceOptions, 'writer' | 'readiness'> {
  readonly store: GlobalStore
  readonly signer: RecordSigner
  readonly blobs: BlobStore
  /** What other parts keep of a function, which goes with it: prefixes (those that end in a slash) and single keys. */
  ownedPrefixes(name: string): readonly string[]
}

export function registerCatalog(options: RegisterCatalogOptions): void {
  serveCatalog({ ...options, writer: createWriter(options), readiness: createReadiness(options) })
}

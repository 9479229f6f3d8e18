// The embedded stores that this node keeps, one directory an era: the present one, and earlier ones that tell who still asks
// them that they have moved.

import { existsSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makeDataDirectory } from '../data-directory.ts'
import { openEmbeddedStore } from './embedded.ts'
import type { EmbeddedOptions } from './embedded.ts'
import type { StoreEngine } from './engine.ts'

export interface HostedStores {
  pathOf(era: number): string
  /** Opened when it is first asked for; undefined when there is none of that era. */
  get(era: number): Promise<StoreEngine | undefined>
  /** A new one. What interrupted moves have left, of eras between the present one and this, is thrown away. */
  make(era: number, present: number): Promise<StoreEngine>
  close(): Promise<void>
}

export function createHostedStores({ data, ...options }: Omit<EmbeddedOptions, 'directory' | 'as'> & { readonly data: string }): HostedStores {
  const root = join(data, 'global-store')
  const directoryOf = (era: number): string => join(root, String(era))
  const opened = new Map<number, Promise<StoreEngine>>()
  const open = (era: number, as?: 'kept'): Promise<StoreEngine> => {
    const opening = makeDataDirectory(root).then(() => openEmbeddedStore({ ...options, directory: directoryOf(era), ...(as === undefined ? {} : { as }) }))
    opened.set(era, opening)
    // A disk that could not be read is tried again by the next one who asks.
    opening.catch(() => { if (opened.get(era) === opening) opened.delete(era) })
    return opening
  }
  const close = async (era: number): Promise<void> => {
    const opening = opened.get(era)
    opened.delete(era)
    await opening?.then((engine) => engine.close(), () => {})
  }
  return {
    pathOf: directoryOf,
    async get(era) { return await (opened.get(era) ?? (existsSync(directoryOf(era)) ? open(era, 'kept') : undefined)) },
    async make(era, present) {
      await makeDataDirectory(root)
      for (const left of (await readdir(root)).map(Number).filter((other) => other > present && other <= era)) {
        await close(left)
        await rm(directoryOf(left), { recursive: true, force: true })
      }
      return await open(era)
    },
    async close() { await Promise.all([...opened.keys()].map(close)) },
  }
}

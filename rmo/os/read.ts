// Thin readers of /proc, /sys and /etc. A file that is missing or refused is undefined, never an error:
// containers hide some, and a figure that is not there must not take the others with it.

import { closeSync, openSync, readSync } from 'node:fs'
import { readFile } from 'node:fs/promises'

/** Where the operating system's texts come from; tests hand in their own. */
export interface OsTexts {
  /** Synchronous, for the small files of each sample. */
  now(path: string): string | undefined
  read(path: string): Promise<string | undefined>
}

/** Enough for the cpu lines of 1,000 processors; what follows them is not needed. */
const SAMPLE_BYTES_MAX = 128 * 1024
const TEXT_BYTES_MAX = 4 * 1024 * 1024

export function createOsTexts(): OsTexts {
  const buffer = Buffer.allocUnsafe(SAMPLE_BYTES_MAX)
  return {
    now(path) {
      let file: number | undefined
      try {
        file = openSync(path, 'r')
        return buffer.toString('latin1', 0, readSync(file, buffer, 0, SAMPLE_BYTES_MAX, 0))
      } catch {
        return undefined
      } finally {
        if (file !== undefined) closeSync(file)
      }
    },
    async read(path) {
      const text = await readFile(path, 'utf8').catch(() => undefined)
      return text === undefined || text.length > TEXT_BYTES_MAX ? undefined : text
    },
  }
}

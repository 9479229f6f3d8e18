// Makes the data directory of a node before anything is started in it, or says why it cannot be had.

import { constants } from 'node:fs'
import { access, mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

import { errorCode } from './errors.ts'
import { FABRIC } from './errors-table.ts'

export async function makeDataDirectory(data: string): Promise<void> {
  try {
    await makeLevel(data)
    await access(data, constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw FABRIC.DATA_DIRECTORY({ data, reason: cause instanceof Error ? cause.message : String(cause) }, { cause })
  }
}

/** Level by level: mkdir's own recursion never ends below a parent that exists and yet answers ENOENT (/proc). */
async function makeLevel(directory: string): Promise<void> {
  try {
    await mkdir(directory, { mode: 0o700 })
  } catch (error) {
    const code = errorCode(error)
    if (code === 'EEXIST' && (await stat(directory)).isDirectory()) return
    const parent = dirname(directory)
    if (code !== 'ENOENT' || await exists(parent)) throw error
    await makeLevel(parent)
    await makeLevel(directory)
  }
}

const exists = (path: string): Promise<boolean> => stat(path).then(() => true, () => false)

// The version of this installation, from its package.json (beside the source tree, or beside dist/).

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

function readVersion(): string {
  for (const path of ['../package.json', '../../package.json']) {
    const file = fileURLToPath(new URL(path, import.meta.url))
    if (!existsSync(file)) continue
    const { name, version } = JSON.parse(readFileSync(file, 'utf8')) as { readonly name?: string; readonly version?: string }
    if (name === 'kumoi' && version !== undefined) return version
  }
  return '0.0.0'
}

export const VERSION: string = readVersion()

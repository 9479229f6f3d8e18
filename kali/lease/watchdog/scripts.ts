// The watchdog's script: beside this file in a packed release; from a checkout, stripped of its types into the node's own
// directory, because a process that strips types itself is larger by 17 MiB for as long as it runs.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const PARTS = ['main', 'deadlines', 'hardware', 'processes'] as const

/** Path of a script that Node runs as it is. */
export function watchdogScript(directory: string): string {
  if (import.meta.url.endsWith('.js')) return join(here, 'main.js')
  const target = join(directory, 'watchdog')
  mkdirSync(target, { recursive: true, mode: 0o700 })
  for (const part of PARTS) {
    const text = stripTypeScriptTypes(readFileSync(join(here, `${part}.ts`), 'utf8')).replaceAll(/'(\.\/[a-z-]+)\.ts'/g, "'$1.mjs'")
    writeFileSync(join(target, `${part}.mjs`), text, { mode: 0o600 })
  }
  return join(target, 'main.mjs')
}

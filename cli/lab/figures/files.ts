// An outcome as files: NAME.csv, NAME.svg and, where the renderer is installed, NAME.png.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { CLI } from '../../errors.ts'
import { csvText } from '../../plot/csv.ts'
import { pngOf } from '../../plot/png.ts'
import { plotSvg } from '../../plot/svg.ts'
import type { Outcome } from './contract.ts'

const ZOOM = 2

/** Paths of what was written. */
export async function writeOutcome(directory: string, { name, plot, header, rows }: Outcome): Promise<readonly string[]> {
  const png = await pngOf(plotSvg(plot, 'light'), ZOOM)
  const files: readonly (readonly [string, string | Uint8Array])[] = [['csv', csvText(header, rows)], ['svg', plotSvg(plot, 'auto')], ...(png === undefined ? [] : [['png', png] as const])]
  try {
    await mkdir(directory, { recursive: true })
    for (const [type, content] of files) await writeFile(join(directory, `${name}.${type}`), content)
  } catch (error) {
    throw CLI.FILE_UNWRITABLE({ file: directory, reason: error instanceof Error ? error.message : String(error) }, { cause: error })
  }
  return files.map(([type]) => join(directory, `${name}.${type}`))
}

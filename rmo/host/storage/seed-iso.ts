// The seed's files as an ISO 9660 image labelled CIDATA, by xorrisofs (Debian: xorriso), else by genisoimage or mkisofs.
//
// The same files give the same bytes: names, owners and every date in the image are fixed (xorrisofs only). The files stand in a
// directory of their own under the system's temporary one while xorrisofs reads them (mode 0700: they may hold keys).

import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { errorCode } from '../../../fabric/base.ts'
import type { Call } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import type { DiskTools } from './disk-tools.ts'
import type { SeedFile } from './seed.ts'

const FIXED_DATE = '2000010100000000'
const FIXED_SECONDS = Date.UTC(2000, 0, 1) / 1_000
const PLAIN = ['-quiet', '-volid', 'CIDATA', '-joliet', '-rational-rock'] as const
/** Tried in this order; the first that is there makes the image. */
const MAKERS: readonly { readonly tool: string; readonly args: readonly string[] }[] = [
  { tool: 'xorrisofs', args: [...PLAIN, '--set_all_file_dates', FIXED_DATE, `--modification-date=${FIXED_DATE}`, '-uid', '0', '-gid', '0', '-file-mode', '0444', '-dir-mode', '0555'] },
  { tool: 'genisoimage', args: PLAIN },
  { tool: 'mkisofs', args: PLAIN },
]

async function build(tools: DiskTools, directory: string, path: string, call: Call): Promise<void> {
  let missing: unknown
  for (const { tool, args } of MAKERS) {
    try {
      const { code, stderr } = await tools.run(tool, [...args, '-o', path, directory], call)
      if (code === 0) return
      throw new Error(stderr.trim() || `${tool} ended with status ${code}`)
    } catch (error) {
      if (errorCode(error) !== RMO.TOOL_MISSING.code) throw error
      missing ??= error
    }
  }
  throw missing
}

/** Writes the image to `path`, which must not exist. */
export async function makeSeedIso(tools: DiskTools, files: readonly SeedFile[], path: string, call: Call): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'kumoi-seed-'))
  try {
    for (const { name, text } of files) {
      await writeFile(join(directory, name), text, { mode: 0o600 })
      await utimes(join(directory, name), FIXED_SECONDS, FIXED_SECONDS)
    }
    await utimes(directory, FIXED_SECONDS, FIXED_SECONDS)
    await build(tools, directory, path, call)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

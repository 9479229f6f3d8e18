// The token of the HTTP door: made at the first start, kept in the data directory, readable by its owner only.

import { chmod, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Random } from '../fabric/base.ts'
import { errorCode } from '../fabric/base.ts'

export const TOKEN_FILE = 'http-token'
const TOKEN_BYTES = 32
const TOKEN = /^[A-Za-z0-9_-]{43}$/
const OWNER_ONLY = 0o600

/** What is in DATA/http-token; anything else than a token there (a file half written) is replaced by a new one. */
export async function httpToken(data: string, random: Random): Promise<string> {
  const file = join(data, TOKEN_FILE)
  const present = await readFile(file, 'utf8').then((text) => text.trim(), (error: unknown) => {
    if (errorCode(error) === 'ENOENT') return ''
    throw error
  })
  if (TOKEN.test(present)) {
    await chmod(file, OWNER_ONLY)
    return present
  }
  const token = Buffer.from(random.bytes(TOKEN_BYTES)).toString('base64url')
  // Beside it and renamed: whoever reads the file sees all of a token.
  await writeFile(`${file}.new`, `${token}\n`, { mode: OWNER_ONLY })
  await rename(`${file}.new`, file)
  return token
}

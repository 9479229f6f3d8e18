// A user's login on his own machine: one file for each fabric, with the token and the key that may present it.
//
//   KUMOI_CONFIG, else XDG_CONFIG_HOME/kumoi, else ~/.config/kumoi     login-FABRIC16.json, mode 0600
//
// Written whole beside its place and moved there, so that a shell never reads half of one. A file that others can read, or
// that belongs to somebody else, is refused and not used: whoever has read it could be that user for minutes.

import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { NodeId } from '../../fabric/base.ts'
import { KALI } from '../errors.ts'

export interface LoginFile {
  readonly v: 1
  readonly fabric: NodeId
  readonly user: string
  readonly principal: string
  readonly token: string
  /** PKCS#8 DER, base64url. */
  readonly privateKey: string
  readonly issuedAtMs: number
  readonly expiresAtMs: number
  readonly renewableUntilMs: number
}

const FABRIC_CHARS = 16
const NAME = /^login-[0-9a-f]{16}\.json$/
const BYTES_MAX = 4 * LIMITS.tokenCharsMax
const OTHERS = 0o077

export function configDirectory(env: Readonly<Record<string, string | undefined>>): string {
  const { KUMOI_CONFIG: own, XDG_CONFIG_HOME: xdg } = env
  if (own !== undefined && own !== '') return resolve(own)
  return join(xdg !== undefined && xdg !== '' ? resolve(xdg) : join(homedir(), '.config'), 'kumoi')
}

const pathOf = (directory: string, fabric: NodeId): string => join(directory, `login-${fabric.slice(0, FABRIC_CHARS)}.json`)

/** Whether there is a login for any fabric: without one nobody need be asked which fabric a node is of. */
export async function hasLogins(directory: string): Promise<boolean> {
  return (await readdir(directory).catch(() => [])).some((name) => NAME.test(name))
}

/** Undefined: there is none. Throws LOGIN_FILE for one that cannot be used. */
export async function readLogin(directory: string, fabric: NodeId): Promise<LoginFile | undefined> {
  const path = pathOf(directory, fabric)
  const file = await open(path, 'r').catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return undefined
    throw KALI.LOGIN_FILE({ path, reason: String(errorCode(error)) })
  })
  if (file === undefined) return undefined
  try {
    // Of what was opened, not of what the name means a moment later.
    const { mode, uid, size } = await file.stat()
    if ((mode & OTHERS) !== 0) throw KALI.LOGIN_FILE({ path, reason: `others may read it (mode ${(mode & 0o777).toString(8)})` })
    if (uid !== process.getuid?.()) throw KALI.LOGIN_FILE({ path, reason: `it belongs to user ${uid}` })
    if (size > BYTES_MAX) throw KALI.LOGIN_FILE({ path, reason: `it has ${size} bytes` })
    const login = parsed(await file.readFile('utf8'))
    if (login?.fabric !== fabric) throw KALI.LOGIN_FILE({ path, reason: 'it is not the login of this fabric' })
    return login
  } finally {
    await file.close()
  }
}

export async function writeLogin(directory: string, login: LoginFile): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const path = pathOf(directory, login.fabric)
  const beside = `${path}.${randomBytes(8).toString('hex')}`
  try {
    const file = await open(beside, 'wx', 0o600)
    try {
      await file.writeFile(JSON.stringify(login))
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, path)
  } catch (error) {
    await rm(beside, { force: true })
    throw KALI.LOGIN_FILE({ path, reason: String(errorCode(error) ?? error) }, { cause: error })
  }
}

/** Whether there was one. */
export async function removeLogin(directory: string, fabric: NodeId): Promise<boolean> {
  const path = pathOf(directory, fabric)
  const there = await stat(path).then(() => true, () => false)
  await rm(path, { force: true })
  return there
}

const FIELDS = { fabric: 'string', user: 'string', principal: 'string', token: 'string', privateKey: 'string', issuedAtMs: 'number', expiresAtMs: 'number', renewableUntilMs: 'number' } as const

function parsed(text: string): LoginFile | undefined {
  try {
    const value = JSON.parse(text) as Record<string, unknown> | null
    return value !== null && typeof value === 'object' && value['v'] === 1 && Object.entries(FIELDS).every(([field, type]) => typeof value[field] === type) ? value as unknown as LoginFile : undefined
  } catch {
    return undefined
  }
}

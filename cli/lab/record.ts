// Where labs lie, and their record on disk.

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

import { CLI } from '../errors.ts'
import type { LabHost, LabRecord } from './contract.ts'

type Env = Readonly<Record<string, string | undefined>>

/** DIR as given, else $XDG_STATE_HOME/kumoi/labs/NAME, else ~/.local/state/kumoi/labs/NAME. */
export function labDirectory(given: string | undefined, name: string, env: Env): string {
  if (given !== undefined) return resolve(given)
  const state = env['XDG_STATE_HOME']
  return join(state === undefined || state === '' ? join(env['HOME'] ?? homedir(), '.local', 'state') : state, 'kumoi', 'labs', name)
}

/** Built guest images are shared by all labs of a user. */
export function imageCache(env: Env): string {
  const cache = env['XDG_CACHE_HOME']
  return join(cache === undefined || cache === '' ? join(env['HOME'] ?? homedir(), '.cache') : cache, 'kumoi', 'guest-image')
}

const recordPath = (directory: string): string => join(directory, 'lab.json')

export async function readRecord(directory: string): Promise<LabRecord | undefined> {
  try {
    return JSON.parse(await readFile(recordPath(directory), 'utf8')) as LabRecord
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw CLI.LAB_REFUSED({ what: `The lab in ${directory} cannot be read`, reason: String(error instanceof Error ? error.message : error), advice: 'Remove its lab.json once nothing of it runs, or use another directory with --dir.' }, { cause: error })
  }
}

/** Whole or not at all. */
export async function writeRecord(directory: string, record: LabRecord): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await writeFile(`${recordPath(directory)}.new`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 })
  await rename(`${recordPath(directory)}.new`, recordPath(directory))
}

export async function requireRecord(directory: string, flags: string): Promise<LabRecord> {
  const record = await readRecord(directory)
  if (record === undefined) throw CLI.LAB_UNKNOWN({ directory, flags })
  return record
}

export function hostOf(record: LabRecord, name: string | undefined): LabHost {
  const host = name === undefined ? record.hosts[0] : record.hosts.find((host) => host.name === name)
  if (host === undefined) throw CLI.LAB_REFUSED({ what: `There is no ${name ?? 'host'} in lab ${record.name}`, reason: `its hosts are ${record.hosts.map(({ name }) => name).join(', ')}`, advice: 'Name one of them.' })
  return host
}

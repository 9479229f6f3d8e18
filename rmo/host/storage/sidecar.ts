// Sidecars: small JSON files beside disks and images that say what they are, so that every host that shares the
// directory knows it. Read with suspicion (anybody may have written them), written whole or not at all.

import { constants } from 'node:fs'
import { open, unlink, writeFile } from 'node:fs/promises'
import { LIMITS } from '../../../fabric/base.ts'
import { anything, byteCount, integer, oneOf, record, text, uuid } from '../../schema.ts'
import type { Type } from '../../schema.ts'
import type { DiskNote, ImageNote } from './disk-store.ts'
import type { Durability, Unfinished } from './unfinished.ts'
import { ignoreAbsent } from './unfinished.ts'

/** Of the format of the sidecars; a reader passes over files of a version it does not know. */
const VERSION = 1

export const IMAGE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/
export const imageName = text({ charsMax: LIMITS.imageNameCharsMax, pattern: IMAGE_NAME, expected: `at most ${LIMITS.imageNameCharsMax} letters, digits, dots, dashes and underscores, the first one a letter or digit` })
const fileName = text({ charsMax: 255, pattern: /^[^/\0]+$/, expected: 'a file name' })
const atMs = integer({ unit: 'milliseconds' })
const imageNote = record({
  version: anything(), name: imageName, file: fileName, format: oneOf('qcow2', 'raw', 'iso'),
  checksum: text({ pattern: /^[0-9a-f]{64}$/ }), sizeBytes: byteCount(), capacityBytes: byteCount(),
  importedAtMs: atMs, modifiedAtMs: atMs, description: text({ charsMax: LIMITS.imageDescriptionCharsMax }),
})
const diskNote = record({ version: anything(), owner: uuid(), role: oneOf('root', 'seed', 'data', 'base'), madeAtMs: atMs })

export const diskNotePath = (path: string): string => `${path}.disk.json`
export const imageNoteName = (name: string): string => `${name}.image.json`

async function read<T>(path: string, type: Type<T>): Promise<T | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
    try {
      const { size } = await file.stat()
      if (size > LIMITS.diskNoteBytesMax) return undefined
      const value: unknown = JSON.parse(await file.readFile('utf8'))
      return (value as { readonly version?: unknown }).version === VERSION ? type.check(value, { call: 'sidecar', path }) : undefined
    } finally {
      await file.close()
    }
  } catch {
    // Absent, unreadable or not ours: for whoever asks it is the same, there is no sidecar.
    return undefined
  }
}

const write = (unfinished: Unfinished, path: string, durability: Durability, note: object): Promise<void> =>
  unfinished.replace(path, durability, (hidden) => writeFile(hidden, `${JSON.stringify({ version: VERSION, ...note })}\n`, { mode: 0o644 }))

const withoutVersion = <T extends { readonly version: unknown }>({ version: _, ...note }: T): Omit<T, 'version'> => note

export async function readImageNote(path: string): Promise<ImageNote | undefined> {
  const found = await read(path, imageNote)
  return found === undefined ? undefined : withoutVersion(found)
}
export const writeImageNote = (unfinished: Unfinished, path: string, note: ImageNote): Promise<void> => write(unfinished, path, 'durable', note)

export async function readDiskNote(path: string): Promise<DiskNote | undefined> {
  const found = await read(diskNotePath(path), diskNote)
  return found === undefined ? undefined : withoutVersion(found)
}
export const writeDiskNote = (unfinished: Unfinished, path: string, note: DiskNote): Promise<void> => write(unfinished, diskNotePath(path), 'plain', note)
export const removeDiskNote = (path: string): Promise<void> => unlink(diskNotePath(path)).catch(ignoreAbsent)

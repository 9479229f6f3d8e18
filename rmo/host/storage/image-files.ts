// Images as files of a pool's directory: an immutable disk NAME.qcow2 (.img, .iso), mode 0444, and NAME.image.json
// beside it, so that every host that shares the directory has the image too.
//
//   source --cp (reflink, sparse)--> hidden file --look, check, sha256, 0444--> NAME.qcow2 --> NAME.image.json
//
// What is hashed and looked at is the copy, not the source, which may change meanwhile. A kill before the last step
// leaves a file without a sidecar: taking the same image again finds it and writes the sidecar.

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, readdir, stat, unlink } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LIMITS, errorCode } from '../../../fabric/base.ts'
import type { Clock } from '../../../fabric/base.ts'
import type { Call } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import { watchGrowth } from './copy-progress.ts'
import { diskError, probeFile } from './disk-files.ts'
import type { DiskFacts, ImageNote, ImageStore } from './disk-store.ts'
import { saysFull } from './disk-tools.ts'
import type { DiskTools } from './disk-tools.ts'
import { imageNoteName, readImageNote, writeImageNote } from './sidecar.ts'
import { ignoreAbsent } from './unfinished.ts'
import type { Unfinished } from './unfinished.ts'

export interface ImageFilesOptions {
  readonly tools: DiskTools
  readonly unfinished: Unfinished
  hostName(): string
  readonly clock: Clock
}

const EXTENSIONS = { qcow2: 'qcow2', raw: 'img', iso: 'iso' } as const
const imageFileName = ({ name, format }: Pick<ImageNote, 'name' | 'format'>): string => `${name}.${EXTENSIONS[format]}`
const READ_BYTES = 1_024 * 1_024

function sourcePath(source: string): string {
  const invalid = (): Error => RMO.ARGUMENT_INVALID({ call: 'StoragePool.importImage', path: 'path', expected: 'an absolute path of a file on the host, or a file: URL', got: JSON.stringify(source.slice(0, 200)) })
  try {
    const path = source.startsWith('file:') ? fileURLToPath(source) : source
    if (isAbsolute(path) && !path.includes('\0')) return path
  } catch (error) {
    if (errorCode(error)?.startsWith('ERR_INVALID') !== true) throw error
  }
  throw invalid()
}

async function sha256(path: string, host: string, call: Call, onBytes?: (bytes: number) => void): Promise<string> {
  const hash = createHash('sha256')
  const stream = createReadStream(path, { highWaterMark: READ_BYTES, ...(call.signal === undefined ? {} : { signal: call.signal }) })
  for await (const chunk of stream) {
    hash.update(chunk as Uint8Array)
    onBytes?.((chunk as Uint8Array).byteLength)
    if (call.remainingMs() <= 0) throw RMO.DISK_FAILED({ operation: 'Reading', path, host, reason: 'the call ran out of time' })
  }
  return hash.digest('hex')
}

export function createImageFiles({ tools, unfinished, hostName, clock }: ImageFilesOptions): ImageStore {
  /** Refuses what could not be an image: damaged, or not standing alone. */
  const usable = async (name: string, shownPath: string, file: string, call: Call): Promise<DiskFacts> => {
    const corrupt = (reason: string): Error => RMO.IMAGE_CORRUPT({ image: name, path: shownPath, reason })
    const facts = await probeFile(file)
    if (facts === undefined) throw RMO.FILE_FAILED({ path: shownPath, machine: hostName(), reason: 'no such file' })
    if (facts.unusable !== undefined) throw corrupt(facts.unusable)
    if (facts.sizeBytes === 0) throw corrupt('it is empty')
    if (facts.backing !== undefined) throw corrupt(`it stands on ${facts.backing.path}; make it stand alone first (qemu-img convert -O qcow2)`)
    if (facts.format === 'qcow2') {
      const { code, stdout, stderr } = await tools.run('qemu-img', ['check', '-q', '-f', 'qcow2', file], call)
      // 3: clusters that nobody uses, harmless; 63: this format has no check.
      if (code !== 0 && code !== 3 && code !== 63) throw corrupt(`qemu-img check: ${(stderr || stdout).trim().split('\n')[0] ?? `status ${code}`}`)
    }
    return facts
  }
  const noteOf = async (name: string, file: string, path: string, checksum: string, facts: DiskFacts, description: string): Promise<ImageNote> => ({
    name, file, checksum, description, format: facts.format, sizeBytes: facts.sizeBytes, capacityBytes: facts.capacityBytes,
    importedAtMs: clock.wallMs(), modifiedAtMs: Math.floor((await stat(path)).mtimeMs),
  })

  return {
    async notes(pool) {
      const names = await readdir(pool.path).catch(() => [])
      const found: ImageNote[] = []
      for (const name of names.slice(0, LIMITS.poolEntriesMax)) {
        if (!name.endsWith('.image.json')) continue
        const note = await readImageNote(join(pool.path, name))
        // A sidecar speaks for its own image's file only.
        if (note !== undefined && imageNoteName(note.name) === name && note.file === imageFileName(note)) found.push(note)
      }
      return found
    },

    async take(pool, { name, source, description }, call, onProgress) {
      const from = sourcePath(source)
      const facts = await usable(name, from, from, call)
      const file = imageFileName({ name, format: facts.format })
      const path = join(pool.path, file)
      const taken = (): Error => RMO.ALREADY_EXISTS({ what: `Image ${name} with other contents`, host: hostName() })
      try {
        const known = await readImageNote(join(pool.path, imageNoteName(name)))
        const there = await stat(path).catch((error: unknown) => { ignoreAbsent(error); return undefined })
        if (known !== undefined && known.file !== file) throw taken()
        if (there !== undefined) {
          // A kill may have come between file and sidecar; the same bytes are the same image.
          const checksum = await sha256(path, hostName(), call)
          if (there.size !== facts.sizeBytes || checksum !== await sha256(from, hostName(), call)) throw taken()
          await chmod(path, 0o444)
          if (known !== undefined && known.checksum === checksum && known.modifiedAtMs === Math.floor(there.mtimeMs)) return known
          const note = await noteOf(name, file, path, checksum, facts, known?.description ?? description)
          await writeImageNote(unfinished, join(pool.path, imageNoteName(name)), note)
          return note
        }
        const { checksum, copied } = await unfinished.appear(path, 'durable', async (hidden) => {
          // Copying and reading again take about as long: half of the whole each.
          const stop = watchGrowth(hidden, facts.sizeBytes, onProgress === undefined ? undefined : (ratio) => onProgress(ratio / 2), clock)
          const { code, stderr } = await tools.run('cp', ['--reflink=auto', '--sparse=always', '--', from, hidden], call).finally(stop)
          if (code !== 0) throw saysFull(stderr) ? RMO.NO_SPACE({ what: `image ${name}`, path: pool.path, reason: 'the file system is full' }) : new Error(stderr.trim() || `cp ended with status ${code}`)
          const copied = await usable(name, from, hidden, call)
          await chmod(hidden, 0o444)
          let readBytes = 0
          return { copied, checksum: await sha256(hidden, hostName(), call, (bytes) => { readBytes += bytes; onProgress?.(0.5 + readBytes / copied.sizeBytes / 2) }) }
        })
        const note = await noteOf(name, file, path, checksum, copied, description)
        await writeImageNote(unfinished, join(pool.path, imageNoteName(name)), note).catch(async (error: unknown) => {
          await unlink(path).catch(ignoreAbsent)
          throw error
        })
        return note
      } catch (error) {
        throw await diskError(error, `Importing image ${name} to`, path, hostName(), call)
      }
    },

    writeNote: (pool, note) => writeImageNote(unfinished, join(pool.path, imageNoteName(note.name)), note),
    digest: (path, call) => sha256(path, hostName(), call),
    async seal(path) {
      await chmod(path, 0o444)
      return Math.floor((await stat(path)).mtimeMs)
    },
    async drop(pool, note) {
      const path = join(pool.path, note.file)
      try {
        // The file first: what a kill leaves is an image that says it is missing and can be removed again.
        await unlink(path).catch(ignoreAbsent)
        await unlink(join(pool.path, imageNoteName(note.name))).catch(ignoreAbsent)
      } catch (error) {
        throw await diskError(error, 'Removing', path, hostName())
      }
    },
    sweep: (pool) => unfinished.sweep(pool.path),
  }
}

// readFile: the contents of one regular file, bounded, without ever blocking on what is not a file.

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { LIMITS, errorCode } from '../../fabric/base.ts'
import { RMO } from '../errors.ts'
import type { Budget, ReadFileOptions } from '../kinds/physical-machine.ts'

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file', EACCES: 'permission denied', EPERM: 'not permitted', ELOOP: 'too many symbolic links',
  ENOTDIR: 'a part of its path is not a directory', EISDIR: 'it is a directory', EIO: 'input/output error',
  EINVAL: 'it cannot be read', ENXIO: 'it is not a regular file', ENAMETOOLONG: 'its name is too long',
}

/** /proc files say 0 bytes, so the size is found by reading: chunks until the end, or one byte over the limit. */
async function readUpTo(file: FileHandle, limitBytes: number, signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = []
  let totalBytes = 0
  while (totalBytes <= limitBytes) {
    signal.throwIfAborted()
    const chunk = Buffer.allocUnsafe(Math.min(256 * 1024, limitBytes + 1 - totalBytes))
    const { bytesRead } = await file.read(chunk, 0, chunk.length, null)
    if (bytesRead === 0) break
    chunks.push(chunk.subarray(0, bytesRead))
    totalBytes += bytesRead
  }
  return Buffer.concat(chunks)
}

export async function readRegularFile(path: string, machine: string, options: ReadFileOptions, { signal }: Pick<Budget, 'signal'>): Promise<string | Uint8Array> {
  const limitBytes = options.maxBytes ?? LIMITS.fileReadBytes
  const failed = (reason: string, cause?: unknown): Error => RMO.FILE_FAILED({ path, machine, reason }, cause === undefined ? {} : { cause })
  let file: FileHandle | undefined
  let content: Buffer
  try {
    // Without O_NONBLOCK, opening a FIFO would wait for a writer in a thread of the pool.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
    const stat = await file.stat()
    if (!stat.isFile()) throw failed(stat.isDirectory() ? 'it is a directory' : 'it is not a regular file')
    if (stat.size > limitBytes) throw RMO.FILE_TOO_LARGE({ path, machine, limitBytes })
    content = await readUpTo(file, limitBytes, signal)
  } catch (error) {
    const code = errorCode(error)
    if (code === undefined || code.startsWith('RMO_ERR') || signal.aborted) throw error
    throw failed(REASONS[code] ?? code, error)
  } finally {
    await file?.close()
  }
  if (content.length > limitBytes) throw RMO.FILE_TOO_LARGE({ path, machine, limitBytes })
  return options.encoding === 'bytes' ? new Uint8Array(content) : content.toString('utf8')
}

// Disks as files of the host, made and copied by qemu-img. The DiskStore of every real hypervisor.
//
// qemu-img is run on the hidden name of a file that appears when it is complete (unfinished.ts), so that a full disk or a
// kill leaves nothing. That, and paths outside any pool, are why disks are not made through libvirt's storage calls.

import { constants } from 'node:fs'
import type { Stats } from 'node:fs'
import { access, chmod, link, mkdir, open, readFile, readdir, realpath, stat, statfs, unlink, writeFile } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { LIMITS, errorCode } from '../../../fabric/base.ts'
import type { Clock, Random } from '../../../fabric/base.ts'
import type { Call } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import { isBlank, readQcow2 } from '../../qcow2.ts'
import { watchGrowth } from './copy-progress.ts'
import type { Backing, DiskFacts, DiskNote, DiskStore } from './disk-store.ts'
import { saysFull } from './disk-tools.ts'
import type { DiskTools } from './disk-tools.ts'
import { makeSeedIso } from './seed-iso.ts'
import { readDiskNote, removeDiskNote, writeDiskNote } from './sidecar.ts'
import { ignoreAbsent, isPaperwork } from './unfinished.ts'
import type { Unfinished } from './unfinished.ts'

export interface DiskFilesOptions {
  readonly tools: DiskTools
  readonly unfinished: Unfinished
  hostName(): string
  readonly clock: Clock
  readonly random: Random
}

const ISO_MARK_AT = 32_769
const FREE_BYTES_MIN = 64 * 1_024

async function bytesAt(file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, position + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return bytes.subarray(0, filled)
}

async function qcow2Facts(file: FileHandle, path: string, common: Omit<DiskFacts, 'format' | 'capacityBytes' | 'blank' | 'snapshots'>, head: Uint8Array): Promise<DiskFacts | undefined> {
  const reading = readQcow2(head, common.sizeBytes)
  if (reading.is === 'not-qcow2') return undefined
  if (reading.is === 'damaged') return { ...common, format: 'qcow2', capacityBytes: 0, blank: false, snapshots: 0, unusable: reading.reason }
  const { header } = reading
  const table = header.tableBytes > LIMITS.qcow2TableBytesMax ? new Uint8Array() : await bytesAt(file, header.tableOffsetBytes, header.tableBytes)
  const { backingFile, backingFormat } = header
  const unusable = header.corrupt ? 'QEMU marked it as corrupt'
    : header.externalData ? 'its data lies in another file'
    : header.encrypted ? 'it is encrypted'
    // "json:..." and "nbd://..." would make QEMU open anything.
    : backingFile !== undefined && !isAbsolute(backingFile) && /^[A-Za-z0-9+.-]+:/.test(backingFile) ? 'its backing file is not a plain file'
    // Then QEMU would look at the bytes, which a guest may have written.
    : backingFile !== undefined && backingFormat === undefined ? 'it does not say which format its backing file has (qemu-img rebase -u -F)'
    : backingFormat === 'other' ? 'its backing file is neither qcow2 nor raw'
    : undefined
  return {
    ...common, format: 'qcow2', capacityBytes: header.capacityBytes, snapshots: header.snapshots,
    blank: backingFile !== undefined && isBlank(header, table),
    ...(backingFile === undefined ? {} : { backing: { path: resolve(dirname(path), backingFile), format: backingFormat === 'raw' ? 'raw' as const : 'qcow2' as const } }),
    ...(unusable === undefined ? {} : { unusable }),
  }
}

/** What a file says of itself; undefined when there is none. Throws the file system's own error for one that cannot be read. */
export async function probeFile(path: string): Promise<DiskFacts | undefined> {
  let file: FileHandle
  try {
    // Without O_NONBLOCK, opening a FIFO would wait for a writer in a thread of the pool.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    ignoreAbsent(error)
    return undefined
  }
  try {
    const stats: Stats = await file.stat()
    const common = { sizeBytes: stats.size, modifiedAtMs: Math.floor(stats.mtimeMs), sealed: (stats.mode & 0o222) === 0, linked: stats.nlink > 1 }
    const plain = { ...common, blank: false, snapshots: 0 }
    if (!stats.isFile()) return { ...plain, format: 'raw', capacityBytes: stats.size, unusable: 'it is not a regular file' }
    const head = await bytesAt(file, 0, Math.min(stats.size, LIMITS.qcow2HeadBytesMax))
    const facts = await qcow2Facts(file, path, common, head)
    if (facts !== undefined) return facts
    const isIso = head.length > ISO_MARK_AT + 5 && Buffer.from(head.subarray(ISO_MARK_AT, ISO_MARK_AT + 5)).toString('latin1') === 'CD001'
    return { ...plain, format: isIso ? 'iso' : 'raw', capacityBytes: stats.size }
  } finally {
    await file.close()
  }
}

/** Turns what the file system or a program said into an error of ours; coded errors pass, and so does why a call was cancelled. */
export async function diskError(error: unknown, operation: string, path: string, host: string, call?: Call): Promise<unknown> {
  if (call?.signal?.aborted === true) return call.signal.reason
  const code = errorCode(error)
  if (code?.startsWith('RMO_ERR') === true) return error
  const reason = error instanceof Error ? error.message : String(error)
  const free = await statfs(dirname(path)).catch(() => undefined)
  const full = code === 'ENOSPC' || code === 'EDQUOT' || saysFull(reason) || (free !== undefined && free.type !== 0 && free.bavail * free.bsize < FREE_BYTES_MIN)
  if (full) return RMO.NO_SPACE({ what: operation, path: dirname(path), reason: code === 'EDQUOT' ? 'the quota is used up' : 'the file system is full' }, { cause: error })
  return RMO.DISK_FAILED({ operation, path, host, reason }, { cause: error })
}

export function createDiskFiles({ tools, unfinished, hostName, clock, random }: DiskFilesOptions): DiskStore {
  const qemuImg = async (args: readonly string[], call: Call): Promise<void> => {
    const { code, stderr } = await tools.run('qemu-img', args, call)
    if (code !== 0) throw new Error(stderr.trim() || `qemu-img ended with status ${code}`)
  }
  /** A new file of ours with its note; on failure neither is left. */
  const made = async (operation: string, path: string, note: DiskNote, call: Call, work: (hidden: string) => Promise<void>): Promise<void> => {
    try {
      await unfinished.appear(path, 'plain', async (hidden) => {
        await work(hidden)
        // As libvirt makes volumes: what guests keep, and the keys in seeds, are nobody else's business.
        await chmod(hidden, 0o600)
      })
      await writeDiskNote(unfinished, path, note).catch(async (error: unknown) => {
        await unlink(path).catch(ignoreAbsent)
        throw error
      })
    } catch (error) {
      throw await diskError(error, operation, path, hostName(), call)
    }
  }
  const createArgs = (wish: Parameters<DiskStore['create']>[1], file: string): readonly string[] => [
    'create', '-q', '-f', wish.format,
    ...(wish.backing === undefined ? [] : ['-b', wish.backing.path, '-F', wish.backing.format]),
    file, ...(wish.capacityBytes === undefined ? [] : [String(wish.capacityBytes)]),
  ]
  const remove = async (path: string): Promise<void> => {
    try {
      await unlink(path).catch(ignoreAbsent)
      await removeDiskNote(path)
    } catch (error) {
      throw await diskError(error, 'Removing', path, hostName())
    }
  }
  /** Allocated bytes of a disk and all its bases. */
  const allocatedBytes = async (path: string): Promise<number> => {
    let total = 0, at: string | undefined = path
    for (let depth = 0; at !== undefined && depth < LIMITS.backingChainMax; depth++) {
      total += (await stat(at)).blocks * 512
      at = (await probeFile(at))?.backing?.path
    }
    return total
  }

  return {
    needsRefresh: true,
    probe: async (path) => probeFile(path).catch(async (error: unknown) => { throw await diskError(error, 'Reading', path, hostName()) }),
    async realPath(path) {
      return realpath(path).catch(async () => join(await realpath(dirname(path)).catch(() => dirname(path)), basename(path)))
    },
    async makeDirectory(path) {
      await mkdir(path, { recursive: true }).catch(async (error: unknown) => { throw await diskError(error, 'Making directory', path, hostName()) })
    },
    create: (path, wish, note, call) => made('Creating', path, note, call, (hidden) => qemuImg(createArgs(wish, hidden), call)),
    copy: (source, path, wish, note, call, onProgress) => made('Copying to', path, note, call, async (hidden) => {
      const stop = watchGrowth(hidden, await allocatedBytes(source.path), onProgress, clock)
      try {
        await qemuImg(['convert', '-q', '-f', source.format, '-O', wish.format, source.path, hidden], call)
      } finally {
        stop()
      }
      onProgress?.(1)
    }),
    writeSeed: (path, files, note, call) => made('Writing seed', path, note, call, (hidden) => makeSeedIso(tools, files, hidden, call)),

    async share(path, note, call) {
      const base = `${path}.base-${Buffer.from(random.bytes(4)).toString('hex')}`
      try {
        const facts = await probeFile(path)
        if (facts === undefined || facts.format !== 'qcow2') throw RMO.DISK_UNUSABLE({ path, host: hostName(), reason: 'only qcow2 disks can be frozen; copy it in full' })
        await writeDiskNote(unfinished, base, note)
        // Two names for one file, then a fresh overlay takes the first name in one step: at every moment `path` is the whole disk.
        await link(path, base)
        try {
          await unfinished.replace(path, 'durable', async (hidden) => {
            await qemuImg(createArgs({ format: 'qcow2', backing: { path: base, format: 'qcow2' } }, hidden), call)
            await chmod(hidden, 0o600)
          })
        } catch (error) {
          await unlink(base).catch(ignoreAbsent)
          throw error
        }
        await chmod(base, 0o400)
        return { path: base, format: 'qcow2' } satisfies Backing
      } catch (error) {
        if (await access(base).then(() => false, () => true)) await removeDiskNote(base)
        throw await diskError(error, 'Freezing', path, hostName(), call)
      }
    },
    async roleFor(path, owner) {
      const note = await readDiskNote(path)
      return note?.owner === owner ? note.role : undefined
    },
    ownerOf: async (path) => (await readDiskNote(path))?.owner,
    isBase: async (path) => (await readDiskNote(path))?.role === 'base',
    async rewriteSeed(path, files, note, call) {
      try {
        const before = await readFile(path).catch((error: unknown) => { ignoreAbsent(error); return undefined })
        const place = (work: (hidden: string) => Promise<void>): Promise<void> => unfinished.replace(path, 'plain', async (hidden) => {
          await work(hidden)
          await chmod(hidden, 0o600)
        })
        await place((hidden) => makeSeedIso(tools, files, hidden, call))
        await writeDiskNote(unfinished, path, note)
        return before === undefined ? () => remove(path) : () => place((hidden) => writeFile(hidden, before))
      } catch (error) {
        throw await diskError(error, 'Writing seed', path, hostName(), call)
      }
    },
    remove,
    async overlaysBeside(path) {
      const directory = dirname(path)
      const names = (await readdir(directory).catch((error: unknown) => { ignoreAbsent(error); return [] })).slice(0, LIMITS.poolEntriesMax)
      const found: string[] = []
      for (const name of names) {
        const file = join(directory, name)
        if (isPaperwork(name) || file === path) continue
        const facts = await probeFile(file).catch(() => undefined)
        if (facts?.backing?.path === path) found.push(file)
      }
      return found
    },
  }
}

// Blobs in a directory: one file a blob, named by its hash, in 256 sub-directories.
//
// Written beside and renamed, so a file is whole or absent; checked against its name when read, so a
// damaged one is deleted and counts as missing. Least recently used files go first when the bound is
// reached; the time of last use is the file's mtime, so it survives restarts. A full or failing disk
// is no error of the caller: the write says so and the blob stays in memory.

import { createHash, randomUUID } from 'node:crypto'
import type { Hash } from '../id.ts'
import { isHash } from '../id.ts'

/** The part of node:fs/promises that is used; tests hand in one that fails. */
export interface BlobFs {
  mkdir(path: string, options: { recursive: true; mode: number }): Promise<unknown>
  readdir(path: string): Promise<string[]>
  stat(path: string): Promise<{ readonly size: number; readonly mtimeMs: number }>
  readFile(path: string): Promise<Uint8Array>
  writeFile(path: string, bytes: Uint8Array, options: { mode: number; flag: string }): Promise<void>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  utimes(path: string, accessed: number, modified: number): Promise<void>
}

export interface BlobDiskOptions {
  readonly directory: string
  readonly bytesMax: number
  readonly fs: BlobFs
  /** Wall clock, for file times. */
  readonly wallMs: () => number
  readonly warn: (message: string, error: unknown) => void
}

interface Entry { readonly bytes: number; usedMs: number }

/** A use is written to the file's time at most this often. */
const TOUCH_INTERVAL_MS = 60_000

export class BlobDisk {
  readonly #options: BlobDiskOptions
  /** Least recently used first. */
  readonly #entries = new Map<Hash, Entry>()
  readonly #writing = new Map<Hash, Promise<void>>()
  #bytes = 0
  #held: ReadonlySet<Hash> = new Set()

  constructor(options: BlobDiskOptions) { this.#options = options }

  get bytes(): number { return this.#bytes }
  has(hash: Hash): boolean { return this.#entries.has(hash) }
  /** Not removed for room, whatever their age: others may count on them. */
  hold(hashes: ReadonlySet<Hash>): void { this.#held = hashes }

  /** Reads the directory, oldest use first; removes what a crash left half-written. */
  async open(): Promise<void> {
    const { directory, fs } = this.#options
    await fs.mkdir(directory, { recursive: true, mode: 0o700 })
    const found: { hash: Hash; entry: Entry }[] = []
    for (const shard of await fs.readdir(directory)) {
      if (!/^[0-9a-f]{2}$/.test(shard)) continue
      for (const name of await fs.readdir(`${directory}/${shard}`)) {
        if (!isHash(name)) {
          await fs.unlink(`${directory}/${shard}/${name}`).catch(() => undefined)
          continue
        }
        const { size, mtimeMs } = await fs.stat(`${directory}/${shard}/${name}`)
        found.push({ hash: name, entry: { bytes: size, usedMs: mtimeMs } })
      }
    }
    found.sort((a, b) => a.entry.usedMs - b.entry.usedMs)
    for (const { hash, entry } of found) this.#add(hash, entry)
    await this.#trim()
  }

  /** The blob, or undefined when it is absent, unreadable or damaged. */
  async read(hash: Hash): Promise<Uint8Array | undefined> {
    await this.#writing.get(hash)
    const entry = this.#entries.get(hash)
    if (entry === undefined) return undefined
    const { fs, wallMs, warn } = this.#options
    let bytes: Uint8Array
    try {
      bytes = await fs.readFile(this.#path(hash))
    } catch (error) {
      warn(`blob ${hash.slice(0, 12)} could not be read`, error)
      this.#forget(hash)
      return undefined
    }
    if (createHash('sha256').update(bytes).digest('hex') !== hash) {
      warn(`blob ${hash.slice(0, 12)} is damaged on disk and was deleted`, undefined)
      await this.#delete(hash)
      return undefined
    }
    const nowMs = wallMs()
    this.#entries.delete(hash)
    this.#entries.set(hash, entry)
    if (nowMs - entry.usedMs > TOUCH_INTERVAL_MS) {
      entry.usedMs = nowMs
      await fs.utimes(this.#path(hash), nowMs / 1000, nowMs / 1000).catch(() => undefined)
    }
    return bytes
  }

  /** Stores the blob if the disk lets it. May be called again before it settles; one write is made. */
  write(hash: Hash, bytes: Uint8Array): Promise<void> {
    const present = this.#writing.get(hash)
    if (present !== undefined) return present
    if (this.#entries.has(hash) || bytes.length > this.#options.bytesMax) return Promise.resolve()
    const writing = this.#write(hash, bytes).finally(() => this.#writing.delete(hash))
    this.#writing.set(hash, writing)
    return writing
  }

  async #write(hash: Hash, bytes: Uint8Array): Promise<void> {
    const { directory, fs, wallMs, warn } = this.#options
    const path = this.#path(hash)
    const beside = `${directory}/${hash.slice(0, 2)}/.${hash.slice(0, 16)}.${randomUUID()}`
    try {
      await fs.mkdir(`${directory}/${hash.slice(0, 2)}`, { recursive: true, mode: 0o700 })
      await fs.writeFile(beside, bytes, { mode: 0o600, flag: 'wx' })
      await fs.rename(beside, path)
    } catch (error) {
      await fs.unlink(beside).catch(() => undefined)
      warn(`blob ${hash.slice(0, 12)} stays in memory only: it could not be written`, error)
      return
    }
    this.#add(hash, { bytes: bytes.length, usedMs: wallMs() })
    await this.#trim()
  }

  async #trim(): Promise<void> {
    for (const hash of this.#entries.keys()) {
      if (this.#bytes <= this.#options.bytesMax) return
      if (!this.#held.has(hash)) await this.#delete(hash)
    }
  }

  async #delete(hash: Hash): Promise<void> {
    this.#forget(hash)
    await this.#options.fs.unlink(this.#path(hash)).catch(() => undefined)
  }

  #add(hash: Hash, entry: Entry): void {
    this.#entries.set(hash, entry)
    this.#bytes += entry.bytes
  }

  #forget(hash: Hash): void {
    this.#bytes -= this.#entries.get(hash)?.bytes ?? 0
    this.#entries.delete(hash)
  }

  #path(hash: Hash): string { return `${this.#options.directory}/${hash.slice(0, 2)}/${hash}` }
}
